//! Word of changes to what nodes are to run. A thread of its own reads the version when it is told
//! of a change (by this process, or by PostgreSQL's NOTIFY over a connection of its own), when that
//! connection was lost, and every so often in any case. Versions may be skipped, the newest never.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use super::desired;
use crate::CatalogError;
use crate::catalog::Catalog;
use crate::database::{self, Access, Database};

/// How soon the version is read again after that has failed.
const RETRY: Duration = Duration::from_millis(250);

/// How many may watch one catalog at once.
const MAX_WATCHERS: u64 = 16;

/// What was heard last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Of what nodes are to run.
    pub version: u64,
    /// Why the version could not be read anew, as long as that is so.
    pub problem: Option<String>,
}

/// Watches the catalog until it is dropped.
pub struct Watch {
    heard: tokio::sync::watch::Receiver<Heard>,
    nudge: Nudge,
    is_over: Arc<AtomicBool>,
}

impl Watch {
    /// What was heard last, and word of what comes. It is closed when the watch is dropped.
    #[must_use]
    pub fn subscribe(&self) -> tokio::sync::watch::Receiver<Heard> {
        self.heard.clone()
    }
}

impl Drop for Watch {
    /// The thread ends by itself, after the call to the database that it may be in.
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        self.nudge.give();
    }
}

impl Catalog {
    /// Starts to watch for changes to what nodes are to run. `poll` bounds the time until one is heard
    /// that nobody has told of.
    ///
    /// # Errors
    /// Where the database cannot be read; [`CatalogError::Full`] with sixteen watchers.
    pub fn watch(&self, poll: Duration) -> Result<Watch, CatalogError> {
        let (nudge, nudges) = Nudge::new();
        self.add_watcher(nudge.clone())?;
        let mut database = database::listen(&self.folder, &self.options, nudge.clone())?;
        let first = Heard { version: read(database.as_mut())?, problem: None };
        let (sender, heard) = tokio::sync::watch::channel(first);
        let is_over = Arc::new(AtomicBool::new(false));
        let watching = Watching { database, poll, nudges, sender, is_over: Arc::clone(&is_over) };
        let thread = std::thread::Builder::new().name("catalog-watch".to_owned());
        thread.spawn(move || watching.run()).map_err(CatalogError::Thread)?;
        Ok(Watch { heard, nudge, is_over })
    }

    fn add_watcher(&self, nudge: Nudge) -> Result<(), CatalogError> {
        let mut watchers = self.watchers();
        // Giving one word too many does no harm, and tells who is still there.
        watchers.retain(Nudge::give);
        if watchers.len() as u64 >= MAX_WATCHERS {
            return Err(CatalogError::Full { what: "watchers of a catalog", limit: MAX_WATCHERS });
        }
        watchers.push(nudge);
        Ok(())
    }
}

fn read(database: &mut dyn Database) -> database::Result<u64> {
    let transaction = database.begin(Access::Read)?;
    let version = desired::version(transaction.as_ref())?;
    transaction.commit()?;
    Ok(version)
}

struct Watching {
    database: Box<dyn Database>,
    poll: Duration,
    nudges: Receiver<()>,
    sender: tokio::sync::watch::Sender<Heard>,
    is_over: Arc<AtomicBool>,
}

impl Watching {
    fn run(mut self) {
        while !self.is_over.load(Ordering::Acquire) {
            let read = read(self.database.as_mut());
            let has_failed = read.is_err();
            self.tell(read);
            if has_failed {
                self.rest(RETRY.min(self.poll));
            } else {
                // A nudge, or the time for a poll: either way the version is read.
                match self.nudges.recv_timeout(self.poll) {
                    Ok(()) | Err(_) => {}
                }
            }
        }
    }

    fn tell(&self, read: database::Result<u64>) {
        self.sender.send_if_modified(|heard| {
            let now = match read {
                // A version never goes back, whatever an old copy of the database says.
                Ok(version) => Heard { version: version.max(heard.version), problem: None },
                Err(error) => Heard { version: heard.version, problem: Some(error.to_string()) },
            };
            let is_new = *heard != now;
            *heard = now;
            is_new
        });
    }

    /// Waits whatever comes but the end: a connection that is lost again and again gives a nudge each
    /// time.
    fn rest(&self, time: Duration) {
        let until = Instant::now() + time;
        while !self.is_over.load(Ordering::Acquire) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            match self.nudges.recv_timeout(left) {
                Ok(()) | Err(_) => {}
            }
        }
    }
}

/// Tells a watcher to look. One that is not yet taken up stands for all that follow.
#[derive(Clone)]
pub(crate) struct Nudge(SyncSender<()>);

impl Nudge {
    fn new() -> (Self, Receiver<()>) {
        let (sender, receiver) = sync_channel(1);
        (Self(sender), receiver)
    }

    /// Answers whether somebody is there.
    pub(crate) fn give(&self) -> bool {
        !matches!(self.0.try_send(()), Err(TrySendError::Disconnected(())))
    }
}
