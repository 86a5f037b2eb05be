//! The time that breakers, buckets and idle stores go by: it only goes forward, and tests set it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A clock without a calendar.
#[derive(Clone, Debug, Default)]
pub enum Clock {
    /// The system's, as of its last tick: some milliseconds coarse, and nearly free to read.
    #[default]
    System,
    /// One that stands still until it is advanced.
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// A clock that stands still at its first hour.
    #[must_use]
    pub fn manual() -> Self {
        Self::Manual(Arc::new(AtomicU64::new(3_600_000_000_000)))
    }

    /// Lets time pass on a manual clock; the system's goes on by itself.
    pub fn advance(&self, by: Duration) {
        if let Self::Manual(now) = self {
            now.fetch_add(nanos(by), Ordering::Relaxed);
        }
    }

    /// Nanoseconds since some moment in the past.
    pub(crate) fn nanos(&self) -> u64 {
        match self {
            Self::System => {
                let time = clock_gettime(ClockId::MonotonicCoarse);
                u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).unwrap_or_default()
            }
            Self::Manual(now) => now.load(Ordering::Relaxed),
        }
    }

    /// Milliseconds since the same moment.
    pub(crate) fn millis(&self) -> u64 {
        self.nanos() / 1_000_000
    }
}

pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
