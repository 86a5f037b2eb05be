//! Counts what is stored, and everything about it that is not as it must be.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::data::expected::{Expected, Facts, Flight};
use crate::ledger::Ledger;
use crate::setup::TENANT;
use crate::stored::{self, Files, Row};

/// What is stored, compared with what was posted.
#[derive(Debug, Default)]
pub(crate) struct Count {
    pub(crate) posted: u64,
    pub(crate) accepted: u64,
    pub(crate) quarantined: u64,
    pub(crate) lost: u64,
    pub(crate) stored_twice: u64,
    /// Stored, but never posted.
    pub(crate) strange: u64,
    /// Stored under another id than the receipts gave.
    pub(crate) other_id: u64,
    /// Findings that differ from those of the rules in plain Rust.
    pub(crate) misjudged: u64,
    /// Requests whose events were judged by more than one revision.
    pub(crate) mixed_requests: u64,
    pub(crate) findings: BTreeMap<String, u64>,
    pub(crate) revisions: BTreeMap<String, u64>,
    pub(crate) files: Files,
}

impl Count {
    pub(crate) fn stored(&self) -> u64 {
        self.accepted + self.quarantined
    }

    /// Everything that is not as it must be, in words; empty where all is well.
    pub(crate) fn failures(
        &self,
        ledger: &Ledger,
        facts: &Facts,
        revisions: &[String; 2],
    ) -> Vec<String> {
        let mut failures = ledger.complaints.clone();
        let mut must_be = |what: &str, found: u64, expected: u64| {
            if found != expected {
                failures.push(format!("{what}: {found}, expected {expected}"));
            }
        };
        must_be("further complaints about receipts", ledger.more_complaints, 0);
        must_be("events posted", self.posted, facts.events);
        must_be("events stored", self.stored(), facts.events);
        must_be("events lost", self.lost, 0);
        must_be("events stored twice", self.stored_twice, 0);
        must_be("events stored that were never posted", self.strange, 0);
        must_be("events stored under another id than their receipt's", self.other_id, 0);
        must_be("events whose findings differ from the rules in plain Rust", self.misjudged, 0);
        must_be("requests judged by more than one revision", self.mixed_requests, 0);
        for (rule, expected) in facts.by_rule() {
            must_be(rule, self.findings.get(rule).copied().unwrap_or_default(), expected);
        }
        let mut by_known = 0;
        for (name, digest) in ["revision 1", "revision 2"].iter().zip(revisions) {
            let judged = self.revisions.get(digest).copied().unwrap_or_default();
            by_known += judged;
            if judged == 0 {
                failures.push(format!("{name} judged no event"));
            }
        }
        if by_known != self.stored() {
            failures.push("some events were judged by an unknown revision".into());
        }
        failures
    }
}

/// Reads the storage folder and compares it with the ledger.
///
/// # Errors
/// Where what is stored cannot be read.
pub(crate) fn count(storage: &Path, ledger: &Ledger, revisions: &[String; 2]) -> Result<Count> {
    let mut counter = Counter::new(ledger, Expected::load()?, revisions);
    let files = stored::read(storage, TENANT, |row| counter.row(&row))?;
    Ok(Count { files, ..counter.finish() })
}

/// Takes the stored rows one by one.
struct Counter<'a> {
    ledger: &'a Ledger,
    expected: Expected,
    /// The revision that has the added rule.
    second: &'a str,
    count: Count,
    seen: HashSet<String>,
    /// The revisions that judged the events of one request.
    of_request: HashMap<u64, HashSet<String>>,
}

impl<'a> Counter<'a> {
    fn new(ledger: &'a Ledger, expected: Expected, [_, second]: &'a [String; 2]) -> Self {
        let count = Count { posted: ledger.entries.len() as u64, ..Count::default() };
        let seen = HashSet::with_capacity(ledger.entries.len());
        Self { ledger, expected, second, count, seen, of_request: HashMap::new() }
    }

    fn row(&mut self, row: &Row<'_>) -> Result<()> {
        let flight: Flight<'_> =
            serde_json::from_slice(row.original).context("a stored event is no flight")?;
        self.count.add(row);
        let mut found = row.rules.clone();
        found.sort_unstable();
        if !found.into_iter().eq(self.expected.findings(&flight, row.revision == self.second)) {
            self.count.misjudged += 1;
        }
        match self.ledger.entries.get(flight.id.as_ref()) {
            None => self.count.strange += 1,
            Some(entry) => {
                if entry.event_id.is_none_or(|id| id.to_string() != row.event_id) {
                    self.count.other_id += 1;
                }
                if let Some(request) = entry.request {
                    self.of_request.entry(request).or_default().insert(row.revision.to_owned());
                }
            }
        }
        if !self.seen.insert(flight.id.into_owned()) {
            self.count.stored_twice += 1;
        }
        Ok(())
    }

