//! Where calls run that are known to take long: on threads of low priority, which the system's
//! scheduler sets aside as soon as anything else is to be done. A worker that runs slices of a long
//! call makes the short calls behind it wait, however short the slices are; such a thread does not.
//!
//! A rule's calls are expected to be as the last ones were. One that ended in a fault counts as long,
//! since what it did in the host's functions is in no slice. A first long call begins on its worker
//! and takes turns (`guest::meter`) as all long calls do, here too.

use std::future::Future;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// Added to the niceness of its threads: they get about a tenth of a processor that others want
/// (sched(7), weights of 110 and 1024).
const NICENESS: i32 = 10;

/// Threads for slow calls, of all tenants. They are started when they are needed first.
pub(crate) struct SlowLane {
    threads: usize,
    runtime: OnceLock<Option<Runtime>>,
}

impl SlowLane {
    pub(crate) fn new(threads: usize) -> Self {
        Self { threads: threads.max(1), runtime: OnceLock::new() }
    }

    /// Runs a call on one of the threads; the call ends where this is dropped. `None` where it was
    /// cut off, since the host goes away.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        call: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let Some(runtime) = self.runtime.get_or_init(|| self.start()) else {
            // The system gives no more threads: slower for others, but done.
            return Some(call.await);
        };
        let mut running = Running(runtime.spawn(call));
        match (&mut running.0).await {
            Ok(done) => Some(done),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => None,
            },
        }
    }

    fn start(&self) -> Option<Runtime> {
        let mut threads = Builder::new_multi_thread();
        threads.worker_threads(self.threads).thread_name("slow-rules").enable_time();
        threads.on_thread_start(|| {
            if let Err(error) = rustix::process::nice(NICENESS) {
                tracing::warn!(%error, "slow rules run with the priority of all others");
            }
        });
        let started = threads.build();
        started.inspect_err(|error| tracing::warn!(%error, "no threads for slow rules")).ok()
    }
}

impl Drop for SlowLane {
    fn drop(&mut self) {
        // Waiting for the threads is not allowed where this may happen.
        if let Some(runtime) = self.runtime.take().flatten() {
            runtime.shutdown_background();
        }
    }
}

/// A call on the lane; cut off when dropped.
struct Running<T>(JoinHandle<T>);

impl<T> Drop for Running<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Whether a rule's calls take long, by the last ones: one more after two that did, and no more
/// after one or two that did not.
#[derive(Debug, Default)]
pub(crate) struct Pace(AtomicU8);

impl Pace {
    const SLOW: u8 = 2;
    const MOST: u8 = 3;

    pub(crate) fn is_slow(&self) -> bool {
        self.0.load(Ordering::Relaxed) >= Self::SLOW
    }

    /// A call has ended. Written only where it changes something: all workers read it.
    pub(crate) fn note(&self, was_long: bool) {
        let score = self.0.load(Ordering::Relaxed);
        let next = if was_long { Self::MOST.min(score + 1) } else { score.saturating_sub(1) };
        if next != score {
            // Calls that end together may count as one.
            self.0.store(next, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    fn niceness() -> i32 {
        rustix::process::getpriority_process(None).expect("a priority")
    }

    #[tokio::test]
    async fn slow_calls_run_on_threads_of_low_priority_and_end_with_their_caller() {
        let lane = Arc::new(SlowLane::new(1));
        let own = niceness();
        let there =
            lane.run(async { (niceness(), std::thread::current().name().map(str::to_owned)) });
        assert_eq!(there.await, Some(((own + NICENESS).min(19), Some("slow-rules".to_owned()))));
        assert_eq!(niceness(), own, "the caller's own priority stays");

        let held = Arc::new(());
        let call = {
            let (lane, held) = (Arc::clone(&lane), Arc::clone(&held));
            tokio::spawn(async move {
                let waits = async move {
                    std::future::pending::<()>().await;
                    drop(held);
                };
                lane.run(waits).await
            })
        };
        while Arc::strong_count(&held) == 1 {
            tokio::task::yield_now().await;
        }
        call.abort();
        drop(call.await);
        // The lane is free again, and what the call held is given back.
        assert_eq!(lane.run(async { 7 }).await, Some(7));
        while Arc::strong_count(&held) > 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[test]
    fn a_rule_is_as_slow_as_its_last_calls() {
        let pace = Pace::default();
        let after = |calls: &[bool]| {
            calls.iter().for_each(|was_long| pace.note(*was_long));
            pace.is_slow()
        };
        assert!(!after(&[]));
        assert!(!after(&[true]), "one may be chance");
        assert!(after(&[true]));
        assert!(after(&[true, true, true, false]), "so may one be that is not");
        assert!(!after(&[false]));
        assert!(!after(&[false, false, true]));
    }
}
