//! The difference between what was said of events and what a candidate says of them: counted, with
//! samples. Bounded: rules, fields and samples beyond the limits are counted, not named.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidegate_event::patch;
use tidegate_types::{Finding, Status};

use super::judge::{Judged, Outcome, Recorded};
use super::sample::Sample;
use crate::force::revision::Revision;

/// Rules, and fields, that are named.
const MAX_NAMES: usize = 1000;
/// Samples of each kind of flip.
const MAX_SAMPLES: usize = 10;

/// The verdicts that a flip is between.
const VERDICTS: [Status; 3] = [Status::Accepted, Status::Quarantined, Status::Rejected];

/// What is known so far; shared between who compares and who asks.
#[derive(Debug, Default)]
pub struct Diff(Mutex<DiffReport>);

/// What a comparison came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DiffReport {
    /// Events that there were.
    pub seen: u64,
    /// Events that were judged by both.
    pub compared: u64,
    /// Events that were passed over because too many waited.
    pub shed: u64,
    /// Events that the candidate could not judge for want of room.
    pub failed: u64,
    /// Events for which a rule's fall-back stood in, before or with the candidate. That it did is no
    /// difference.
    #[serde(default)]
    pub stood_in: u64,
    /// Events whose verdict differs.
    pub flipped: u64,
    /// How many events went from one verdict to another; those that stayed are not listed.
    pub flips: Vec<Flip>,
    /// By rule and code: how many events have the finding only before, and only with the candidate.
    pub rules: Vec<RuleDiff>,
    /// By pointer: how many events are delivered with another value there.
    pub fields: BTreeMap<String, u64>,
    /// Rules and fields that are not named because there were too many.
    pub unnamed: u64,
    pub cost: Cost,
    pub samples: Vec<Sample>,
}

/// Events that went from one verdict to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flip {
    pub from: Status,
    pub to: Status,
    pub events: u64,
}

/// How one finding of one rule differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleDiff {
    pub rule: String,
    pub code: String,
    /// Events that have it only before.
    pub gone: u64,
    /// Events that have it only with the candidate.
    pub new: u64,
}

/// What judging took, in microseconds, for all compared events together. For stored events the
/// first time is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before_us: Option<u64>,
    pub candidate_us: u64,
}

impl Diff {
    fn lock(&self) -> MutexGuard<'_, DiffReport> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known so far.
    #[must_use]
    pub fn report(&self) -> DiffReport {
        self.lock().clone()
    }

    /// Events that there are.
    pub fn saw(&self, events: usize) {
        self.lock().seen += events as u64;
    }

    pub(crate) fn shed(&self, events: usize) {
        self.lock().shed += events as u64;
    }

    pub(crate) fn failed(&self, events: usize) {
        self.lock().failed += events as u64;
    }

    /// What judging the compared events took the first time.
    pub(crate) fn took_before(&self, took: Duration) {
        let mut report = self.lock();
        let sum = report.cost.before_us.unwrap_or_default() + micros(took);
        report.cost.before_us = Some(sum);
    }

    /// Enters what a candidate says of events.
    pub fn enter(&self, candidate: &Revision, recorded: &[Recorded], judged: &Judged) {
        let mut report = self.lock();
        report.cost.candidate_us += micros(judged.took);
        for (before, after) in recorded.iter().zip(&judged.outcomes) {
            report.compared += 1;
            let all = before.outcome.findings.iter().chain(&after.findings);
            report.stood_in += u64::from(all.clone().any(tells_fallback));
            let differs = report.findings(&before.outcome.findings, &after.findings)
                | report.fields(&before.outcome, after);
            let flipped = report.flip(before.outcome.status, after.status);
            if (differs || flipped) && report.wants(before.outcome.status, after.status) {
                report.samples.push(Sample::of(candidate, before, after));
            }
        }
    }
}

