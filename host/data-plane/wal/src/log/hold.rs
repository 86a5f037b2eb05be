//! Who still needs records, and from where on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidegate_types::Lsn;

/// All holds of a log.
#[derive(Debug, Default)]
pub(crate) struct Holds(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    next: u64,
    from: BTreeMap<u64, Lsn>,
}

impl Holds {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The lowest position that somebody holds.
    pub(crate) fn lowest(&self) -> Option<Lsn> {
        self.state().from.values().min().copied()
    }
}

/// Keeps the records from a position on from being truncated; dropping it lets them go.
#[derive(Debug)]
pub struct Hold {
    holds: Arc<Holds>,
    number: u64,
}

impl Hold {
    pub(crate) fn new(holds: Arc<Holds>, from: Lsn) -> Self {
        let mut state = holds.state();
        let number = state.next;
        state.next += 1;
        state.from.insert(number, from);
        drop(state);
        Self { holds, number }
    }

    /// The records before a position are not needed any more. A hold never goes back.
    pub fn release_before(&self, lsn: Lsn) {
        let mut state = self.holds.state();
        if let Some(from) = state.from.get_mut(&self.number) {
            *from = lsn.max(*from);
        }
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.holds.state().from.remove(&self.number);
    }
}
