//! Keys that are released in the background, in the order in which they came, as long as their lease
//! would last. Bounded: what does not fit is left to the lease.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_dedup::{Holder, Wanted};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinHandle;

use super::Shared;

/// Requests whose keys wait.
const WAITING: usize = 4096;

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(20);

struct Release {
    holder: Holder,
    keys: Vec<Wanted>,
    until: Instant,
}

pub(super) struct Releases {
    sender: mpsc::Sender<Release>,
    task: Mutex<Option<JoinHandle<()>>>,
    close: Arc<tokio::sync::Notify>,
}

impl Releases {
    pub(super) fn start(shared: Arc<Shared>) -> Self {
        let (sender, receiver) = mpsc::channel(WAITING);
        let close = Arc::new(tokio::sync::Notify::new());
        let task = tokio::spawn(run(shared, receiver, Arc::clone(&close)));
        Self { sender, task: Mutex::new(Some(task)), close }
    }

    /// `false` where too many wait.
    pub(super) fn offer(&self, holder: Holder, keys: Vec<Wanted>, until: Instant) -> bool {
        self.sender.try_send(Release { holder, keys, until }).is_ok()
    }

    /// Releases what waits, and ends.
    pub(super) async fn close(&self) {
        self.close.notify_one();
        if let Some(task) = self.task.lock().await.take() {
            // A panic of the task has been told.
            drop(task.await);
        }
    }
}

async fn run(
    shared: Arc<Shared>,
    mut receiver: mpsc::Receiver<Release>,
    close: Arc<tokio::sync::Notify>,
) {
    loop {
        let release = tokio::select! {
            biased;
            release = receiver.recv() => release,
            () = close.notified() => {
                receiver.close();
                continue;
            }
        };
        let Some(Release { holder, keys, until }) = release else { return };
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || tokio::time::timeout(left, shared.link.up()).await.is_err() {
                break;
            }
            if shared.release(&holder, &keys, until.min(shared.link.deadline())).await {
                break;
            }
            // The server answers, and not as it must: not at once again.
            tokio::time::sleep(PAUSE.min(left)).await;
        }
    }
}
