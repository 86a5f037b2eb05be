//! Where the files of a storage are: in a folder on disk, or under a prefix in a bucket of S3.
//!
//! Everything above knows files by their paths relative to the storage, and calls this trait. What a
//! place must give, and how the two give it:
//!
//! | | a folder | a bucket |
//! |---|---|---|
//! | a file is whole or absent | written as `….tmp`, fsynced, renamed | one conditional put, which is whole or absent by itself |
//! | a name is never taken twice | there is one process, which holds `LOCK` | `If-None-Match: *`; where the name is taken, the content must be the same |
//! | a finished file outlives a crash | its folders are fsynced | the answer to the put says so |
//! | what readers believe | `manifest.jsonl` | one object for each entry |
//! | one writer | `LOCK` | `LOCK`, and an object that names the folder's writer |
//!
//! All calls block. Those that write come from the storage thread alone.

pub(crate) mod disk;
#[cfg(feature = "s3")]
pub(crate) mod s3;

use std::io::{self, BufReader, Read};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use crate::manifest::Entry;
use crate::publish::Steps;

/// Why something cannot be kept where the files are.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// Worth another try.
    #[error("cannot publish in {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// Somebody else has written there. Nothing was changed.
    #[error("{} is there already, with other content", path.display())]
    OtherContent { path: PathBuf },
    /// Two logs would mix. Nothing is published any more; rows stay in the log.
    #[error(
        "another process writes to {}: each node needs a prefix of its own, and keeps it", place.display()
    )]
    OtherWriter { place: PathBuf },
}

impl PlaceError {
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

/// A folder or a bucket. Paths are relative, with `/` between folders.
pub(crate) trait Place: Send + Sync {
    /// What people call a file there.
    fn name(&self, path: &str) -> PathBuf;

    /// A finished file; `bytes` is how long it is by the manifest. `None` where it is gone.
    fn open(&self, path: &str, bytes: u64) -> io::Result<Option<Arc<dyn Content>>>;

    /// Begins a file of a publication: its bytes are durable, its name may not be.
    fn write(&self, path: &str, bytes: Vec<u8>, steps: &mut Steps) -> Result<(), PlaceError>;

    /// Makes the names of all files of a publication durable.
    fn finish(&self, paths: &[String], steps: &mut Steps) -> Result<(), PlaceError>;

    /// Gives up a file of a publication that failed. What stays is an orphan.
    fn discard(&self, path: &str);

    /// All files below the folders of the data sets, whosever they are.
    fn files(&self) -> Result<Vec<String>, PlaceError>;

    /// Removes a file, also where it is gone already.
    fn remove(&self, path: &str) -> Result<(), PlaceError>;

    /// Makes an entry of the manifest what all readers believe, after it is durable in the folder.
    fn announce(&self, entry: &Entry, line: &[u8], steps: &mut Steps) -> Result<(), PlaceError>;
}

/// The bytes of a finished file.
pub(crate) trait Content: Send + Sync {
    /// How many there are.
    fn bytes(&self) -> u64;

    /// Just these bytes.
    ///
    /// # Errors
    /// Also where there are fewer.
    fn read(&self, from: u64, bytes: usize) -> io::Result<Bytes>;
}

/// Content for the Parquet reader.
pub(crate) struct Chunks(pub(crate) Arc<dyn Content>);

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.0.bytes()
    }
}

impl ChunkReader for Chunks {
    type T = BufReader<Reading>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(BufReader::new(Reading { content: Arc::clone(&self.0), at: start }))
    }

    /// What a damaged file says of itself is not believed: memory is taken for bytes that are there.
    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let end = start.checked_add(length as u64);
        if end.is_none_or(|end| end > self.0.bytes()) {
            return Err(ParquetError::EOF(format!("it has no {length} bytes from {start} on")));
        }
        Ok(self.0.read(start, length)?)
    }
}

/// Content from some position to its end.
pub(crate) struct Reading {
    content: Arc<dyn Content>,
    at: u64,
}

impl Read for Reading {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = self.content.bytes().saturating_sub(self.at);
        let bytes = into.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let (target, _) = into.split_at_mut(bytes);
        if bytes > 0 {
            target.copy_from_slice(&self.content.read(self.at, bytes)?);
        }
        self.at += bytes as u64;
        Ok(bytes)
    }
}
