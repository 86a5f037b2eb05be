//! What rules cost and say, per tenant, component and rule: read by the admin API and as Prometheus
//! metrics. Counters live as long as the process, also of rules that no plan holds any more.

pub(crate) mod counters;
mod report;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tidegate_types::{Digest, RuleName, TenantId};

use crate::guest::manifest::Manifest;
use counters::{Key, Meters, Observed};

pub(crate) use report::report;

const SEVERITIES: [&str; 4] = ["info", "warn", "soft", "hard"];
/// In the order of `FaultKind`.
const FAULTS: [&str; 6] = ["trap", "timeout", "memory", "bad-answer", "manifest", "refused"];
/// Upper bounds of the histogram of CPU time of calls.
const CPU_BOUNDS_MICROS: [u64; 8] = [2, 10, 50, 250, 1_000, 5_000, 25_000, 100_000];
/// Upper bounds of the histogram of time that calls wait for a turn.
const WAIT_BOUNDS_MICROS: [u64; 6] = [1_000, 5_000, 25_000, 100_000, 500_000, 2_500_000];

/// Rules that are observed apart; beyond, those that no plan holds are summed up.
const MOST_RULES: usize = 4096;

/// Values by size. The last bucket has no upper bound.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Histogram {
    /// Upper bounds of all buckets but the last, in microseconds.
    pub bounds_micros: &'static [u64],
    /// Values in each bucket, not summed up.
    pub counts: Vec<u64>,
    /// The sum of all values.
    pub seconds: f64,
}

impl Histogram {
    fn new(bounds_micros: &'static [u64]) -> Self {
        Self { bounds_micros, counts: vec![0; bounds_micros.len() + 1], seconds: 0.0 }
    }

    fn add(&mut self, other: &Self) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(sum, count)| *sum += count);
        self.seconds += other.seconds;
    }
}

/// Sums since the process began.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Totals {
    pub calls: u64,
    /// Events that were judged; again for each call where one was tried more than once.
    pub rows: u64,
    /// By severity.
    pub findings: BTreeMap<Arc<str>, u64>,
    /// Findings by code; the host's own as well.
    pub codes: BTreeMap<Arc<str>, u64>,
    /// Faulted calls by kind.
    pub faults: BTreeMap<Arc<str>, u64>,
    /// Events that were not judged since the breaker was open.
    pub refused_rows: u64,
    /// CPU time of calls. Short ones are sampled.
    pub cpu: Histogram,
    /// How long calls waited for a turn among the tenant's.
    pub queue_wait: Histogram,
    /// The most that one instance has held.
    pub memory_peak_bytes: u64,
    /// Instances that were started for calls.
    pub starts: u64,
    pub log_lines: u64,
    pub log_lines_dropped: u64,
    /// What the rule itself counted, by metric.
    pub counters: BTreeMap<Arc<str>, u64>,
    /// Instances of the component that wait for a call now.
    pub warm_instances: u64,
    /// Breakers of the component, one for each configuration, that are open now.
    pub breakers_open: u64,
}

impl Default for Totals {
    fn default() -> Self {
        Self {
            calls: 0,
            rows: 0,
            findings: BTreeMap::new(),
            codes: BTreeMap::new(),
            faults: BTreeMap::new(),
            refused_rows: 0,
            cpu: Histogram::new(&CPU_BOUNDS_MICROS),
            queue_wait: Histogram::new(&WAIT_BOUNDS_MICROS),
            memory_peak_bytes: 0,
            starts: 0,
            log_lines: 0,
            log_lines_dropped: 0,
            counters: BTreeMap::new(),
            warm_instances: 0,
            breakers_open: 0,
        }
    }
}

impl Totals {
    /// Adds those of another rule, whose names of codes and metrics are its own affair.
    fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.rows += other.rows;
        for (sums, counts) in
            [(&mut self.findings, &other.findings), (&mut self.faults, &other.faults)]
        {
            for (name, count) in counts {
                *sums.entry(Arc::clone(name)).or_default() += count;
            }
        }
        for (sums, counts) in
            [(&mut self.codes, &other.codes), (&mut self.counters, &other.counters)]
        {
            // A rule may count up to the end of numbers.
            let sum = sums.entry("other".into()).or_default();
            *sum = counts.values().fold(*sum, |sum, count| sum.saturating_add(*count));
        }
        self.refused_rows += other.refused_rows;
        self.cpu.add(&other.cpu);
        self.queue_wait.add(&other.queue_wait);
        self.memory_peak_bytes = self.memory_peak_bytes.max(other.memory_peak_bytes);
        self.starts += other.starts;
        self.log_lines += other.log_lines;
        self.log_lines_dropped += other.log_lines_dropped;
        self.warm_instances += other.warm_instances;
        self.breakers_open += other.breakers_open;
    }
}

/// One rule of one tenant in one version of its component.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleObservation {
    pub tenant: TenantId,
    pub component: Digest,
    pub rule: RuleName,
    /// The name that the component gives itself.
    pub plugin: String,
    #[serde(flatten)]
    pub totals: Totals,
}

/// All rules that were ever run, and the sum of those that were let go.
#[derive(Debug, Default)]
pub(crate) struct Observations(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// With the number of each, by which the oldest comes first.
    rules: HashMap<Key, (u64, Arc<Observed>)>,
    next: u64,
    retired: Totals,
}

impl Observations {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The counters of a rule that takes its place in a plan.
    pub(crate) fn meters(&self, key: Key, manifest: &Manifest, workers: usize) -> Meters {
        let mut inner = self.inner();
        if let Some((_, observed)) = inner.rules.get(&key) {
            return Meters::new(Arc::clone(observed), manifest);
        }
        if inner.rules.len() >= MOST_RULES {
            inner.retire();
        }
        let observed = Arc::new(Observed::new(key.clone(), &manifest.name, workers));
        let number = inner.next;
        inner.next += 1;
        inner.rules.insert(key, (number, Arc::clone(&observed)));
        Meters::new(observed, manifest)
    }

    /// All rules, the oldest first, and the sum of those that were let go. Gauges are not filled in.
    pub(crate) fn read(&self) -> (Vec<RuleObservation>, Totals) {
        let inner = self.inner();
        let mut rules: Vec<_> = inner.rules.values().cloned().collect();
        let retired = inner.retired.clone();
        drop(inner);
        rules.sort_unstable_by_key(|(number, _)| *number);
        let rules = rules.into_iter().map(|(_, observed)| {
            let (tenant, component, rule) = observed.key.clone();
            let plugin = observed.plugin.clone();
            RuleObservation { tenant, component, rule, plugin, totals: observed.totals() }
        });
        (rules.collect(), retired)
    }
}

impl Inner {
    /// Sums up those that no plan holds.
    fn retire(&mut self) {
        let retired = &mut self.retired;
        self.rules.retain(|_, (_, observed)| {
            let in_use = Arc::strong_count(observed) > 1;
            if !in_use {
                retired.add(&observed.totals());
            }
            in_use
        });
    }
}
