//! What the forwarder's thread, its handle and the threads that report share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tidegate_types::Lsn;

use crate::ticket::Reports;

/// Which messages a ticket was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Events,
    Letters,
}

/// The reports on a part of a chunk.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) chunk: u64,
    pub(super) part: Part,
    pub(super) reports: Reports,
}

/// How far a forwarder is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForwardStats {
    /// The position below which everything is delivered or buried.
    pub acknowledged: u64,
    /// Records of the log behind that, also those that go elsewhere.
    pub lag: u64,
    /// Dead letters that were counted in others.
    pub compacted: u64,
    /// Dead letters that nobody took.
    pub lost_letters: u64,
    /// Messages that were sent again because they errored.
    pub resent: u64,
    /// Why nothing is sent right now, where the reason is on this side.
    pub stuck: Option<String>,
}

#[derive(Debug, Default)]
struct State {
    told: Vec<Told>,
    /// Stop when everything below the position is acknowledged, or at the moment.
    stop: Option<(Lsn, Instant)>,
    stuck: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    acknowledged: AtomicU64,
    pub(super) compacted: AtomicU64,
    pub(super) lost_letters: AtomicU64,
    pub(super) resent: AtomicU64,
}

impl Shared {
    pub(super) fn new(from: Lsn) -> Self {
        Self { acknowledged: AtomicU64::new(from.0), ..Self::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tell(&self, told: Told) {
        self.state().told.push(told);
        self.changed.notify_all();
    }

    /// What has been told since the last call.
    pub(super) fn heard(&self) -> Vec<Told> {
        std::mem::take(&mut self.state().told)
    }

    /// Waits for a time, whatever is told meanwhile; less where stopping is asked for.
    pub(super) fn pause(&self, timeout: Duration) {
        let idle = |state: &mut State| state.stop.is_none();
        drop(self.changed.wait_timeout_while(self.state(), timeout, idle));
    }

    /// Waits until something is told, up to a time.
    pub(super) fn wait_told(&self, timeout: Duration) {
        let idle = |state: &mut State| state.told.is_empty();
        drop(self.changed.wait_timeout_while(self.state(), timeout, idle));
    }

    pub(super) fn stop_at(&self, lsn: Lsn, until: Instant) {
        self.state().stop = Some((lsn, until));
        self.changed.notify_all();
    }

    pub(super) fn stop(&self) -> Option<(Lsn, Instant)> {
        self.state().stop
    }

    pub(super) fn set_stuck(&self, why: Option<String>) {
        self.state().stuck = why;
    }

    pub(super) fn acknowledge(&self, lsn: Lsn) {
        self.acknowledged.store(lsn.0, Ordering::Release);
    }

    pub(super) fn acknowledged(&self) -> Lsn {
        Lsn(self.acknowledged.load(Ordering::Acquire))
    }

    pub(super) fn stats(&self, end: Lsn) -> ForwardStats {
        let acknowledged = self.acknowledged().0;
        ForwardStats {
            acknowledged,
            lag: end.0.saturating_sub(acknowledged),
            compacted: self.compacted.load(Ordering::Relaxed),
            lost_letters: self.lost_letters.load(Ordering::Relaxed),
            resent: self.resent.load(Ordering::Relaxed),
            stuck: self.state().stuck.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_not_cut_short_by_reports_but_by_the_end() {
        let shared = Shared::new(Lsn(0));
        shared.tell(Told { chunk: 0, part: Part::Events, reports: Vec::new() });
        let (begun, pause) = (Instant::now(), Duration::from_millis(20));
        shared.pause(pause);
        assert!(begun.elapsed() >= pause);
        assert_eq!(shared.heard().len(), 1, "what was told is there still");
        shared.stop_at(Lsn(0), Instant::now());
        shared.pause(Duration::from_secs(3600));
    }
}
