//! What is counted while rules run: relaxed atomics, those of every call in a shard per worker.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tidegate_types::{Digest, Finding, RuleName, Severity, TenantId};

use super::{CPU_BOUNDS_MICROS, FAULTS, Histogram, SEVERITIES, Totals, WAIT_BOUNDS_MICROS};
use crate::evaluate::instance::FaultKind;
use crate::evaluate::pool::worker;
use crate::evaluate::rule::Cost;
use crate::guest::manifest::Manifest;

/// Names of codes, and of metrics, that one rule can have over all its configurations.
const MOST_NAMES: usize = 512;
/// Stands for all names beyond.
const OTHER: &str = "other";
/// What the host itself finds in a rule's name.
const HOST_CODES: [&str; 3] = [Finding::FAULT, Finding::FALLBACK, Finding::PATCH_CONFLICT];

/// Whose counters they are.
pub(crate) type Key = (TenantId, Digest, RuleName);

type Counter = Arc<AtomicU64>;

/// The counters of one rule of one tenant in one version of its component.
#[derive(Debug)]
pub(crate) struct Observed {
    pub(crate) key: Key,
    /// The name that the component gives itself.
    pub(crate) plugin: String,
    shards: Box<[Shard]>,
    findings: [AtomicU64; SEVERITIES.len()],
    faults: [AtomicU64; FAULTS.len()],
    refused_rows: AtomicU64,
    waits: Buckets<{ WAIT_BOUNDS_MICROS.len() + 1 }>,
    memory_peak: AtomicU64,
    pub(crate) starts: AtomicU64,
    pub(crate) lines: AtomicU64,
    pub(crate) lines_dropped: AtomicU64,
    codes: Mutex<BTreeMap<Arc<str>, Counter>>,
    metrics: Mutex<BTreeMap<Arc<str>, Counter>>,
}

/// Counted at each call, by one worker mostly; aligned, so that workers do not share a cache line.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    calls: AtomicU64,
    rows: AtomicU64,
    cpu: Buckets<{ CPU_BOUNDS_MICROS.len() + 1 }>,
}

#[derive(Debug)]
struct Buckets<const N: usize> {
    counts: [AtomicU64; N],
    nanos: AtomicU64,
}

impl<const N: usize> Default for Buckets<N> {
    fn default() -> Self {
        Self { counts: std::array::from_fn(|_| AtomicU64::new(0)), nanos: AtomicU64::new(0) }
    }
}

impl<const N: usize> Buckets<N> {
    fn add(&self, bounds_micros: &[u64], each: Duration, times: u64) {
        let nanos = u64::try_from(each.as_nanos()).unwrap_or(u64::MAX);
        let place = bounds_micros.partition_point(|bound| bound * 1000 < nanos);
        if let Some(count) = self.counts.get(place) {
            add(count, times);
        }
        add(&self.nanos, nanos.saturating_mul(times));
    }

    fn read_into(&self, histogram: &mut Histogram) {
        for (slot, count) in histogram.counts.iter_mut().zip(&self.counts) {
            *slot += read(count);
        }
        histogram.seconds += read(&self.nanos) as f64 / 1e9;
    }
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Observed {
    pub(super) fn new(key: Key, plugin: &str, workers: usize) -> Self {
        Self {
            key,
            plugin: plugin.to_owned(),
            shards: (0..workers.max(1)).map(|_| Shard::default()).collect(),
            findings: Default::default(),
            faults: Default::default(),
            refused_rows: AtomicU64::default(),
            waits: Buckets::default(),
            memory_peak: AtomicU64::default(),
            starts: AtomicU64::default(),
            lines: AtomicU64::default(),
            lines_dropped: AtomicU64::default(),
            codes: Mutex::default(),
            metrics: Mutex::default(),
        }
    }

    /// The sums of now.
    pub(super) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for shard in &self.shards {
            totals.calls += read(&shard.calls);
            totals.rows += read(&shard.rows);
            shard.cpu.read_into(&mut totals.cpu);
        }
        self.waits.read_into(&mut totals.queue_wait);
        // Calls that found a turn at once are not timed.
        let waited: u64 = totals.queue_wait.counts.iter().sum();
        if let Some(none) = totals.queue_wait.counts.first_mut() {
            *none += totals.calls.saturating_sub(waited);
        }
        for (name, count) in SEVERITIES.iter().zip(&self.findings) {
            totals.findings.insert((*name).into(), read(count));
        }
        for (name, count) in FAULTS.iter().zip(&self.faults) {
            totals.faults.insert((*name).into(), read(count));
        }
        totals.codes = named(&self.codes);
        totals.counters = named(&self.metrics);
        totals.refused_rows = read(&self.refused_rows);
        totals.memory_peak_bytes = read(&self.memory_peak);
        totals.starts = read(&self.starts);
        totals.log_lines = read(&self.lines);
        totals.log_lines_dropped = read(&self.lines_dropped);
        totals
    }
}