    fn finish(self) -> Count {
        let keys = self.ledger.entries.keys();
        let lost = keys.filter(|key| !self.seen.contains(*key)).count() as u64;
        let mixed = self.of_request.values().filter(|revisions| revisions.len() > 1).count() as u64;
        Count { lost, mixed_requests: mixed, ..self.count }
    }
}

impl Count {
    fn add(&mut self, row: &Row<'_>) {
        if row.quarantined {
            self.quarantined += 1;
        } else {
            self.accepted += 1;
        }
        for rule in &row.rules {
            *self.findings.entry((*rule).to_owned()).or_default() += 1;
        }
        *self.revisions.entry(row.revision.to_owned()).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::expected::JANUARY;
    use crate::ledger::Entry;
    use tidegate_types::{EventId, UnixMillis};

    fn id(number: u64) -> EventId {
        EventId::from_parts(UnixMillis(number), 0, 0)
    }

    /// A ledger of two events, `a` and `b`, that one request carried.
    fn ledger() -> Ledger {
        let mut ledger = Ledger::new();
        for (key, number) in [("a", 1), ("b", 2)] {
            let event_id = Some(id(number));
            let entry = Entry { event_id, fresh: 1, request: Some(0), ..Entry::default() };
            ledger.entries.insert(key.into(), entry);
        }
        ledger
    }

    /// What comes of rows, each a key, the number of its id, its revision and its rules. Every
    /// flight is 121 minutes late and known in every other way.
    fn counted(rows: &[(&str, u64, &str, &[&'static str])]) -> Count {
        let (ledger, revisions) = (ledger(), ["r1".to_owned(), "r2".to_owned()]);
        let mut counter = Counter::new(&ledger, Expected::load().unwrap(), &revisions);
        for (key, number, revision, rules) in rows {
            let original = format!(
                r#"{{"id":"{key}","dep_time":1,"dep_delay":121,"arr_delay":1,"tailnum":"N14228","dest":"IAH"}}"#
            );
            let (event_id, rules) = (id(*number).to_string(), rules.to_vec());
            let original = original.as_bytes();
            let row = Row { quarantined: false, event_id: &event_id, revision, original, rules };
            counter.row(&row).unwrap();
        }
        counter.finish()
    }

    #[test]
    fn all_is_well_where_each_event_is_stored_once() {
        let count = counted(&[("a", 1, "r1", &[]), ("b", 2, "r1", &[])]);
        assert_eq!((count.posted, count.stored(), count.lost, count.stored_twice), (2, 2, 0, 0));
        assert_eq!(
            (count.strange, count.other_id, count.misjudged, count.mixed_requests),
            (0, 0, 0, 0)
        );
        assert_eq!(count.revisions, BTreeMap::from([("r1".to_owned(), 2)]));
    }

    #[test]
    fn everything_that_is_wrong_is_counted() {
        let added = &["left-within-two-hours"][..];
        let lost = counted(&[("a", 1, "r1", &[])]);
        assert_eq!(lost.lost, 1);
        let twice = counted(&[("a", 1, "r1", &[]), ("b", 2, "r1", &[]), ("b", 2, "r1", &[])]);
        assert_eq!((twice.stored_twice, twice.lost), (1, 0));
        let strange = counted(&[("a", 1, "r1", &[]), ("b", 2, "r1", &[]), ("c", 3, "r1", &[])]);
        assert_eq!(strange.strange, 1);
        let other_id = counted(&[("a", 1, "r1", &[]), ("b", 3, "r1", &[])]);
        assert_eq!(other_id.other_id, 1);
        let mixed = counted(&[("a", 1, "r1", &[]), ("b", 2, "r2", added)]);
        assert_eq!((mixed.mixed_requests, mixed.misjudged), (1, 0));
        for (revision, rules) in [("r1", added), ("r2", &[]), ("r1", &["departed"])] {
            let misjudged = counted(&[("a", 1, "r1", &[]), ("b", 2, revision, rules)]);
            assert_eq!(misjudged.misjudged, 1, "{revision} {rules:?}");
        }
    }

    #[test]
    fn failures_name_what_differs() {
        let revisions = ["r1".to_owned(), "r2".to_owned()];
        let mut count = Count {
            posted: JANUARY.events,
            accepted: JANUARY.events - 800,
            quarantined: 800,
            revisions: BTreeMap::from([("r1".into(), 20_000), ("r2".into(), 7_004)]),
            findings: JANUARY
                .by_rule()
                .into_iter()
                .map(|(rule, found)| (rule.into(), found))
                .collect(),
            ..Count::default()
        };
        assert_eq!(count.failures(&Ledger::new(), &JANUARY, &revisions), Vec::<String>::new());
        count.findings.insert("departed".into(), 520);
        count.lost = 1;
        count.revisions = BTreeMap::from([("r1".into(), 20_000), ("r3".into(), 7_004)]);
        let failures = count.failures(&Ledger::new(), &JANUARY, &revisions);
        assert_eq!(
            failures,
            [
                "events lost: 1, expected 0",
                "departed: 520, expected 521",
                "revision 2 judged no event",
                "some events were judged by an unknown revision",
            ]
        );
    }
}
