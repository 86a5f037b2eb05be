//! What a revision has done since it was put in force: verdicts, faults and how long judging took.
//! Counted by the requests themselves, read by whoever decides whether a revision stays.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::ser::{Serialize, SerializeStruct as _, Serializer};
use tidegate_plugin_host::Judgement;
use tidegate_types::{Finding, Severity};

/// Four buckets for each power of two of microseconds: a bucket's bounds are a quarter apart.
const BUCKETS: usize = 4 * 32;

/// Counts since the revision was built on this node.
#[derive(Debug)]
pub struct Stats {
    accepted: AtomicU64,
    quarantined: AtomicU64,
    rejected: AtomicU64,
    faulted: AtomicU64,
    requests: AtomicU64,
    micros: AtomicU64,
    latency: [AtomicU64; BUCKETS],
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            accepted: AtomicU64::default(),
            quarantined: AtomicU64::default(),
            rejected: AtomicU64::default(),
            faulted: AtomicU64::default(),
            requests: AtomicU64::default(),
            micros: AtomicU64::default(),
            latency: std::array::from_fn(|_| AtomicU64::default()),
        }
    }
}

impl Stats {
    /// Events that were refused before the rules ran.
    pub(crate) fn refused(&self, events: u64) {
        if events > 0 {
            self.rejected.fetch_add(events, Ordering::Relaxed);
        }
    }

    /// What the rules said of the events of one request, and how long that took.
    pub(crate) fn judged(&self, judgements: &[Judgement], took: Duration) {
        let (mut accepted, mut quarantined, mut rejected, mut faulted) = (0, 0, 0, 0);
        for judgement in judgements {
            match judgement.worst() {
                None | Some(Severity::Info | Severity::Warn) => accepted += 1,
                Some(Severity::Soft) => quarantined += 1,
                Some(Severity::Hard) => rejected += 1,
            }
            faulted += u64::from(is_faulted(judgement));
        }
        for (counter, count) in [
            (&self.accepted, accepted),
            (&self.quarantined, quarantined),
            (&self.rejected, rejected),
            (&self.faulted, faulted),
        ] {
            if count > 0 {
                counter.fetch_add(count, Ordering::Relaxed);
            }
        }
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(micros, Ordering::Relaxed);
        if let Some(bucket) = self.latency.get(bucket(micros)) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The counts of now.
    #[must_use]
    pub fn tally(&self) -> Tally {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Tally {
            accepted: read(&self.accepted),
            quarantined: read(&self.quarantined),
            rejected: read(&self.rejected),
            faulted: read(&self.faulted),
            requests: read(&self.requests),
            micros: read(&self.micros),
            latency: self.latency.iter().map(read).collect(),
        }
    }
}

pub(crate) fn is_faulted(judgement: &Judgement) -> bool {
    judgement.findings.iter().any(|finding| &*finding.code == Finding::FAULT)
}

fn bucket(micros: u64) -> usize {
    if micros < 4 {
        return usize::try_from(micros).unwrap_or_default();
    }
    let power = micros.ilog2();
    let quarter = (micros >> (power - 2)) & 3;
    (4 * (power as usize - 1) + usize::try_from(quarter).unwrap_or_default()).min(BUCKETS - 1)
}

/// The upper end of a bucket, in microseconds.
fn upper_end(bucket: usize) -> u64 {
    if bucket < 4 {
        return bucket as u64 + 1;
    }
    let (power, quarter) = (bucket / 4 + 1, bucket % 4);
    (5 + quarter as u64) << (power - 2)
}

/// Counts, at a moment or between two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub accepted: u64,
    pub quarantined: u64,
    pub rejected: u64,
    /// Events that met a fault of a rule; they are among the others as well.
    pub faulted: u64,
    pub requests: u64,
    /// Time that judging took, of all requests together.
    pub micros: u64,
    latency: Vec<u64>,
}

impl Serialize for Tally {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("Tally", 7)?;
        out.serialize_field("accepted", &self.accepted)?;
        out.serialize_field("quarantined", &self.quarantined)?;
        out.serialize_field("rejected", &self.rejected)?;
        out.serialize_field("faulted", &self.faulted)?;
        out.serialize_field("requests", &self.requests)?;
        out.serialize_field("judging_us", &self.micros)?;
        out.serialize_field("p99_us", &self.p99_micros())?;
        out.end()
    }
}

impl Tally {
    /// Events that were judged.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.accepted + self.quarantined + self.rejected
    }

    /// What has been counted since an earlier moment.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let latency = self.latency.iter().enumerate().map(|(at, count)| {
            count.saturating_sub(earlier.latency.get(at).copied().unwrap_or_default())
        });
        Self {
            accepted: self.accepted.saturating_sub(earlier.accepted),
            quarantined: self.quarantined.saturating_sub(earlier.quarantined),
            rejected: self.rejected.saturating_sub(earlier.rejected),
            faulted: self.faulted.saturating_sub(earlier.faulted),
            requests: self.requests.saturating_sub(earlier.requests),
            micros: self.micros.saturating_sub(earlier.micros),
            latency: latency.collect(),
        }
    }

    /// A time, in microseconds, within which 99 of 100 requests were judged; a quarter too long at
    /// most. `None` where there were no requests.
    #[must_use]
    pub fn p99_micros(&self) -> Option<u64> {
        let all: u64 = self.latency.iter().sum();
        let wanted = all.checked_sub(all / 100).filter(|wanted| *wanted > 0)?;
        let mut seen = 0;
        let at = self.latency.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        at.map(upper_end)
    }
}

#[cfg(test)]
mod tests {
    use tidegate_types::{Finding, RuleName};

    use super::*;

    #[test]
    fn every_time_falls_below_the_end_of_its_bucket_and_not_far() {
        for micros in (0..100_000).chain([1 << 30, (1 << 31) + 12345]) {
            let end = upper_end(bucket(micros));
            assert!(end > micros && end <= micros + micros / 4 + 1, "{micros} {end}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn verdicts_are_counted_and_compared_over_time() {
        let with = |severity, code: &str| {
            let rule = RuleName::new("r").expect("name");
            let (code, detail) = (code.into(), "".into());
            let finding = Finding { rule, code, severity, pointer: None, detail };
            Judgement { findings: vec![finding], ..Judgement::default() }
        };
        let stats = Stats::default();
        stats.refused(2);
        let judgements = [
            Judgement::default(),
            with(Severity::Warn, "late"),
            with(Severity::Soft, Finding::FAULT),
            with(Severity::Hard, "wrong"),
        ];
        stats.judged(&judgements, Duration::from_micros(100));
        let first = stats.tally();
        assert_eq!((first.accepted, first.quarantined, first.rejected), (2, 1, 3));
        assert_eq!((first.events(), first.faulted, first.requests), (6, 1, 1));
        for _ in 0..200 {
            stats.judged(&judgements[..1], Duration::from_micros(10));
        }
        stats.judged(&judgements[..1], Duration::from_millis(900));
        let later = stats.tally().since(&first);
        assert_eq!((later.accepted, later.events(), later.faulted), (201, 201, 0));
        assert_eq!(later.p99_micros(), Some(upper_end(bucket(10))));
        assert_eq!(stats.tally().since(&stats.tally()).p99_micros(), None);
    }
}
