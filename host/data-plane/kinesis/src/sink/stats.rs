//! What became of calls and records, in numbers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tidegate_telemetry::Page;
use tidegate_telemetry::metrics::sinks as metrics;

use crate::client::trouble::Meaning;

/// How often the log is told of the same.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Counters of one sink since its start.
#[derive(Debug, Default)]
pub(super) struct Stats {
    calls: AtomicU64,
    calls_throttled: AtomicU64,
    calls_refused: AtomicU64,
    calls_unanswered: AtomicU64,
    calls_failed: AtomicU64,
    /// Records in calls, each time that one is sent, and their bytes.
    sent: AtomicU64,
    sent_bytes: AtomicU64,
    stored: AtomicU64,
    rejected: AtomicU64,
    entries_failed: AtomicU64,
    entries_throttled: AtomicU64,
    pub(super) throttling: Teller,
}

/// Tells the log of something now and then, and of all of it.
#[derive(Debug, Default)]
pub(super) struct Teller(Mutex<Untold>);

#[derive(Debug, Default)]
struct Untold {
    told: Option<Instant>,
    records: usize,
}

impl Teller {
    /// How many records it was since the log was told, if it is to be told now.
    pub(super) fn tell(&self, records: usize, now: Instant) -> Option<usize> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.records += records;
        if state.told.is_some_and(|told| now.saturating_duration_since(told) < TELL_EVERY) {
            return None;
        }
        state.told = Some(now);
        Some(std::mem::take(&mut state.records))
    }
}

fn add(counter: &AtomicU64, count: usize) {
    if count > 0 {
        counter.fetch_add(count as u64, Ordering::Relaxed);
    }
}

impl Stats {
    pub(super) fn called(&self, records: usize, bytes: usize) {
        add(&self.calls, 1);
        add(&self.sent, records);
        add(&self.sent_bytes, bytes);
    }

    /// A call was answered entry by entry; of them so many failed, and of these so many by throttling.
    pub(super) fn answered(&self, failed: usize, throttled: usize) {
        add(&self.entries_failed, failed.saturating_sub(throttled));
        add(&self.entries_throttled, throttled);
    }

    pub(super) fn call_failed(&self, meaning: &Meaning) {
        let counter = match meaning {
            Meaning { is_throttled: true, .. } => &self.calls_throttled,
            Meaning { is_refused: true, .. } => &self.calls_refused,
            Meaning { is_unknown: true, .. } => &self.calls_unanswered,
            Meaning { .. } => &self.calls_failed,
        };
        add(counter, 1);
    }

    pub(super) fn stored(&self, records: usize) {
        add(&self.stored, records);
    }

    pub(super) fn rejected(&self, records: usize) {
        add(&self.rejected, records);
    }

    pub(super) fn report(&self, sink: &str, page: &mut Page) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        page.put(&metrics::KINESIS_CALLS, &[sink], read(&self.calls));
        for (reason, counter) in [
            ("throttled", &self.calls_throttled),
            ("refused", &self.calls_refused),
            ("unanswered", &self.calls_unanswered),
            ("failed", &self.calls_failed),
        ] {
            page.put(&metrics::KINESIS_FAILED_CALLS, &[sink, reason], read(counter));
        }
        page.put(&metrics::KINESIS_SENT_RECORDS, &[sink], read(&self.sent));
        page.put(&metrics::KINESIS_SENT_BYTES, &[sink], read(&self.sent_bytes));
        for (outcome, counter) in [
            ("stored", &self.stored),
            ("rejected", &self.rejected),
            ("throttled", &self.entries_throttled),
            ("failed", &self.entries_failed),
        ] {
            page.put(&metrics::KINESIS_RECORDS, &[sink, outcome], read(counter));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_told_now_and_then_and_of_all_of_it() {
        let (teller, start) = (Teller::default(), Instant::now());
        assert_eq!(teller.tell(3, start), Some(3));
        assert_eq!(teller.tell(4, start + Duration::from_secs(9)), None);
        assert_eq!(teller.tell(5, start + Duration::from_secs(10)), Some(9));
    }
}
