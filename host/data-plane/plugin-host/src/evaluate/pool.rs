//! Warm stores of one (tenant, component, configuration), one shelf for each worker thread.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::instance::Instance;

/// Stores that a worker keeps for one rule. A call that waits leaves the worker to others, so a
/// few calls of one worker can be under way at once.
const SHELF: usize = 4;

thread_local! {
    static WORKER: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed)
    };
}

/// The number of the thread that asks, from 0.
pub(super) fn worker() -> usize {
    WORKER.with(|worker| *worker)
}

pub(crate) struct Pool {
    shelves: Box<[Mutex<Vec<Instance>>]>,
    /// Asked for since the last sweep.
    used: AtomicBool,
}

impl Pool {
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            shelves: (0..workers.max(1)).map(|_| Mutex::default()).collect(),
            used: AtomicBool::new(true),
        }
    }

    /// Worker threads that it has shelves for.
    pub(crate) fn workers(&self) -> usize {
        self.shelves.len()
    }

    fn shelf(&self) -> Option<&Mutex<Vec<Instance>>> {
        self.shelves.get(worker() % self.shelves.len())
    }

    pub(crate) fn take(&self) -> Option<Instance> {
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        self.shelf()?.lock().ok()?.pop()
    }

    /// Drops all idle stores, unless they were asked for since the last sweep. Answers how many.
    pub(crate) fn sweep(&self) -> usize {
        if self.used.swap(false, Ordering::Relaxed) {
            return 0;
        }
        let taken = self
            .shelves
            .iter()
            .filter_map(|shelf| shelf.lock().ok().map(|mut shelf| std::mem::take(&mut *shelf)));
        taken.map(|stores| stores.len()).sum()
    }

    /// Puts a store back after a call that went well.
    pub(crate) fn put(&self, instance: Instance) {
        if instance.retired() {
            return;
        }
        if let Some(Ok(mut shelf)) = self.shelf().map(Mutex::lock)
            && shelf.len() < SHELF
        {
            shelf.push(instance);
        }
    }
}
