//! What the log counts about itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tidegate_telemetry::metrics::log as metrics;
use tidegate_telemetry::{Distribution, Histogram, Page};

/// Upper bounds of the buckets of [`SyncTimes`], in microseconds; one more bucket has no bound.
pub const SYNC_BUCKETS_MICROS: [u64; 12] =
    [100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000];

/// Upper bounds of the sizes of groups, in bytes.
static GROUP_BOUNDS: [u64; 8] = [512, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304];

/// How long the syncs of groups and seals took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncTimes {
    pub count: u64,
    pub sum_micros: u64,
    pub max_micros: u64,
    /// How many fell into each bucket of [`SYNC_BUCKETS_MICROS`], not added up; the last is for
    /// the longer ones.
    pub buckets: [u64; 13],
}

/// Counters since the log was opened, and sizes as they are now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WalStats {
    pub groups: u64,
    pub seals: u64,
    pub records: u64,
    /// Bytes of all frames, their headers included.
    pub bytes: u64,
    pub syncs: SyncTimes,
    /// Batches refused for want of room.
    pub refused_full: u64,
    /// Batches refused because too much waited.
    pub refused_overloaded: u64,
    /// Batches that were not written because their time had passed.
    pub expired: u64,
    /// Bytes that wait to be written.
    pub queued_bytes: u64,
    /// Segments that have records.
    pub segments: u64,
    /// Bytes of all segment files, the prepared one included.
    pub segment_bytes: u64,
    pub sidecars: u64,
    /// Torn tails that lie beside the segments.
    pub torn_files: u64,
}

impl WalStats {
    pub(crate) fn report(&self, page: &mut Page) {
        page.put(&metrics::RECORDS, &[], self.records);
        page.put(&metrics::BYTES, &[], self.bytes);
        page.put(&metrics::GROUPS, &[], self.groups);
        page.put(&metrics::SEALS, &[], self.seals);
        let (syncs, seconds) = (self.syncs.buckets.to_vec(), self.syncs.sum_micros as f64 / 1e6);
        let syncs = Distribution::of_micros(&SYNC_BUCKETS_MICROS, syncs, seconds);
        page.put(&metrics::SYNC_DURATION, &[], syncs);
        page.put(&metrics::REFUSED, &["full"], self.refused_full);
        page.put(&metrics::REFUSED, &["overloaded"], self.refused_overloaded);
        page.put(&metrics::REFUSED, &["expired"], self.expired);
        page.put(&metrics::QUEUED_BYTES, &[], self.queued_bytes);
        page.put(&metrics::SEGMENTS, &[], self.segments);
        page.put(&metrics::SEGMENT_BYTES, &[], self.segment_bytes);
        page.put(&metrics::SIDECARS, &[], self.sidecars);
        page.put(&metrics::TORN_FILES, &[], self.torn_files);
    }
}

/// The counters behind [`WalStats`].
#[derive(Debug)]
pub(crate) struct Counters {
    pub(crate) groups: AtomicU64,
    pub(crate) seals: AtomicU64,
    pub(crate) records: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) refused_full: AtomicU64,
    pub(crate) refused_overloaded: AtomicU64,
    pub(crate) expired: AtomicU64,
    pub(crate) syncs: SyncCounters,
    pub(crate) group_bytes: Histogram,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            groups: AtomicU64::default(),
            seals: AtomicU64::default(),
            records: AtomicU64::default(),
            bytes: AtomicU64::default(),
            refused_full: AtomicU64::default(),
            refused_overloaded: AtomicU64::default(),
            expired: AtomicU64::default(),
            syncs: SyncCounters::default(),
            group_bytes: Histogram::of_sizes(&GROUP_BOUNDS),
        }
    }
}

/// The counters behind [`SyncTimes`].
#[derive(Debug, Default)]
pub(crate) struct SyncCounters {
    sum_micros: AtomicU64,
    max_micros: AtomicU64,
    buckets: [AtomicU64; 13],
}

impl SyncCounters {
    pub(crate) fn add(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
        self.max_micros.fetch_max(micros, Ordering::Relaxed);
        let bucket = SYNC_BUCKETS_MICROS.partition_point(|bound| *bound < micros);
        if let Some(counter) = self.buckets.get(bucket) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn read(&self) -> SyncTimes {
        let buckets = self.buckets.each_ref().map(|counter| counter.load(Ordering::Relaxed));
        SyncTimes {
            count: buckets.iter().sum(),
            sum_micros: self.sum_micros.load(Ordering::Relaxed),
            max_micros: self.max_micros.load(Ordering::Relaxed),
            buckets,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sync_times_fall_into_their_buckets() {
        let counters = SyncCounters::default();
        for micros in [0, 100, 101, 1_000_000, 1_000_001] {
            counters.add(Duration::from_micros(micros));
        }
        let times = counters.read();
        assert_eq!((times.count, times.max_micros, times.sum_micros), (5, 1_000_001, 2_000_202));
        assert_eq!(times.buckets, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
    }
}
