//! What the log answers: positions, reports and errors.

use std::io;
use std::path::PathBuf;

use tidegate_types::{EventId, Lsn};

use crate::record::{Disposition, KeyMark, Record, Stored};
use crate::recovery::Damage;

/// Positions from `first` up to but without `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LsnRange {
    pub first: Lsn,
    pub end: Lsn,
}

/// What survived, told to the opener in order: keys of truncated segments, then records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replayed<'a> {
    /// A key whose record has been truncated away.
    Key {
        mark: KeyMark,
        event_id: EventId,
        status: Stored,
    },
    Record {
        lsn: Lsn,
        record: Record<'a>,
    },
    Disposition {
        lsn: Lsn,
        disposition: Disposition<'a>,
    },
}

/// Why an append was not acknowledged. Nothing was written, except after `Failed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The disk or the log's own budget is full; passes when there is room again.
    #[error("the log has no room left")]
    StorageFull,
    /// More waits than `queue_bytes`.
    #[error("too much waits for the log")]
    Overloaded,
    /// The batch cannot fit into one segment.
    #[error("the batch is larger than a segment of the log")]
    TooLarge,
    /// `latest` had passed.
    #[error("the append came too late")]
    Expired,
    /// The log is shut down.
    #[error("the log is closed")]
    Closed,
    /// The disk failed; whether the records are durable will be known after a restart.
    #[error("the log's disk failed")]
    Failed,
}

/// What recovery found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Position of the oldest record that is still there.
    pub first: Lsn,
    /// Position that the next record gets.
    pub next: Lsn,
    /// Events and dispositions.
    pub records: u64,
    /// Keys from sidecars.
    pub keys: u64,
    /// A torn tail that was cut.
    pub torn: Option<Torn>,
}

/// A tail that was cut because the process or the power went away while it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// Where a copy was put.
    pub copy: PathBuf,
    /// Where in the segment it began, in bytes.
    pub offset: u64,
    pub bytes: u64,
}

/// Why a log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the log's {what} must be {must_be}")]
    Options { what: &'static str, must_be: String },
    #[error("{} is in use by another process", directory.display())]
    Locked { directory: PathBuf },
    /// Damage that no crash explains. Nothing was changed. Restore the file, or move the whole
    /// directory away to begin anew without what is in it.
    #[error("{} is damaged at byte {offset}: {case}: {found}", file.display())]
    Corrupt { file: PathBuf, offset: u64, case: Damage, found: String },
    #[error("cannot {what} {}: {source}", path.display())]
    Io { what: &'static str, path: PathBuf, source: io::Error },
}

/// What a truncation did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Truncated {
    pub segments: u64,
    pub bytes: u64,
    /// Keys that were kept in sidecars.
    pub keys: u64,
}

/// Why a truncation stopped. What it had not deleted is still there; try again later.
#[derive(Debug, thiserror::Error)]
pub enum TruncateError {
    #[error("no room for the keys of a segment")]
    StorageFull,
    #[error("the log is closed")]
    Closed,
    #[error(transparent)]
    Read(#[from] crate::reader::ReadError),
}
