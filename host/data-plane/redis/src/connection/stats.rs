//! What became of the commands that were sent.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tidegate_telemetry::Page;
use tidegate_telemetry::metrics::dedup as metrics;

/// How often it is told that commands are rejected.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Counters of the connection since the start.
#[derive(Debug, Default)]
pub(super) struct LinkStats {
    connections: AtomicU64,
    refused: AtomicU64,
    timeouts: AtomicU64,
    lost: AtomicU64,
    rejected: AtomicU64,
    /// When it was told last that commands are rejected.
    told: Mutex<Option<Instant>>,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl LinkStats {
    pub(super) fn connected(&self) {
        count(&self.connections);
    }

    pub(super) fn refused(&self) {
        count(&self.refused);
    }

    pub(super) fn timed_out(&self) {
        count(&self.timeouts);
    }

    pub(super) fn lost(&self) {
        count(&self.lost);
    }

    /// Is this to be told?
    pub(super) fn rejected(&self, now: Instant) -> bool {
        count(&self.rejected);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = told.is_none_or(|last| now.saturating_duration_since(last) >= TELL_EVERY);
        if is_due {
            *told = Some(now);
        }
        is_due
    }

    pub(super) fn report(&self, up: bool, page: &mut Page) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        page.put(&metrics::REDIS_UP, &[], up);
        page.put(&metrics::REDIS_CONNECTIONS, &[], read(&self.connections));
        for (reason, counter) in [
            ("down", &self.refused),
            ("timeout", &self.timeouts),
            ("lost", &self.lost),
            ("rejected", &self.rejected),
        ] {
            page.put(&metrics::REDIS_ERRORS, &[reason], read(counter));
        }
    }
}
