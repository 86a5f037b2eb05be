//! Counters of the store, for metrics and status pages.

use tidegate_telemetry::Page;
use tidegate_telemetry::metrics::dedup as metrics;

/// What the store holds and what it has answered since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DedupStats {
    /// Keys held now, in any state but free. Never more than `max_keys`.
    pub keys: u64,
    /// Answers [`crate::Claim::New`], takeovers included.
    pub new: u64,
    /// Repeats within a request: `Own` and `OwnConflict`.
    pub own: u64,
    /// Answers `Committed`.
    pub replayed: u64,
    /// Answers `Conflict`.
    pub conflict: u64,
    /// Answers `InFlight`.
    pub in_flight: u64,
    /// Answers `Full`.
    pub full: u64,
    /// Claims whose lease had run out and that another request took over.
    pub taken_over: u64,
    /// Hand-overs refused because a claim had been taken over.
    pub leases_lost: u64,
    /// Handed-over keys whose outcome was never told.
    pub unknown: u64,
    /// Keys committed; restored ones are not counted.
    pub committed: u64,
    /// Keys released.
    pub released: u64,
    /// Keys whose window ended and that were forgotten.
    pub expired: u64,
}

impl DedupStats {
    /// Tells what was answered and settled.
    pub fn report(&self, page: &mut Page) {
        for (outcome, count) in [
            ("new", self.new),
            ("repeated", self.own),
            ("duplicate", self.replayed),
            ("conflict", self.conflict),
            ("in_flight", self.in_flight),
            ("full", self.full),
        ] {
            page.put(&metrics::CLAIMS, &[outcome], count);
        }
        page.put(&metrics::COMMITTED, &[], self.committed);
        page.put(&metrics::RELEASED, &[], self.released);
        page.put(&metrics::RESERVATION_LOST, &[], self.leases_lost);
        page.put(&metrics::UNKNOWN, &[], self.unknown);
    }

    /// Adds another shard's counters.
    pub(crate) fn add(&mut self, other: &Self) {
        self.keys += other.keys;
        self.new += other.new;
        self.own += other.own;
        self.replayed += other.replayed;
        self.conflict += other.conflict;
        self.in_flight += other.in_flight;
        self.full += other.full;
        self.taken_over += other.taken_over;
        self.leases_lost += other.leases_lost;
        self.unknown += other.unknown;
        self.committed += other.committed;
        self.released += other.released;
        self.expired += other.expired;
    }
}
