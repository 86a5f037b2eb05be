//! What the storage thread and the storage's handles tell each other.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tidegate_types::Lsn;

use crate::manifest::Totals;

/// Shared between the storage thread and its handles.
#[derive(Default)]
pub(crate) struct Shared {
    state: Mutex<State>,
    /// Any change of `state`.
    changed: Condvar,
}

/// What is known of the storage thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    /// The first record that is not published.
    pub(crate) published_end: Lsn,
    pub(crate) totals: Totals,
    /// Why the last turn failed; `None` where it did not.
    pub(crate) failing: Option<String>,
    /// Turns that failed since the start.
    pub(crate) failures: u64,
    /// The thread has ended.
    pub(crate) ended: bool,
    /// All records before this are to be published at once.
    flush_to: Lsn,
    /// The thread is to end.
    closing: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is plain values, whole after every statement.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    pub(crate) fn state(&self) -> State {
        self.lock().clone()
    }

    pub(crate) fn published(&self, end: Lsn, totals: Totals) {
        self.change(|state| (state.published_end, state.totals) = (end, totals));
    }

    pub(crate) fn succeeded(&self) {
        self.lock().failing = None;
    }

    pub(crate) fn failed(&self, why: String) {
        self.change(|state| {
            state.failing = Some(why);
            state.failures += 1;
        });
    }

    pub(crate) fn ended(&self) {
        self.change(|state| state.ended = true);
    }

    pub(crate) fn close(&self) {
        self.change(|state| state.closing = true);
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.lock().closing
    }

    /// Asks for all records before `end` to be published, and wakes the thread.
    pub(crate) fn ask(&self, end: Lsn) {
        self.change(|state| state.flush_to = state.flush_to.max(end));
    }

    /// Has someone asked for more than is published?
    pub(crate) fn asked(&self, published_end: Lsn) -> bool {
        published_end < self.lock().flush_to
    }

    /// Waits until `enough` or the time is over; answers the state then.
    pub(crate) fn wait(&self, timeout: Duration, enough: impl Fn(&State) -> bool) -> State {
        let waited = self.changed.wait_timeout_while(self.lock(), timeout, |state| !enough(state));
        waited.unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// The thread's pause until `until`; ends early when the storage is closed, or, with
    /// `if_asked`, when someone has asked for more than is published.
    pub(crate) fn pause(&self, until: Instant, if_asked: bool) {
        let timeout = until.saturating_duration_since(Instant::now());
        self.wait(timeout, |state| {
            state.closing || (if_asked && state.published_end < state.flush_to)
        });
    }
}
