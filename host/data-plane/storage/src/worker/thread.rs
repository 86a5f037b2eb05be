//! The storage thread: one turn after another, with pauses that grow while turns fail.

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::Worker;
use super::shared::Shared;
use crate::storage::options::StorageOptions;

/// How long the thread pauses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pauses {
    poll: Duration,
    retry_after: Duration,
    retry_at_most: Duration,
}

impl Pauses {
    pub(crate) fn of(options: &StorageOptions) -> Self {
        let StorageOptions { poll, retry_after, retry_at_most, .. } = *options;
        Self { poll, retry_after, retry_at_most }
    }

    /// The pause after so many failures in a row, at least one.
    fn after_failures(&self, failures: u32) -> Duration {
        let doubled = 2u32.saturating_pow(failures.saturating_sub(1));
        self.retry_after.saturating_mul(doubled).min(self.retry_at_most)
    }
}

/// Tells the handles that the thread has ended, also where it panicked.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.ended();
    }
}

/// Starts the thread.
pub(crate) fn start(
    worker: Worker,
    shared: Arc<Shared>,
    pauses: Pauses,
) -> std::io::Result<JoinHandle<()>> {
    Builder::new().name("storage".to_owned()).spawn(move || {
        let ending = Ending(shared);
        run(worker, &ending.0, pauses);
    })
}

fn run(mut worker: Worker, shared: &Shared, pauses: Pauses) {
    let mut failures = 0u32;
    while !shared.is_closing() {
        let now = Instant::now();
        match worker.turn(now) {
            Ok(()) => {
                failures = 0;
                shared.succeeded();
                let poll = now + pauses.poll;
                let until = worker.due_at().map_or(poll, |due| due.min(poll));
                shared.pause(until, true);
            }
            Err(error) => {
                failures = failures.saturating_add(1);
                let pause = pauses.after_failures(failures);
                let again_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                if error.is_full() {
                    tracing::error!(%error, failures, again_ms, "disk full, rows stay in the log");
                } else {
                    tracing::error!(%error, failures, again_ms, "storage failed, rows stay in the log");
                }
                shared.failed(error.to_string());
                shared.pause(now + pause, false);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_limit() {
        let pauses = Pauses::of(&StorageOptions::new("unused"));
        for (failures, expected_ms) in
            [(1, 100), (2, 200), (4, 800), (9, 25_600), (10, 30_000), (u32::MAX, 30_000)]
        {
            assert_eq!(
                pauses.after_failures(failures),
                Duration::from_millis(expected_ms),
                "{failures}"
            );
        }
    }
}
