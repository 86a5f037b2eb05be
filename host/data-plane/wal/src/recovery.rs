//! Opening a log: read everything, decide, and leave nothing that is only in the page cache.
//!
//! # The recovery table
//!
//! The writer never writes a group before the sync of the one before it has returned, and a file
//! gets its name only when its header is on the disk. So a crash can spoil the end of the last
//! segment that was written to, and nothing else. "Written" means: not all zeros behind the header.
//! A tail is what stands after the last whole frame of a segment.
//!
//! | case | what is there | decision |
//! |---|---|---|
//! | end | the tail is zeros, or there is none | the normal end of a segment |
//! | tear | a tail that is no frame, in the last written segment, no whole frame after it | copied to `NAME.torn`, cut, counted |
//! | unused | a segment that was not written | deleted: it was prepared in advance |
//! | replaced | a segment that a later one says it replaces | deleted: recovery was cut short |
//! | unfinished | a file ending in `.tmp` | deleted |
//! | damage-inside | a tail with a whole frame of the same segment after it | refuse |
//! | damage-before | a tail in a segment before the last written one | refuse |
//! | damage-durable | a tail that begins in what was durable when the file got its name | refuse |
//! | damage-header | a `.wal` file without its header, or with that of another sequence number | refuse |
//! | damage-length | a `.wal` file of another length than its header says: it was made whole in advance | refuse |
//! | damage-record | a whole frame with something else than its number of records | refuse |
//! | damage-sidecar | a `.keys` file whose checksum does not match | refuse |
//! | gap | a whole frame with another position than the next one | refuse |
//! | missing | the log begins after, or ends before, what was truncated; or only unwritten segments | refuse |
//!
//! To refuse is to change nothing and say file, offset and what is there.
//!
//! What cannot be told apart: damage to the last group, before it was sealed, looks like a tear. It
//! is cut, kept aside and counted. A loss of the whole last segment file cannot be seen from here;
//! whoever keeps a position of its own (the sinks' manifest) must find it below the durable end.
//!
//! # What is done
//!
//! After a kill the last frames may be in the page cache only, and after a failed sync the cache
//! shows what the disk may lack. So the whole frames of the last segment are written into a new one,
//! which is synced and named before the old one is deleted, and all that before the log opens.
//! The 16 newest torn tails are kept.

mod list;
mod rewrite;
mod scan;

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::log::options::WalOptions;
use crate::log::outcome::{OpenError, RecoveryReport, Replayed};
use crate::log::shared::Index;
use crate::log::writer::Active;

/// The cases of the recovery table in which a log is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Damage {
    Inside,
    Before,
    Durable,
    Header,
    Length,
    Record,
    Sidecar,
    Gap,
    Missing,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inside => "damage-inside",
            Self::Before => "damage-before",
            Self::Durable => "damage-durable",
            Self::Header => "damage-header",
            Self::Length => "damage-length",
            Self::Record => "damage-record",
            Self::Sidecar => "damage-sidecar",
            Self::Gap => "gap",
            Self::Missing => "missing",
        })
    }
}

/// The lock on a log's directory, until dropped.
pub(crate) struct DirectoryLock(File);

impl Drop for DirectoryLock {
    fn drop(&mut self) {
        // Closing the file is not enough: a process that is being started right now has a copy of
        // the descriptor until it executes its program.
        if let Err(error) = rustix::fs::flock(&self.0, FlockOperation::Unlock) {
            tracing::warn!(%error, "log's directory stays locked for a moment");
        }
    }
}

/// A log that is ready to be written to.
pub(crate) struct Recovered {
    /// Held while the log is open.
    pub(crate) lock: DirectoryLock,
    pub(crate) index: Index,
    pub(crate) active: Active,
    pub(crate) report: RecoveryReport,
}

pub(crate) fn recover(
    options: &WalOptions,
    replay: &mut dyn FnMut(Replayed<'_>),
) -> Result<Recovered, OpenError> {
    options.check()?;
    make_directory(options)?;
    let lock = lock(&options.directory)?;
    let listing = list::list(&options.directory)?;
    let scanned = scan::scan(&options.directory, &listing, replay)?;
    rewrite::rewrite(options, lock, &listing, scanned)
}

fn make_directory(options: &WalOptions) -> Result<(), OpenError> {
    let directory = &options.directory;
    let missing = directory.ancestors().filter(|path| !path.as_os_str().is_empty());
    let missing: Vec<_> = missing.take_while(|path| !path.is_dir()).collect();
    std::fs::create_dir_all(directory).map_err(io_error("make", directory))?;
    for made in missing {
        let parent = made.parent().filter(|path| !path.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        options.disk.sync_directory(parent).map_err(io_error("sync", parent))?;
    }
    Ok(())
}

fn lock(directory: &Path) -> Result<DirectoryLock, OpenError> {
    let path = directory.join("lock");
    let mut how = File::options();
    let file = how.write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(io_error("open", &path))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(DirectoryLock(file)),
        Err(Errno::WOULDBLOCK) => Err(OpenError::Locked { directory: directory.to_owned() }),
        Err(error) => Err(io_error("lock", &path)(error.into())),
    }
}

fn io_error(what: &'static str, path: &Path) -> impl Fn(io::Error) -> OpenError {
    move |source| OpenError::Io { what, path: path.to_owned(), source }
}
