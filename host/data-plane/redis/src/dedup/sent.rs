//! Commits of events that went to sinks alone and that Redis could not be told at once. No log has
//! them, so they are kept in memory and told again until Redis takes them, or until that is given up:
//! then an event that is sent again is taken once more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_dedup::{Commit, Holder, Settling};
use tokio::sync::Semaphore;

use super::Shared;

/// Keys that may wait; 16 MiB or so. More are given up.
const MOST_WAITING: usize = 100_000;
/// How long they are told again.
const PATIENCE: Duration = Duration::from_secs(300);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

pub(super) struct Sent(Arc<Semaphore>);

impl Default for Sent {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST_WAITING)))
    }
}

impl Sent {
    /// Commits in the background.
    pub(super) fn commit(&self, shared: &Arc<Shared>, holder: Holder, commits: Vec<Commit>) {
        let count = u32::try_from(commits.len()).unwrap_or(u32::MAX);
        let Ok(room) = Arc::clone(&self.0).try_acquire_many_owned(count) else {
            return given_up(commits.len());
        };
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            let (until, mut pause) = (Instant::now() + PATIENCE, FIRST_PAUSE);
            while Instant::now() < until {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                let settling = Settling { commits: &commits, releases: &[], lease_deadline: None };
                if shared.settle(&holder, settling, shared.link.deadline()).await.commits {
                    return drop(room);
                }
            }
            given_up(commits.len());
        });
    }
}

fn given_up(keys: usize) {
    tracing::warn!(
        keys,
        "keys of delivered events not committed: sent again, they are taken again"
    );
}