/// Says a finding that a rule's fall-back judged?
fn tells_fallback(finding: &Finding) -> bool {
    &*finding.code == Finding::FALLBACK
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl DiffReport {
    fn flip(&mut self, from: Status, to: Status) -> bool {
        if from == to {
            return false;
        }
        self.flipped += 1;
        match self.flips.iter_mut().find(|flip| flip.from == from && flip.to == to) {
            Some(flip) => flip.events += 1,
            None => self.flips.push(Flip { from, to, events: 1 }),
        }
        debug_assert!(self.flips.len() <= VERDICTS.len() * VERDICTS.len());
        true
    }

    fn wants(&self, from: Status, to: Status) -> bool {
        let same = self.samples.iter().filter(|sample| sample.is_of(from, to));
        same.count() < MAX_SAMPLES
    }

    fn findings(&mut self, before: &[Finding], after: &[Finding]) -> bool {
        if before == after {
            return false;
        }
        let names = |findings: &[Finding]| -> BTreeSet<(String, String)> {
            let all = findings.iter().filter(|finding| !tells_fallback(finding));
            all.map(|finding| (finding.rule.to_string(), finding.code.to_string())).collect()
        };
        let (before, after) = (names(before), names(after));
        for name in before.symmetric_difference(&after) {
            let gone = u64::from(before.contains(name));
            self.rule(name, gone, 1 - gone);
        }
        before != after
    }

    fn rule(&mut self, (rule, code): &(String, String), gone: u64, new: u64) {
        let known = self.rules.iter_mut().find(|known| known.rule == *rule && known.code == *code);
        if let Some(known) = known {
            known.gone += gone;
            known.new += new;
        } else if self.rules.len() < MAX_NAMES {
            let (rule, code) = (rule.clone(), code.clone());
            self.rules.push(RuleDiff { rule, code, gone, new });
        } else {
            self.unnamed += 1;
        }
    }

    fn fields(&mut self, before: &Outcome, after: &Outcome) -> bool {
        if before.patches == after.patches
            || before.status == Status::Rejected
            || after.status == Status::Rejected
        {
            return false;
        }
        let (before, after) = (values(&before.patches), values(&after.patches));
        let pointers: BTreeSet<&str> = before.keys().chain(after.keys()).copied().collect();
        let mut differs = false;
        for pointer in pointers {
            if before.get(pointer) == after.get(pointer) {
                continue;
            }
            differs = true;
            if let Some(count) = self.fields.get_mut(pointer) {
                *count += 1;
            } else if self.fields.len() < MAX_NAMES {
                self.fields.insert(pointer.to_owned(), 1);
            } else {
                self.unnamed += 1;
            }
        }
        differs
    }
}

/// The last that is said of each place: a value, or that it is removed.
fn values(patches: &[u8]) -> BTreeMap<&str, Option<&[u8]>> {
    let read = patch::decode(patches).filter_map(Result::ok);
    read.map(|patch| {
        let value = (patch.op == patch::Op::Set).then_some(patch.value);
        (patch.pointer, value)
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use tidegate_types::{RuleName, Severity};

    use super::*;

    fn outcome(status: Status, codes: &[&str], patches: &[(&str, &str)]) -> Outcome {
        let finding = |code: &&str| Finding {
            rule: RuleName::new("r").expect("name"),
            code: (*code).into(),
            severity: Severity::Soft,
            pointer: None,
            detail: "".into(),
        };
        let mut bytes = Vec::new();
        for (pointer, value) in patches {
            let patch = patch::Patch { op: patch::Op::Set, pointer, value: value.as_bytes() };
            patch::encode(&mut bytes, patch).expect("short");
        }
        let findings = codes.iter().map(finding).collect();
        Outcome { status, event_type: None, findings, patches: bytes, replaced: Vec::new() }
    }

    #[test]
    fn differences_are_counted_by_rule_and_field() {
        use Status::{Accepted, Quarantined, Rejected};
        let mut report = DiffReport::default();
        let mut enter = |before: Outcome, after: Outcome| {
            let differs =
                report.findings(&before.findings, &after.findings) | report.fields(&before, &after);
            (differs, report.flip(before.status, after.status))
        };
        let plain = || outcome(Accepted, &[], &[("/a", "1")]);
        assert_eq!(enter(plain(), plain()), (false, false));
        assert_eq!(enter(plain(), outcome(Quarantined, &["late"], &[("/a", "1")])), (true, true));
        assert_eq!(enter(plain(), outcome(Accepted, &[], &[("/a", "2")])), (true, false));
        assert_eq!(enter(plain(), outcome(Accepted, &[], &[("/b", "1")])), (true, false));
        let stood_in = outcome(Accepted, &["rule-fallback"], &[("/a", "1")]);
        assert_eq!(enter(plain(), stood_in), (false, false), "who judged is no difference");
        let held = || outcome(Quarantined, &["late", "late"], &[]);
        assert_eq!(enter(held(), outcome(Rejected, &["odd"], &[])), (true, true));
        assert_eq!(report.flipped, 2);
        let names: Vec<_> =
            report.rules.iter().map(|rule| (rule.code.as_str(), rule.gone, rule.new)).collect();
        assert_eq!(names, [("late", 1, 1), ("odd", 0, 1)]);
        let fields: Vec<_> =
            report.fields.iter().map(|(at, count)| (at.as_str(), *count)).collect();
        assert_eq!(fields, [("/a", 2), ("/b", 1)]);
    }
}
