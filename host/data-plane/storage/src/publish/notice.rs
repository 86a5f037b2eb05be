//! New data: what was published is told to whoever listens in this process.
//!
//! Each entry of the manifest is told once, after it is durable and readers find it. Nothing waits for
//! a listener: who is more than [`KEPT`] publications behind is told how many were missed, and finds
//! them in the manifest by their sequences. So does who begins to listen: what was published before is
//! not told.

use std::sync::Arc;

use percent_encoding::percent_decode_str;
use tidegate_types::{Digest, Lsn};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use super::partition::{self, DataSet, Partition};
use crate::manifest::{Entry, FileEntry};

/// Publications that are kept for a listener who is behind.
pub const KEPT: usize = 256;

/// One published range of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// That of its entry in the manifest.
    pub sequence: u64,
    pub first_lsn: Lsn,
    /// The last record of the range, itself included.
    pub last_lsn: Lsn,
    pub files: Vec<PublishedFile>,
}

/// One of its Parquet files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedFile {
    /// Relative to the storage, with `/` between folders.
    pub path: String,
    pub data: Data,
    /// In full, where the path may have cut it.
    pub tenant: String,
    /// In full, where the path may have cut it.
    pub event_type: String,
    pub rows: u64,
    pub sha256: Digest,
}

/// What a file's rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Data {
    /// Events that were accepted as they came in.
    Accepted,
    /// Events that were accepted when they were released from quarantine.
    Released,
    /// Events that a rule holds.
    Quarantined,
    /// What was decided about those.
    Decisions,
}

impl From<DataSet> for Data {
    fn from(set: DataSet) -> Self {
        match set {
            DataSet::Accepted => Self::Accepted,
            DataSet::Released => Self::Released,
            DataSet::Quarantine => Self::Quarantined,
            DataSet::Dispositions => Self::Decisions,
        }
    }
}

/// As the manifest has it. A tenant's or type's name that the path has cut stays cut: its file's own
/// metadata has it in full.
impl From<Entry> for Publication {
    fn from(entry: Entry) -> Self {
        let Entry { sequence, first_lsn, last_lsn, files } = entry;
        let file = |file: FileEntry| {
            let parts = partition::parts(&file.path)?;
            let decoded = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
            let (tenant, event_type) = (decoded(parts.tenant), decoded(parts.event_type));
            let data = parts.set.into();
            let FileEntry { path, rows, sha256, .. } = file;
            Some(PublishedFile { path, data, tenant, event_type, rows, sha256 })
        };
        Self { sequence, first_lsn, last_lsn, files: files.into_iter().filter_map(file).collect() }
    }
}

impl PublishedFile {
    pub(super) fn new(path: &str, partition: Partition, rows: u64, sha256: Digest) -> Self {
        let Partition { set, tenant, event_type, .. } = partition;
        Self { path: path.to_owned(), data: set.into(), tenant, event_type, rows, sha256 }
    }
}

/// Tells publications. Once it is dropped there will be none.
pub(crate) struct Announcer(broadcast::Sender<Arc<Publication>>);

impl Announcer {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(KEPT))
    }

    /// Where listeners come from, which does not keep them waiting for what will never come.
    pub(crate) fn listeners(&self) -> Listeners {
        Listeners(self.0.downgrade())
    }

    pub(super) fn tell(&self, publication: Publication) {
        // An error says that nobody listens.
        drop(self.0.send(Arc::new(publication)));
    }
}

/// Makes listeners.
pub(crate) struct Listeners(broadcast::WeakSender<Arc<Publication>>);

impl Listeners {
    pub(crate) fn listen(&self) -> Published {
        let sender = self.0.upgrade();
        // Of a closed storage the last sender is gone, and so is the new one at the end of this line.
        Published(sender.unwrap_or_else(|| broadcast::Sender::new(1)).subscribe())
    }
}

/// What is published from now on.
pub struct Published(broadcast::Receiver<Arc<Publication>>);

/// What a listener is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Published(Arc<Publication>),
    /// So many publications went by; the next one is told next.
    Missed(u64),
}

impl Published {
    /// Waits for the next publication; `None` where the storage has ended. A future that is dropped
    /// before it is done misses nothing.
    pub async fn next(&mut self) -> Option<Told> {
        told(self.0.recv().await)
    }

    /// The same for threads; not within a runtime.
    pub fn blocking_next(&mut self) -> Option<Told> {
        told(self.0.blocking_recv())
    }
}

fn told(received: Result<Arc<Publication>, RecvError>) -> Option<Told> {
    match received {
        Ok(publication) => Some(Told::Published(publication)),
        Err(RecvError::Lagged(missed)) => Some(Told::Missed(missed)),
        Err(RecvError::Closed) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publication(sequence: u64) -> Publication {
        Publication { sequence, first_lsn: Lsn(0), last_lsn: Lsn(0), files: vec![] }
    }

    #[test]
    fn who_is_slow_is_told_what_was_missed_and_holds_nobody_up() {
        let announcer = Announcer::new();
        announcer.tell(publication(1));
        let mut slow = announcer.listeners().listen();
        let kept = KEPT as u64;
        (2..kept + 5).for_each(|sequence| announcer.tell(publication(sequence)));
        let listeners = announcer.listeners();
        drop(announcer);
        assert_eq!(slow.blocking_next(), Some(Told::Missed(3)));
        for sequence in 5..kept + 5 {
            assert_eq!(slow.blocking_next(), Some(Told::Published(publication(sequence).into())));
        }
        assert_eq!(slow.blocking_next(), None);
        assert_eq!(listeners.listen().blocking_next(), None, "it has ended");
    }
}
