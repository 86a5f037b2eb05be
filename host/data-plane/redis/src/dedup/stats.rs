//! What the store has answered and done, for metrics.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tidegate_dedup::{Claim, DedupStats};
use tidegate_telemetry::metrics::dedup as metrics;
use tidegate_telemetry::{Histogram, Page};
use tidegate_types::EventId;

/// Events stored twice that are remembered, so that each counts once however often the log is read.
const REMEMBERED: usize = 65_536;

/// Bounds of how long it takes, in microseconds.
static BOUNDS: [u64; 10] = [250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000];

/// What is timed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Operation {
    Claim,
    Settle,
}

#[derive(Debug)]
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

impl Default for Stats {
    fn default() -> Self {
        Self {
            new: AtomicU64::default(),
            own: AtomicU64::default(),
            replayed: AtomicU64::default(),
            conflict: AtomicU64::default(),
            in_flight: AtomicU64::default(),
            full: AtomicU64::default(),
            unavailable: AtomicU64::default(),
            committed: AtomicU64::default(),
            commits_refused: AtomicU64::default(),
            made_up_for: AtomicU64::default(),
            released: AtomicU64::default(),
            releases_dropped: AtomicU64::default(),
            reservations_lost: AtomicU64::default(),
            stored_twice: AtomicU64::default(),
            known_twice: Mutex::default(),
            claims: Histogram::of_durations(&BOUNDS),
            settlings: Histogram::of_durations(&BOUNDS),
        }
    }
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
        histogram.observe(took);
    }

    /// `open` is how many appends are not known to be committed.
    pub(super) fn report(&self, open: u64, page: &mut Page) {
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
        common.report(page);
        page.put(&metrics::UNAVAILABLE, &[], read(&self.unavailable));
        page.put(&metrics::DUPLICATES_STORED, &[], read(&self.stored_twice));
        page.put(&metrics::COMMITS_REFUSED, &[], read(&self.commits_refused));
        page.put(&metrics::COMMITS_MADE_UP_FOR, &[], read(&self.made_up_for));
        page.put(&metrics::RELEASES_DROPPED, &[], read(&self.releases_dropped));
        page.put(&metrics::UNCOMMITTED, &[], open);
        page.put(&metrics::STORE_DURATION, &["claim"], self.claims.read());
        page.put(&metrics::STORE_DURATION, &["settle"], self.settlings.read());
    }
}
