//! Memory that instances hold, of all tenants together, against one budget.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What an instance takes beside its linear memory: its stack, tables, and what the host keeps.
const FIXED_BYTES: usize = 128 << 10;

/// The sum over all instances.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    bytes: AtomicUsize,
    budget: AtomicUsize,
}

impl Memory {
    pub(crate) fn set_budget(&self, bytes: usize) {
        self.budget.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// How much must go where there is more than the budget: a tenth of it below, so that it is
    /// not reached again at once.
    pub(crate) fn excess(&self) -> Option<usize> {
        let (bytes, budget) = (self.bytes(), self.budget.load(Ordering::Relaxed));
        (bytes > budget).then(|| bytes - (budget - budget / 10))
    }
}

/// The part of one instance; given back when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    memory: Arc<Memory>,
    bytes: usize,
}

impl Held {
    pub(crate) fn new(memory: &Arc<Memory>) -> Self {
        memory.bytes.fetch_add(FIXED_BYTES, Ordering::Relaxed);
        Self { memory: Arc::clone(memory), bytes: FIXED_BYTES }
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Linear memory grows and never shrinks.
    pub(crate) fn grown_to(&mut self, linear: usize) {
        let more = (linear + FIXED_BYTES).saturating_sub(self.bytes);
        if more > 0 {
            self.bytes += more;
            self.memory.bytes.fetch_add(more, Ordering::Relaxed);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.memory.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
