//! Watches what was put before traffic: a canary, or a revision that was activated with thresholds.
//! Where one does worse than its thresholds allow, it is taken back, without being asked for.
//!
//! A revision is compared with what the other one did in the same time (canary) or before it was
//! replaced (activation), over the last minute of what this node has seen.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tidegate_admin_api::{AdminState, TakeBack};
use tidegate_ingest::force::stats::Tally;
use tidegate_ingest::{Gateway, InForce};
use tidegate_types::TenantId;
use tidegate_types::rollout::{Stage, Thresholds};

use super::warm::WARM;

/// How often is looked.
const EVERY: Duration = Duration::from_millis(250);
/// Looks that are compared: a minute.
const LOOKS: usize = 240;

/// Watches until it is dropped.
pub(super) async fn run(gateway: Arc<Gateway>, admin: AdminState) {
    let mut watched: HashMap<TenantId, Watched> = HashMap::new();
    let mut look = tokio::time::interval(EVERY);
    loop {
        look.tick().await;
        let snapshot = gateway.snapshot();
        watched.retain(|tenant, _| snapshot.in_force(tenant).is_some());
        for (tenant, in_force) in snapshot.tenants() {
            let Some(subject) = Subject::of(in_force) else {
                watched.remove(tenant);
                continue;
            };
            let known = watched.remove(tenant).filter(|known| known.what == subject.what);
            let mut known = known.unwrap_or_else(|| Watched::begin(&subject));
            let Some(reason) = known.look(&subject) else {
                watched.insert(tenant.clone(), known);
                continue;
            };
            // Taken back or already gone; either way another look begins anew.
            match admin.take_back(tenant.clone(), subject.what, reason.clone()).await {
                Ok(()) => tracing::info!(tenant = tenant.as_str(), reason, "revision taken back"),
                Err(problem) => {
                    tracing::warn!(tenant = tenant.as_str(), reason, %problem, "revision not taken back");
                }
            }
        }
    }
}

/// What is watched for a tenant.
struct Subject {
    what: TakeBack,
    thresholds: Thresholds,
    candidate: Tally,
    other: Other,
    /// Both when it began.
    begun: (Tally, Tally),
}

/// What it is compared with.
enum Other {
    /// Runs beside it.
    Beside(Tally),
    /// Ran before it; it is over.
    Before(Option<Tally>),
}

impl Subject {
    fn of(in_force: &InForce) -> Option<Self> {
        if let Some(rollout) = &in_force.rollout
            && matches!(rollout.stage, Stage::Canary { .. })
        {
            return Some(Self {
                what: TakeBack::Canary(rollout.id),
                thresholds: rollout.thresholds,
                candidate: rollout.candidate.stats.tally(),
                other: Other::Beside(in_force.revision.stats.tally()),
                begun: rollout.begun.clone(),
            });
        }
        let watch = in_force.watch.as_ref().filter(|watch| watch.since.elapsed() < WARM)?;
        Some(Self {
            what: TakeBack::Activation(watch.sequence),
            thresholds: watch.thresholds,
            candidate: in_force.revision.stats.tally(),
            other: Other::Before(watch.before.clone()),
            begun: (watch.begun.clone(), Tally::default()),
        })
    }
}

/// The looks at one subject, oldest first.
struct Watched {
    what: TakeBack,
    looks: VecDeque<(Tally, Tally)>,
}

impl Watched {
    fn begin(subject: &Subject) -> Self {
        Self { what: subject.what, looks: VecDeque::from([subject.begun.clone()]) }
    }

    /// Looks once more; answers why it is to be taken back, where it is.
    fn look(&mut self, subject: &Subject) -> Option<String> {
        let (candidate, beside) = subject.counts();
        let (first_candidate, first_beside) = self.looks.front()?;
        let recent = candidate.since(first_candidate);
        let other = match &subject.other {
            Other::Beside(_) => Some(beside.since(first_beside)),
            Other::Before(before) => before.clone(),
        };
        let reason = verdict(&subject.thresholds, &recent, other.as_ref());
        self.looks.push_back((candidate, beside));
        if self.looks.len() > LOOKS {
            self.looks.pop_front();
        }
        reason
    }
}

impl Subject {
    fn counts(&self) -> (Tally, Tally) {
        let beside = match &self.other {
            Other::Beside(tally) => tally.clone(),
            Other::Before(_) => Tally::default(),
        };
        (self.candidate.clone(), beside)
    }
}

/// Why a revision that did this is to be taken back, where it is. What it is compared with counts
/// only where it has judged enough events itself.
fn verdict(thresholds: &Thresholds, recent: &Tally, other: Option<&Tally>) -> Option<String> {
    let events = recent.events();
    if events < thresholds.min_events {
        return None;
    }
    let fault_rate = share(recent.faulted, events);
    if fault_rate > thresholds.fault_rate {
        return Some(format!(
            "{} of {events} events met a fault of a rule: {}, more than {}",
            recent.faulted,
            percent(fault_rate),
            percent(thresholds.fault_rate)
        ));
    }
    let other = other.filter(|other| other.events() >= thresholds.min_events)?;
    let held = |tally: &Tally| share(tally.rejected + tally.quarantined, tally.events());
    let jump = held(recent) - held(other);
    if jump > thresholds.reject_jump {
        return Some(format!(
            "{} of the events were rejected or quarantined, {} before: more than {} more",
            percent(held(recent)),
            percent(held(other)),
            percent(thresholds.reject_jump)
        ));
    }
    let millis = |tally: &Tally| tally.p99_micros().map(|micros| micros as f64 / 1000.0);
    let (now, then) = (millis(recent)?, millis(other)?);
    (now > thresholds.p99_floor_ms && now > then * thresholds.p99_ratio).then(|| {
        format!(
            "one request in a hundred took more than {now:.1} ms to be judged, {then:.1} ms before: \
             more than {} times as long",
            thresholds.p99_ratio
        )
    })
}

fn share(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { part as f64 / of as f64 }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(accepted: u64, quarantined: u64, rejected: u64, faulted: u64) -> Tally {
        let mut tally = Tally::default();
        (tally.accepted, tally.quarantined) = (accepted, quarantined);
        (tally.rejected, tally.faulted) = (rejected, faulted);
        tally
    }

    #[test]
    fn each_threshold_takes_back_and_too_few_events_do_not() {
        let thresholds = Thresholds { min_events: 100, ..Thresholds::default() };
        let good = tally(990, 5, 5, 0);
        for (recent, other, expected) in [
            (tally(99, 0, 0, 99), Some(&good), None),
            (tally(980, 20, 0, 20), Some(&good), Some("fault")),
            (tally(980, 20, 0, 20), None, Some("fault")),
            (tally(995, 5, 0, 5), Some(&good), None),
            (tally(850, 100, 50, 0), Some(&good), Some("rejected")),
            (tally(850, 100, 50, 0), None, None),
            (tally(850, 100, 50, 0), Some(&tally(50, 0, 0, 0)), None),
            (tally(900, 50, 50, 0), Some(&tally(900, 0, 100, 0)), None),
        ] {
            let reason = verdict(&thresholds, &recent, other);
            assert_eq!(reason.is_some(), expected.is_some(), "{recent:?} {reason:?}");
            let named = expected.is_none_or(|word| reason.is_some_and(|text| text.contains(word)));
            assert!(named, "{expected:?}");
        }
    }
}
