//! How many dead letters are written, and how many are only counted.
//!
//! Letters of the same tenant, event type and reason say little more than the first ones. Of each such
//! kind a number is written in full in a minute; the others are counted, and at the minute's end one
//! letter stands for them, with the ids of the first of them. The events themselves are in the node's
//! files in any case. A node that crashes loses the counts of the minute.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::json;
use tidegate_types::EventId;

/// How many dead letters are written.
#[derive(Clone, Copy, Debug)]
pub struct DeadOptions {
    /// Letters of one kind that are written in full in each period; 1 or more. 100.
    pub full_letters: u64,
    /// 1 minute.
    pub period: Duration,
}

impl Default for DeadOptions {
    fn default() -> Self {
        Self { full_letters: 100, period: Duration::from_secs(60) }
    }
}

/// Kinds that are told apart in one period; beyond, letters are alike.
const MOST_KINDS: usize = 1000;
/// Ids that a count names.
const MOST_IDS: usize = 100;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct LetterKind {
    pub(super) tenant: String,
    pub(super) event_type: String,
    pub(super) code: &'static str,
}

/// Letters that one letter stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) kind: LetterKind,
    pub(super) count: u64,
    /// Of the first one.
    pub(super) why: String,
    pub(super) ids: Vec<EventId>,
}

impl Count {
    /// The body of the letter: JSON.
    pub(super) fn body(&self) -> Vec<u8> {
        let ids: Vec<String> = self.ids.iter().map(EventId::to_string).collect();
        let body = json!({ "stands_for": self.count, "first_event_ids": ids });
        body.to_string().into_bytes()
    }
}

#[derive(Debug)]
pub(super) struct Compactor {
    options: DeadOptions,
    began: Instant,
    written: HashMap<LetterKind, u64>,
    counts: HashMap<LetterKind, Count>,
}

impl Compactor {
    pub(super) fn new(options: DeadOptions, now: Instant) -> Self {
        Self { options, began: now, written: HashMap::new(), counts: HashMap::new() }
    }

    /// Is this letter to be written? Where not, it is counted.
    pub(super) fn admits(&mut self, kind: LetterKind, id: EventId, why: &str) -> bool {
        let kind = self.known(kind);
        let written = self.written.entry(kind.clone()).or_default();
        if *written < self.options.full_letters {
            *written += 1;
            return true;
        }
        let count = self.counts.entry(kind).or_insert_with_key(|kind| Count {
            kind: kind.clone(),
            count: 0,
            why: why.to_owned(),
            ids: Vec::new(),
        });
        count.count += 1;
        if count.ids.len() < MOST_IDS {
            count.ids.push(id);
        }
        false
    }

    fn known(&self, kind: LetterKind) -> LetterKind {
        if self.written.len() < MOST_KINDS || self.written.contains_key(&kind) {
            return kind;
        }
        LetterKind { tenant: "other".to_owned(), event_type: "other".to_owned(), code: kind.code }
    }

    /// The counts of a period that is over, or of one that is ended early.
    pub(super) fn ended(&mut self, now: Instant, early: bool) -> Vec<Count> {
        if !early && now.saturating_duration_since(self.began) < self.options.period {
            return Vec::new();
        }
        self.began = now;
        self.written.clear();
        self.counts.drain().map(|(_, count)| count).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_types::UnixMillis;

    fn kind(tenant: &str) -> LetterKind {
        LetterKind { tenant: tenant.into(), event_type: "t".into(), code: "refused" }
    }

    fn id(number: u64) -> EventId {
        EventId::from_parts(UnixMillis(number), 0, 0)
    }

    #[test]
    fn the_first_are_written_and_one_letter_stands_for_the_rest() {
        let now = Instant::now();
        let options = DeadOptions { full_letters: 2, period: Duration::from_secs(60) };
        let mut compactor = Compactor::new(options, now);
        let admitted: Vec<bool> =
            (0..205).map(|number| compactor.admits(kind("a"), id(number), "why")).collect();
        assert_eq!(admitted.iter().filter(|admitted| **admitted).count(), 2);
        assert!(compactor.admits(kind("b"), id(0), "why"), "another kind has its own");
        assert_eq!(compactor.ended(now + Duration::from_secs(59), false), []);
        let counts = compactor.ended(now + Duration::from_secs(60), false);
        let [count] = counts.as_slice() else { panic!("{counts:?}") };
        assert_eq!((count.count, count.ids.len(), count.ids[0]), (203, 100, id(2)));
        assert!(compactor.admits(kind("a"), id(1), "why"), "a new period");
        assert_eq!(compactor.ended(now + Duration::from_secs(61), true), []);
    }

    #[test]
    fn kinds_are_bounded() {
        let now = Instant::now();
        let options = DeadOptions { full_letters: 1, ..DeadOptions::default() };
        let mut compactor = Compactor::new(options, now);
        for number in 0..3000 {
            compactor.admits(kind(&number.to_string()), id(number), "why");
        }
        let counts = compactor.ended(now, true);
        assert_eq!(counts.iter().map(|count| count.count).sum::<u64>(), 1999);
    }
}
