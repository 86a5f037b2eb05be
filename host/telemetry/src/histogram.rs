//! Counting durations by their length, and other things by their size, from many threads at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, TryLockError};
use std::time::{Duration, SystemTime};

use crate::page::Distribution;
use crate::trace::wall_clock;

/// A value that stands for those of its bucket, with the trace that it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// 16 hexadecimal digits.
    pub span_id: String,
    pub value: f64,
    pub at: SystemTime,
}

/// Values by their size.
#[derive(Debug)]
pub struct Histogram {
    /// They grow.
    bounds: &'static [u64],
    /// How many are told as 1: durations are counted in microseconds and told in seconds.
    per_unit: f64,
    /// One for each bound, and one for what is beyond all of them; not added up.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
    /// The latest of each bucket.
    exemplars: Mutex<Vec<Option<Exemplar>>>,
}

impl Histogram {
    /// Of durations; the bounds are in microseconds.
    #[must_use]
    pub fn of_durations(bounds: &'static [u64]) -> Self {
        Self::counting(bounds, 1e6)
    }

    /// Of what is told as it is counted.
    #[must_use]
    pub fn of_sizes(bounds: &'static [u64]) -> Self {
        Self::counting(bounds, 1.0)
    }

    fn counting(bounds: &'static [u64], per_unit: f64) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds, per_unit, counts, sum: AtomicU64::new(0), exemplars: Mutex::default() }
    }

    fn bucket(&self, value: u64) -> usize {
        self.bounds.partition_point(|bound| *bound < value)
    }

    pub fn observe_size(&self, value: u64) {
        if let Some(counter) = self.counts.get(self.bucket(value)) {
            counter.fetch_add(1, Ordering::Relaxed);
            self.sum.fetch_add(value, Ordering::Relaxed);
        }
    }

    pub fn observe(&self, took: Duration) {
        self.observe_size(micros(took));
    }

    /// The same for one that belongs to a trace: pairs of trace and span.
    pub fn observe_traced(&self, took: Duration, (trace_id, span_id): (String, String)) {
        self.observe(took);
        let bucket = self.bucket(micros(took));
        // One that another thread is in the way of is not missed.
        let mut exemplars = match self.exemplars.try_lock() {
            Ok(exemplars) => exemplars,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        exemplars.resize(self.counts.len(), None);
        if let Some(place) = exemplars.get_mut(bucket) {
            let (value, at) = (took.as_secs_f64(), wall_clock());
            *place = Some(Exemplar { trace_id, span_id, value, at });
        }
    }

    #[must_use]
    pub fn read(&self) -> Distribution {
        let counts = self.counts.iter().map(|counter| counter.load(Ordering::Relaxed)).collect();
        let exemplars = self.exemplars.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let exemplars = exemplars.clone();
        let bounds = self.bounds.iter().map(|bound| *bound as f64 / self.per_unit).collect();
        let sum = self.sum.load(Ordering::Relaxed) as f64 / self.per_unit;
        Distribution { bounds, counts, sum, exemplars }
    }
}

fn micros(took: Duration) -> u64 {
    u64::try_from(took.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_their_buckets() {
        let histogram = Histogram::of_durations(&[100, 1000]);
        for micros in [0, 100, 101, 1000, 1001, 5000] {
            histogram.observe(Duration::from_micros(micros));
        }
        let read = histogram.read();
        assert_eq!(read.counts, [2, 2, 2]);
        assert_eq!(read.bounds, [0.0001, 0.001]);
        assert!((read.sum - 0.007_202).abs() < 1e-9, "{}", read.sum);
        assert_eq!(read.exemplars, []);
    }

    #[test]
    fn the_latest_of_a_bucket_stands_for_it() {
        let histogram = Histogram::of_durations(&[100]);
        for (micros, trace) in [(1, "a"), (2, "b"), (1000, "c")] {
            let ids = (trace.to_owned(), "s".to_owned());
            histogram.observe_traced(Duration::from_micros(micros), ids);
        }
        let traces = histogram.read().exemplars.into_iter();
        let traces: Vec<_> = traces.map(|one| one.map(|one| one.trace_id)).collect();
        assert_eq!(traces, [Some("b".to_owned()), Some("c".to_owned())]);
    }
}
