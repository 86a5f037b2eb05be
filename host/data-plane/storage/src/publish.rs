//! Publishing a range of the log: all its files, then one manifest entry. On disk:
//!
//! 1. Each file is written as `….parquet.tmp` and fsynced.
//! 2. All are renamed to their names.
//! 3. Their folders are fsynced, with the parents of new folders.
//! 4. The manifest's entry is appended and fsynced.
//!
//! A crash before 4 leaves files that no entry names: orphans, removed at the next start. An error
//! before 4 removes what was written, so a full disk gets its room back, and the range is read
//! from the log again: no file is used again after its fsync failed. The record of what was
//! published is the manifest; see there for errors during 4.
//!
//! In a bucket 1 to 3 are one conditional put for each file, and after 4 the entry is announced: put as
//! an object of its own (see `place::s3`). What an error leaves there stays until the next start: a
//! try of the same range finds it and takes it for its own.

pub(crate) mod notice;
pub(crate) mod orphans;
pub(crate) mod partition;

use std::io;
use std::sync::Arc;

use tidegate_types::{Digest, Lsn};

use crate::manifest::{Entry, FileEntry, Manifest, Totals};
use crate::place::{Place, PlaceError};
use crate::publish::notice::{Announcer, Publication, PublishedFile};
use crate::publish::partition::Partition;
use crate::rows::Part;

/// What is about to be done. The order of the variants is the order of the steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    WriteFile,
    SyncFile,
    Rename,
    SyncFolder,
    AppendManifest,
    SyncManifest,
    #[cfg(feature = "s3")]
    Announce,
    Published,
}

/// Asked before each step, so that tests can fail the disk or end the process there.
pub(crate) struct Steps(Box<dyn FnMut(Step) -> io::Result<()> + Send>);

impl Steps {
    pub(crate) fn new(before: impl FnMut(Step) -> io::Result<()> + Send + 'static) -> Self {
        Self(Box::new(before))
    }

    /// Nothing stands between the steps.
    pub(crate) fn unhindered() -> Self {
        Self::new(|_| Ok(()))
    }

    pub(crate) fn before(&mut self, step: Step) -> io::Result<()> {
        (self.0)(step)
    }
}

/// Why a range was not published.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error("cannot encode rows: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
}

/// The one writer of a storage.
pub(crate) struct Publisher {
    place: Arc<dyn Place>,
    manifest: Manifest,
    announcer: Announcer,
    /// What is told once the manifest has its entry.
    decided: Option<Publication>,
    steps: Steps,
}

/// The files of a range, as the manifest and as subscribers are told.
type Placed = (Vec<FileEntry>, Vec<PublishedFile>);

impl Publisher {
    pub(crate) fn new(
        place: Arc<dyn Place>,
        manifest: Manifest,
        announcer: Announcer,
        steps: Steps,
    ) -> Self {
        Self { place, manifest, announcer, decided: None, steps }
    }

    pub(crate) fn next_lsn(&self) -> Lsn {
        self.manifest.next_lsn()
    }

    pub(crate) fn totals(&self) -> Totals {
        self.manifest.totals()
    }

    /// Finishes a publication whose manifest entry failed. Call it after any error.
    pub(crate) fn settle(&mut self) -> Result<(), PublishError> {
        self.manifest.settle(&mut self.steps)?;
        self.tell();
        Ok(())
    }

    /// Publishes the rows of the range that ends with `last`.
    pub(crate) fn publish(
        &mut self,
        last: Lsn,
        parts: Vec<(Partition, Part)>,
    ) -> Result<(), PublishError> {
        let mut written = Vec::with_capacity(parts.len());
        match self.place(last, parts, &mut written) {
            Ok(files) => self.announce(last, files),
            Err(error) => {
                written.iter().for_each(|path| self.place.discard(path));
                Err(error)
            }
        }
    }

    /// Steps 1 to 3. `written` gets the paths of all files begun.
    fn place(
        &mut self,
        last: Lsn,
        parts: Vec<(Partition, Part)>,
        written: &mut Vec<String>,
    ) -> Result<Placed, PublishError> {
        let first = self.next_lsn();
        let (mut files, mut told) =
            (Vec::with_capacity(parts.len()), Vec::with_capacity(parts.len()));
        for (partition, rows) in parts {
            let path = partition.folder().join(partition.file_name(first, last));
            let path = path.to_string_lossy().into_owned();
            let (count, received) = (rows.len() as u64, Some(rows.received()));
            let bytes = rows.into_parquet(&partition)?;
            let (sha256, length) = (Digest::of(&bytes), bytes.len() as u64);
            written.push(path.clone());
            self.place.write(&path, bytes, &mut self.steps)?;
            told.push(PublishedFile::new(&path, partition, count, sha256));
            files.push(FileEntry { path, rows: count, bytes: length, sha256, received });
        }
        self.place.finish(written, &mut self.steps)?;
        Ok((files, told))
    }

    /// Step 4.
    fn announce(&mut self, last_lsn: Lsn, (files, told): Placed) -> Result<(), PublishError> {
        let (sequence, first_lsn) = (self.manifest.next_sequence(), self.next_lsn());
        self.decided = Some(Publication { sequence, first_lsn, last_lsn, files: told });
        let entry = Entry { sequence, first_lsn, last_lsn, files };
        self.manifest.append(entry, &mut self.steps)?;
        self.tell();
        let told = self.steps.before(Step::Published);
        Ok(told.map_err(PlaceError::io(self.place.name("")))?)
    }

    /// Tells of a publication that the manifest has.
    fn tell(&mut self) {
        let published = self.manifest.next_sequence();
        if let Some(publication) = self.decided.take_if(|one| one.sequence < published) {
            self.announcer.tell(publication);
        }
    }
}
