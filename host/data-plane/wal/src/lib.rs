//! The write-ahead log: events are durable in it before their producer gets a yes.
//!
//! Layers, each a module: [`record`] (one event as bytes) → `frame` (one group, one CRC) → `segment`
//! (a file of frames) → [`log`] (the writer with group commit, truncation) with `recovery` (the
//! table of what is done after a crash), [`reader`] and `sidecar` (keys of truncated segments).
//! Each gives its on-disk format in its own documentation.
//!
//! Promises:
//! - An append is answered `Ok` only after `fdatasync` of its group has returned.
//! - A group is written only after the sync of the one before it: damage can be told from a tear.
//! - A failed write or sync is never tried again: everybody who waits fails, the process ends.
//! - A full disk refuses appends, leaves nothing half-written to be read, and passes by itself.
//! - Nothing is deleted whose keys are not durable elsewhere.

pub mod disk;
mod frame;
pub mod log;
pub mod reader;
pub mod record;
mod recovery;
mod segment;
mod sidecar;

pub use log::Wal;
pub use log::hold::Hold;
pub use log::options::{OnFatal, WalOptions};
pub use log::outcome::{
    AppendError, LsnRange, OpenError, RecoveryReport, Replayed, Torn, TruncateError, Truncated,
};
pub use log::stats::{SYNC_BUCKETS_MICROS, SyncTimes, WalStats};
pub use reader::cursor::Cursor;
pub use reader::{Group, ReadError, Reader};
pub use record::{
    Action, Disposition, Entry, InvalidRecord, KeyMark, MAX_BATCH_BYTES, MAX_REASON_BYTES,
    MAX_RECORD_BYTES, Record, RecordBatch, RecordTooLarge, Stored,
};
pub use recovery::Damage;
