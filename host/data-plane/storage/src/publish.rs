//! Publishing a range of the log: all its files, then one manifest entry.
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

pub(crate) mod orphans;
pub(crate) mod partition;

use std::collections::{BTreeSet, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tidegate_types::{Digest, Lsn};

use crate::manifest::{Entry, FileEntry, Manifest, Totals, remove_if_there};
use crate::publish::partition::{Partition, UNFINISHED};
use crate::rows::Part;

/// Most folders that are remembered as durable; with more, all are checked again.
const SETTLED_FOLDERS: usize = 16_384;

/// What is about to be done. The order of the variants is the order of the steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    WriteFile,
    SyncFile,
    Rename,
    SyncFolder,
    AppendManifest,
    SyncManifest,
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
    #[error("cannot publish in {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("cannot encode rows: {0}")]
    Parquet(#[from] parquet::errors::ParquetError),
}

/// The one writer of a storage folder.
pub(crate) struct Publisher {
    folder: PathBuf,
    manifest: Manifest,
    /// Folders whose own names this process has made durable.
    settled: HashSet<PathBuf>,
    steps: Steps,
}

impl Publisher {
    pub(crate) fn new(folder: PathBuf, manifest: Manifest, steps: Steps) -> Self {
        Self { folder, manifest, settled: HashSet::new(), steps }
    }

    pub(crate) fn next_lsn(&self) -> Lsn {
        self.manifest.next_lsn()
    }

    pub(crate) fn totals(&self) -> Totals {
        self.manifest.totals()
    }

    /// Finishes a publication whose manifest entry failed. Call it after any error.
    pub(crate) fn settle(&mut self) -> Result<(), PublishError> {
        let settled = self.manifest.settle(&mut self.steps);
        settled.map_err(|source| PublishError::Io { path: self.folder.clone(), source })
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
                for path in &written {
                    self.discard(path);
                }
                Err(error)
            }
        }
    }

    /// Steps 1 to 3. `written` gets the final names of all files begun.
    fn place(
        &mut self,
        last: Lsn,
        parts: Vec<(Partition, Part)>,
        written: &mut Vec<PathBuf>,
    ) -> Result<Vec<FileEntry>, PublishError> {
        let first = self.next_lsn();
        let mut files = Vec::with_capacity(parts.len());
        let mut folders = BTreeSet::new();
        for (partition, rows) in parts {
            let folder = partition.folder();
            self.make_folder(&folder, &mut folders)?;
            let path = folder.join(partition.file_name(first, last));
            let (count, received) = (rows.len() as u64, Some(rows.received()));
            let bytes = rows.into_parquet(&partition)?;
            written.push(self.folder.join(&path));
            self.write(&path, &bytes)?;
            let (sha256, path) = (Digest::of(&bytes), path.to_string_lossy().into_owned());
            let bytes = bytes.len() as u64;
            files.push(FileEntry { path, rows: count, bytes, sha256, received });
        }
        for path in written.iter() {
            let renamed = self.steps.before(Step::Rename);
            let renamed = renamed.and_then(|()| std::fs::rename(unfinished(path), path));
            renamed.map_err(|source| PublishError::Io { path: path.clone(), source })?;
        }
        for folder in &folders {
            let synced = self.steps.before(Step::SyncFolder);
            let synced = synced.and_then(|()| sync_folder(&self.folder.join(folder)));
            synced.map_err(|source| PublishError::Io { path: folder.clone(), source })?;
        }
        if self.settled.len() > SETTLED_FOLDERS {
            self.settled.clear();
        }
        self.settled.extend(folders);
        Ok(files)
    }

    /// Step 4.
    fn announce(&mut self, last_lsn: Lsn, files: Vec<FileEntry>) -> Result<(), PublishError> {
        let (sequence, first_lsn) = (self.manifest.next_sequence(), self.next_lsn());
        let entry = Entry { sequence, first_lsn, last_lsn, files };
        let appended = self.manifest.append(entry, &mut self.steps);
        let told = appended.and_then(|()| self.steps.before(Step::Published));
        told.map_err(|source| PublishError::Io { path: self.folder.clone(), source })
    }

    /// Makes a folder and those above it. `to_sync` gets the folder and, for each one that this
    /// process has not made durable yet, its parent.
    fn make_folder(
        &self,
        folder: &Path,
        to_sync: &mut BTreeSet<PathBuf>,
    ) -> Result<(), PublishError> {
        let whole = self.folder.join(folder);
        std::fs::create_dir_all(&whole)
            .map_err(|source| PublishError::Io { path: whole, source })?;
        to_sync.insert(folder.to_owned());
        let unsettled = folder.ancestors().take_while(|at| !self.settled.contains(*at));
        to_sync.extend(unsettled.filter_map(Path::parent).map(Path::to_owned));
        Ok(())
    }

    fn write(&mut self, path: &Path, bytes: &[u8]) -> Result<(), PublishError> {
        let path = unfinished(&self.folder.join(path));
        let mut write = || {
            remove_if_there(&path)?;
            self.steps.before(Step::WriteFile)?;
            let mut file = OpenOptions::new().write(true).create_new(true).open(&path)?;
            file.write_all(bytes)?;
            self.steps.before(Step::SyncFile)?;
            file.sync_all()
        };
        write().map_err(|source| PublishError::Io { path: path.clone(), source })
    }

    fn discard(&self, path: &Path) {
        for path in [unfinished(path), path.to_owned()] {
            if let Err(error) = remove_if_there(&path) {
                tracing::warn!(path = %path.display(), %error, "unpublished file not removed");
            }
        }
    }
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(UNFINISHED);
    PathBuf::from(name)
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
