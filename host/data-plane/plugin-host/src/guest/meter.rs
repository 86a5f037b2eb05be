//! What a call has cost so far: CPU time of the threads that polled it, against its budget. And
//! who runs next: calls that are longer than a slice take turns, so that they never hold all
//! threads and short calls of other tenants pass them.

mod long;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

pub(crate) use long::LongCalls;
use long::LongTurn;

/// CPU time of the call that is running, in nanoseconds; shared with whoever polls it.
#[derive(Debug)]
pub(crate) struct Meter {
    /// Turns that there are for long calls, of all tenants.
    turns: Arc<LongCalls>,
    /// Whose call it is.
    tenant: u64,
    /// The turn of this call, from its second slice on.
    turn: Mutex<Option<LongTurn>>,
    budget: AtomicU64,
    /// Ticks of the epoch between two looks at the budget.
    slice: AtomicU64,
    used: AtomicU64,
    /// The first slice is over: from here on time is measured exactly.
    measured: AtomicBool,
    /// CPU clock of the polling thread when it last began to poll.
    since: AtomicU64,
}

impl Meter {
    pub(crate) fn new(turns: &Arc<LongCalls>, tenant: u64) -> Self {
        Self {
            turns: Arc::clone(turns),
            tenant,
            turn: Mutex::default(),
            budget: AtomicU64::default(),
            slice: AtomicU64::default(),
            used: AtomicU64::default(),
            measured: AtomicBool::default(),
            since: AtomicU64::default(),
        }
    }

    /// Between two slices: lets others run, then waits for a turn among the long calls.
    pub(crate) async fn take_turn(self: Arc<Self>) {
        self.end_turn();
        // Tokio's own yield lets sockets be read before this call goes on; wasmtime's would not.
        tokio::task::yield_now().await;
        let turn = self.turns.turn(self.tenant).await;
        if let Ok(mut mine) = self.turn.lock() {
            *mine = Some(turn);
        }
    }

    /// The slice, or the call, is over. Calls that were never looked at have no turn to give back.
    pub(crate) fn end_turn(&self) {
        if self.measured.load(Ordering::Relaxed)
            && let Ok(mut mine) = self.turn.lock()
        {
            *mine = None;
        }
    }

    /// A new call, under the limits of now.
    pub(crate) fn begin(&self, budget: Duration, slice: u64) {
        self.budget.store(u64::try_from(budget.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.slice.store(slice, Ordering::Relaxed);
        self.used.store(0, Ordering::Relaxed);
        self.measured.store(false, Ordering::Relaxed);
    }

    pub(crate) fn slice(&self) -> u64 {
        self.slice.load(Ordering::Relaxed)
    }

    /// A thread begins to poll the call.
    pub(crate) fn resume(&self) {
        if self.measured.load(Ordering::Relaxed) {
            self.since.store(thread_cpu_nanos(), Ordering::Relaxed);
        }
    }

    /// The thread leaves the call, to wait or since it is over.
    pub(crate) fn pause(&self) {
        if self.measured.load(Ordering::Relaxed) {
            self.used.fetch_add(self.running(), Ordering::Relaxed);
        }
    }

    /// CPU time of a call that was longer than its first slice, which was not measured and counts
    /// in full; `None` of a shorter one.
    pub(crate) fn spent(&self, first_slice: Duration) -> Option<Duration> {
        let used = || Duration::from_nanos(self.used.load(Ordering::Relaxed));
        self.measured.load(Ordering::Relaxed).then(|| first_slice + used())
    }

    /// Is the budget used up? The first look begins to measure: short calls, which are never
    /// looked at, read no clock.
    pub(crate) fn exhausted(&self) -> bool {
        if !self.measured.swap(true, Ordering::Relaxed) {
            self.since.store(thread_cpu_nanos(), Ordering::Relaxed);
            return false;
        }
        self.used.load(Ordering::Relaxed) + self.running() >= self.budget.load(Ordering::Relaxed)
    }

    fn running(&self) -> u64 {
        thread_cpu_nanos().saturating_sub(self.since.load(Ordering::Relaxed))
    }
}

/// CPU time of this thread so far.
pub(crate) fn thread_cpu_nanos() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    u64::try_from(time.tv_sec * 1_000_000_000 + time.tv_nsec).unwrap_or_default()
}
