//! Warm stores of one (tenant, component, configuration), one shelf for each worker thread.

pub(crate) mod held;

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::instance::Instance;

/// Stores that a worker keeps for one rule. A call that waits leaves the worker to others, so a
/// few calls of one worker can be under way at once.
const SHELF: usize = 4;

/// A store that nobody used for so long is dropped, unless it is the rule's last.
const IDLE_MS: u64 = 5 * 60_000;
/// The last one is kept longer: a rule that was replaced may be wanted back.
const LAST_IDLE_MS: u64 = 15 * 60_000;

thread_local! {
    static WORKER: usize = {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed)
    };
}

/// The number of the thread that asks, from 0.
pub(crate) fn worker() -> usize {
    WORKER.with(|worker| *worker)
}

/// A store that waits for its next call.
struct Idle {
    since: u64,
    instance: Instance,
}

/// What is known of a store that waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdleStore {
    /// Milliseconds of the host's clock.
    pub(crate) since: u64,
    pub(crate) bytes: usize,
}

pub(crate) struct Pool {
    /// On each the longest idle is the first.
    shelves: Box<[Mutex<Vec<Idle>>]>,
}

impl Pool {
    pub(crate) fn new(workers: usize) -> Self {
        Self { shelves: (0..workers.max(1)).map(|_| Mutex::default()).collect() }
    }

    /// Worker threads that it has shelves for.
    pub(crate) fn workers(&self) -> usize {
        self.shelves.len()
    }

    fn shelves(&self) -> impl Iterator<Item = MutexGuard<'_, Vec<Idle>>> {
        self.shelves.iter().map(|shelf| shelf.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn shelf(&self) -> Option<&Mutex<Vec<Idle>>> {
        self.shelves.get(worker() % self.shelves.len())
    }

    /// A store of this worker's, otherwise one of another's: to start one takes longer than to move
    /// one, and takes memory.
    pub(crate) fn take(&self) -> Option<Instance> {
        let own = self.shelf()?.lock().ok()?.pop();
        let idle = own.or_else(|| self.shelves().find_map(|mut shelf| shelf.pop()))?;
        Some(idle.instance)
    }

    /// Puts a store back after a call that went well.
    pub(crate) fn put(&self, instance: Instance, now: u64) {
        if instance.retired() {
            return;
        }
        if let Some(Ok(mut shelf)) = self.shelf().map(Mutex::lock)
            && shelf.len() < SHELF
        {
            shelf.push(Idle { since: now, instance });
        }
    }

    /// All stores that wait.
    pub(crate) fn idle(&self) -> Vec<IdleStore> {
        let mut out = Vec::new();
        for shelf in self.shelves() {
            out.extend(
                shelf
                    .iter()
                    .map(|idle| IdleStore { since: idle.since, bytes: idle.instance.bytes() }),
            );
        }
        out
    }

    pub(crate) fn idle_count(&self) -> usize {
        self.shelves().map(|shelf| shelf.len()).sum()
    }

    /// Drops the waiting stores that `goes` names. Answers how many.
    pub(crate) fn drop_idle(&self, mut goes: impl FnMut(IdleStore) -> bool) -> usize {
        let mut dropped = 0;
        for mut shelf in self.shelves() {
            let gone: Vec<Idle> = shelf
                .extract_if(.., |idle| {
                    goes(IdleStore { since: idle.since, bytes: idle.instance.bytes() })
                })
                .collect();
            // Dropping a store takes its time.
            drop(shelf);
            dropped += gone.len();
        }
        dropped
    }

    /// Drops the stores that nobody has used for long. Answers how many.
    pub(crate) fn sweep(&self, now: u64) -> usize {
        let last = self.idle().iter().map(|idle| idle.since).max().unwrap_or_default();
        let mut kept = last + LAST_IDLE_MS <= now;
        self.drop_idle(|idle| {
            if idle.since == last && !kept {
                kept = true;
                return false;
            }
            idle.since + IDLE_MS <= now
        })
    }
}