fn named(counters: &Mutex<BTreeMap<Arc<str>, Counter>>) -> BTreeMap<Arc<str>, u64> {
    let counters = counters.lock().unwrap_or_else(PoisonError::into_inner);
    counters.iter().map(|(name, count)| (Arc::clone(name), read(count))).collect()
}

/// The counters of these names, made where there are none yet.
fn counters<'n>(
    all: &Mutex<BTreeMap<Arc<str>, Counter>>,
    names: impl Iterator<Item = &'n Arc<str>>,
) -> Vec<(Arc<str>, Counter)> {
    let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
    let mut counter = |name: &Arc<str>| {
        let known = all.len() < MOST_NAMES || all.contains_key(name);
        let entry = if known { Arc::clone(name) } else { OTHER.into() };
        (Arc::clone(name), Arc::clone(all.entry(entry).or_default()))
    };
    names.map(&mut counter).collect()
}

/// What one rule in its place in a plan counts on.
#[derive(Debug)]
pub(crate) struct Meters {
    pub(crate) observed: Arc<Observed>,
    codes: Vec<(Arc<str>, Counter)>,
    /// In the order of the manifest.
    metrics: Vec<(Arc<str>, Counter)>,
}

impl Meters {
    pub(super) fn new(observed: Arc<Observed>, manifest: &Manifest) -> Self {
        let own = HOST_CODES.map(Arc::<str>::from);
        let codes = counters(&observed.codes, manifest.codes.iter().chain(&own));
        let metrics = counters(&observed.metrics, manifest.metrics.iter());
        Self { observed, codes, metrics }
    }

    /// A call begins.
    pub(crate) fn call(&self, rows: usize, waited: Option<Duration>) {
        let shards = &self.observed.shards;
        if let Some(shard) = shards.get(worker() % shards.len()) {
            add(&shard.calls, 1);
            add(&shard.rows, rows as u64);
        }
        if let Some(waited) = waited {
            self.observed.waits.add(&WAIT_BOUNDS_MICROS, waited, 1);
        }
    }

    pub(crate) fn cpu(&self, cost: Cost) {
        let shards = &self.observed.shards;
        if let Some(shard) = shards.get(worker() % shards.len()) {
            shard.cpu.add(&CPU_BOUNDS_MICROS, cost.each, u64::from(cost.calls));
        }
    }

    pub(crate) fn memory(&self, bytes: usize) {
        let peak = &self.observed.memory_peak;
        if read(peak) < bytes as u64 {
            peak.fetch_max(bytes as u64, Ordering::Relaxed);
        }
    }

    pub(crate) fn start(&self) {
        add(&self.observed.starts, 1);
    }

    pub(crate) fn fault(&self, kind: FaultKind) {
        if let Some(count) = self.observed.faults.get(kind as usize) {
            add(count, 1);
        }
    }

    /// Rows that were not judged since the breaker is open.
    pub(crate) fn refused(&self, rows: usize) {
        add(&self.observed.refused_rows, rows as u64);
    }

    pub(crate) fn finding(&self, severity: Severity, code: &Arc<str>) {
        if let Some(count) = self.observed.findings.get(severity as usize) {
            add(count, 1);
        }
        let of = |(name, _): &&(Arc<str>, Counter)| Arc::ptr_eq(name, code) || **name == **code;
        if let Some((_, count)) = self.codes.iter().find(of) {
            add(count, 1);
        }
    }

    /// The rule's own counters, in the order of its manifest.
    pub(crate) fn counted(&self, counts: &[u64]) {
        for ((_, metric), count) in self.metrics.iter().zip(counts) {
            if *count > 0 {
                let add = |sum: u64| Some(sum.saturating_add(*count));
                // The function never refuses.
                metric.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).ok();
            }
        }
    }
}
