//! What the store has answered and done, for metrics.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tidegate_dedup::{Claim, DedupStats};
use tidegate_types::EventId;

/// Events stored twice that are remembered, so that each counts once however often the log is read.
const REMEMBERED: usize = 65_536;

/// Upper ends of the latency histogram, in microseconds.
const BUCKETS: [u64; 10] = [250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000];

/// What is timed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operation {
    Claim,
    Settle,
}

#[derive(Debug, Default)]
struct Histogram {
    buckets: [AtomicU64; BUCKETS.len()],
    count: AtomicU64,
    micros: AtomicU64,
}

#[derive(Debug, Default)]
pub(super) struct Stats {
    new: AtomicU64,
    own: AtomicU64,
    replayed: AtomicU64,
    conflict: AtomicU64,
    in_flight: AtomicU64,
    full: AtomicU64,
    unavailable: AtomicU64,
    committed: AtomicU64,
    commits_refused: AtomicU64,
    made_up_for: AtomicU64,
    released: AtomicU64,
    releases_dropped: AtomicU64,
    reservations_lost: AtomicU64,
    stored_twice: AtomicU64,
    known_twice: Mutex<HashSet<EventId>>,
    claims: Histogram,
    settlings: Histogram,
}

fn add(counter: &AtomicU64, count: u64) {
    if count > 0 {
        counter.fetch_add(count, Ordering::Relaxed);
    }
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Stats {
    pub(super) fn answered(&self, answers: &[Claim]) {
        let mut counts = DedupStats::default();
        for one in answers {
            match one {
                Claim::New => counts.new += 1,
                Claim::Own { .. } | Claim::OwnConflict => counts.own += 1,
                Claim::Committed { .. } => counts.replayed += 1,
                Claim::Conflict => counts.conflict += 1,
                Claim::InFlight { .. } => counts.in_flight += 1,
                Claim::Full => counts.full += 1,
            }
        }
        add(&self.new, counts.new);
        add(&self.own, counts.own);
        add(&self.replayed, counts.replayed);
        add(&self.conflict, counts.conflict);
        add(&self.in_flight, counts.in_flight);
        add(&self.full, counts.full);
    }

    pub(super) fn unavailable(&self, keys: u64) {
        add(&self.unavailable, keys);
    }

    pub(super) fn committed(&self, keys: u64) {
        add(&self.committed, keys);
    }

    pub(super) fn commit_refused(&self) {
        add(&self.commits_refused, 1);
    }

    pub(super) fn made_up_for(&self) {
        add(&self.made_up_for, 1);
    }

    pub(super) fn released(&self, keys: u64) {
        add(&self.released, keys);
    }

    pub(super) fn release_dropped(&self) {
        add(&self.releases_dropped, 1);
    }

    pub(super) fn reservation_lost(&self) {
        add(&self.reservations_lost, 1);
    }

    /// Counts an event that is stored a second time; `false` where that is known.
    pub(super) fn stored_twice(&self, event_id: EventId) -> bool {
        let mut known = self.known_twice.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        let is_new = known.insert(event_id);
        add(&self.stored_twice, u64::from(is_new));
        is_new
    }

    pub(super) fn took(&self, operation: Operation, took: Duration) {
        let histogram = match operation {
            Operation::Claim => &self.claims,
            Operation::Settle => &self.settlings,
        };
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BUCKETS.iter().zip(&histogram.buckets).find(|(end, _)| micros <= **end);
        if let Some((_, bucket)) = bucket {
            add(bucket, 1);
        }
        add(&histogram.count, 1);
        add(&histogram.micros, micros);
    }

    /// `open` is how many appends are not known to be committed.
    pub(super) fn prometheus(&self, open: u64) -> String {
        let common = DedupStats {
            new: read(&self.new),
            own: read(&self.own),
            replayed: read(&self.replayed),
            conflict: read(&self.conflict),
            in_flight: read(&self.in_flight),
            full: read(&self.full),
            committed: read(&self.committed),
            released: read(&self.released),
            leases_lost: read(&self.reservations_lost),
            ..DedupStats::default()
        };
        let mut out = common.prometheus();
        for (name, help, count) in [
            ("unavailable_total", "Keys that could not be asked for.", read(&self.unavailable)),
            (
                "duplicates_stored_total",
                "Events that were stored although their key was committed: each is one duplicate.",
                read(&self.stored_twice),
            ),
            (
                "commits_refused_total",
                "Commits that Redis refused; they are made up for from the log.",
                read(&self.commits_refused),
            ),
            (
                "commits_made_up_for_total",
                "Keys that were committed from the log.",
                read(&self.made_up_for),
            ),
            (
                "releases_dropped_total",
                "Requests whose keys are left to their lease, because too many waited.",
                read(&self.releases_dropped),
            ),
        ] {
            let name = format!("tidegate_dedup_{name}");
            let text = format!("# HELP {name} {help}\n# TYPE {name} counter\n{name} {count}\n");
            out.push_str(&text);
        }
        out.push_str(&format!(
            "# HELP tidegate_dedup_uncommitted_appends Appends that are not known to be committed.\n\
             # TYPE tidegate_dedup_uncommitted_appends gauge\n\
             tidegate_dedup_uncommitted_appends {open}\n\
             # HELP tidegate_dedup_store_seconds How long the store took for the keys of a request.\n\
             # TYPE tidegate_dedup_store_seconds histogram\n"
        ));
        self.claims.write("claim", &mut out);
        self.settlings.write("settle", &mut out);
        out
    }
}

impl Histogram {
    fn write(&self, operation: &str, out: &mut String) {
        let name = "tidegate_dedup_store_seconds";
        let mut below = 0;
        for (end, bucket) in BUCKETS.iter().zip(&self.buckets) {
            below += read(bucket);
            let end = *end as f64 / 1e6;
            let line = format!("{name}_bucket{{operation=\"{operation}\",le=\"{end}\"}} {below}\n");
            out.push_str(&line);
        }
        let (count, sum) = (read(&self.count), read(&self.micros) as f64 / 1e6);
        out.push_str(&format!(
            "{name}_bucket{{operation=\"{operation}\",le=\"+Inf\"}} {count}\n\
             {name}_sum{{operation=\"{operation}\"}} {sum}\n\
             {name}_count{{operation=\"{operation}\"}} {count}\n"
        ));
    }
}
