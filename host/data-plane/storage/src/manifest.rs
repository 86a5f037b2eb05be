//! The manifest: the only truth about which files are published.
//!
//! `manifest.jsonl` in the storage folder has one line for each published range of the log:
//! `{"format":1,"crc32c":"xxxxxxxx","entry":{…}}`, the CRC-32C (eight hexadecimal digits) over the
//! text of `entry` as it stands. Lines are only ever appended, each fsynced before the next is
//! written; sequences count from 1, and each range begins where the one before ended.
//!
//! | what is found | what it means | what is done |
//! |---|---|---|
//! | a good line | a published range | its files are read |
//! | the last line is bad or has no newline | an append that never finished | it is ignored; the writer keeps it aside in `manifest.jsonl.torn` and cuts it |
//! | a bad line, and something after it | damage | refused |
//! | a line out of sequence | damage | refused |
//!
//! After a failed append the file is not touched again: a copy of its good lines with the new one
//! takes its place.
//!
//! Where the files are in a bucket, readers believe the objects `manifest/<sequence>.json` there, whose
//! content is such a line each. The file is then the writer's own: an entry is durable in it before it is
//! announced as an object, and counts as published after.

pub(crate) mod index;

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tidegate_types::{Digest, Lsn, UnixMillis};

use crate::place::disk::sync_folder;
use crate::place::{Place, PlaceError};
use crate::publish::{Step, Steps};
use index::Index;

/// The manifest's name in the storage folder.
pub const FILE_NAME: &str = "manifest.jsonl";
const FORMAT: u32 = 1;

/// One published range of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// 1 for the first entry, then one more each.
    pub sequence: u64,
    pub first_lsn: Lsn,
    /// The last record of the range, itself included.
    pub last_lsn: Lsn,
    pub files: Vec<FileEntry>,
}

/// One Parquet file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Relative to the storage folder, with `/` between folders.
    pub path: String,
    pub rows: u64,
    pub bytes: u64,
    pub sha256: Digest,
    /// When the first and the last of its events were received; entries of early versions do not
    /// tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received: Option<[UnixMillis; 2]>,
}

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("cannot read or write {path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    /// Damage that no crash explains. Nothing was changed.
    #[error("{path} is damaged at line {line}: {found}")]
    Corrupt { path: PathBuf, line: u64, found: &'static str },
}

/// Reads all entries, also while the gateway runs.
///
/// # Errors
/// [`ManifestError`]; a missing manifest is an empty one.
pub fn read(folder: &Path) -> Result<Vec<Entry>, ManifestError> {
    let mut entries = Vec::new();
    scan(&folder.join(FILE_NAME), &mut |entry, _| entries.push(entry))?;
    Ok(entries)
}

#[derive(Serialize, Deserialize)]
struct Line<'a> {
    format: u32,
    crc32c: &'a str,
    #[serde(borrow)]
    entry: &'a RawValue,
}

fn checksum(text: &str) -> String {
    format!("{:08x}", crc32c::crc32c(text.as_bytes()))
}

pub(crate) fn to_line(entry: &Entry) -> io::Result<Vec<u8>> {
    let entry = serde_json::value::to_raw_value(entry)?;
    let crc32c = checksum(entry.get());
    let mut line = serde_json::to_vec(&Line { format: FORMAT, crc32c: &crc32c, entry: &entry })?;
    line.push(b'\n');
    Ok(line)
}

/// The entry of a line, which is also the content of an object of a manifest in a bucket.
///
/// # Errors
/// What is wrong with it.
pub fn from_line(line: &[u8]) -> Result<Entry, &'static str> {
    let line = line.strip_suffix(b"\n").ok_or("the line does not end")?;
    let line: Line<'_> = serde_json::from_slice(line).map_err(|_| "the line is not an entry")?;
    if line.crc32c != checksum(line.entry.get()) {
        return Err("the checksum does not match");
    }
    if line.format != FORMAT {
        return Err("the line has an unknown format");
    }
    serde_json::from_str(line.entry.get()).map_err(|_| "the entry is incomplete")
}

/// What is published altogether.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) files: u64,
    pub(crate) rows: u64,
    /// Of the files, as they are on the disk.
    pub(crate) bytes: u64,
}

impl Totals {
    fn add(&mut self, entry: &Entry) {
        for file in &entry.files {
            self.files += 1;
            self.rows += file.rows;
            self.bytes += file.bytes;
        }
    }
}

/// Where a manifest ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct End {
    /// Bytes of good lines.
    good_bytes: u64,
    /// Bytes of a torn line after them.
    torn_bytes: u64,
    sequence: u64,
    next_lsn: Lsn,
    totals: Totals,
}

impl End {
    fn follow(&mut self, entry: &Entry, line_bytes: usize) -> Result<(), &'static str> {
        let next_lsn = entry.last_lsn.0.checked_add(1).ok_or("the range has no end")?;
        if entry.sequence != self.sequence + 1
            || entry.first_lsn != self.next_lsn
            || entry.last_lsn < entry.first_lsn
        {
            return Err("the entry does not follow the one before");
        }
        self.sequence = entry.sequence;
        self.next_lsn = Lsn(next_lsn);
        self.good_bytes += line_bytes as u64;
        self.totals.add(entry);
        Ok(())
    }
}

pub(crate) fn scan(path: &Path, each: &mut dyn FnMut(Entry, u64)) -> Result<End, ManifestError> {
    let io = |source| ManifestError::Io { path: path.to_owned(), source };
    let mut reader = match File::open(path) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(End::default()),
        Err(error) => return Err(io(error)),
    };
    let mut end = End::default();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(io)? == 0 {
            break;
        }
        let corrupt = |found| ManifestError::Corrupt { path: path.to_owned(), line: number, found };
        match from_line(&line) {
            Ok(entry) => {
                end.follow(&entry, line.len()).map_err(corrupt)?;
                each(entry, line.len() as u64);
            }
            Err(_) if reader.fill_buf().map_err(io)?.is_empty() => {
                end.torn_bytes = line.len() as u64;
                break;
            }
            Err(found) => return Err(corrupt(found)),
        }
    }
    Ok(end)
}

/// The one writer of a manifest.
pub(crate) struct Manifest {
    folder: PathBuf,
    end: End,
    /// The same for readers.
    index: Arc<Index>,
    /// Open for appending; `None` when the file must be replaced first.
    file: Option<File>,
    /// An entry whose append failed, and its line. Whether it is on the disk is not known, so it
    /// stays decided: its files are complete and durable, and nothing else may take its range.
    pending: Option<(Entry, Vec<u8>)>,
    /// Where entries are announced after they are in the file.
    announced_at: Option<Arc<dyn Place>>,
}

impl Manifest {
    /// Opens or makes the manifest of a folder; tells every entry.
    pub(crate) fn open(
        folder: &Path,
        each: &mut dyn FnMut(Entry),
        steps: &mut Steps,
    ) -> Result<Self, ManifestError> {
        let path = folder.join(FILE_NAME);
        let index = Arc::new(Index::new(path.clone()));
        let end = scan(&path, &mut |entry, bytes| {
            index.add(&entry, bytes);
            each(entry);
        })?;
        let folder = folder.to_owned();
        let mut manifest =
            Self { folder, end, index, file: None, pending: None, announced_at: None };
        if end.torn_bytes > 0 {
            tracing::warn!(path = %path.display(), bytes = end.torn_bytes, "torn line cut from manifest");
            manifest
                .keep_torn()
                .map_err(|source| ManifestError::Io { path: path.clone(), source })?;
        }
        // What a killed process left in the page cache is not yet on the disk: begin with a file
        // whose every line this process has fsynced.
        manifest.replace(steps).map_err(|source| ManifestError::Io { path, source })?;
        Ok(manifest)
    }

    /// Announces entries from now on.
    pub(crate) fn announced_at(self, place: Arc<dyn Place>) -> Self {
        Self { announced_at: Some(place), ..self }
    }

    /// The first record that is not published.
    pub(crate) fn next_lsn(&self) -> Lsn {
        self.end.next_lsn
    }

    /// The sequence of the next entry.
    pub(crate) fn next_sequence(&self) -> u64 {
        self.end.sequence + 1
    }

    pub(crate) fn totals(&self) -> Totals {
        self.end.totals
    }

    /// Where entries stand, for readers. It has an entry once the entry is durable.
    pub(crate) fn index(&self) -> Arc<Index> {
        Arc::clone(&self.index)
    }

    /// Appends an entry durably. After an error the entry is decided but not yet published:
    /// [`Manifest::settle`] must succeed before anything else is done.
    pub(crate) fn append(&mut self, entry: Entry, steps: &mut Steps) -> Result<(), PlaceError> {
        let line = to_line(&entry).map_err(PlaceError::io(&self.folder))?;
        self.pending = Some((entry, line));
        if let Some(file) = self.file.take() {
            self.write(file, steps).map_err(PlaceError::io(&self.folder))?;
        }
        self.settle(steps)
    }

    /// Finishes what a failed append left open; does nothing where none did.
    pub(crate) fn settle(&mut self, steps: &mut Steps) -> Result<(), PlaceError> {
        if self.file.is_none() {
            self.replace(steps).map_err(PlaceError::io(&self.folder))?;
        }
        if let (Some((entry, line)), Some(place)) = (&self.pending, &self.announced_at) {
            place.announce(entry, line, steps)?;
        }
        self.commit().map_err(PlaceError::io(&self.folder))
    }

    /// Writes the pending line.
    fn write(&mut self, mut file: File, steps: &mut Steps) -> io::Result<()> {
        if let Some((_, line)) = &self.pending {
            steps.before(Step::AppendManifest)?;
            file.write_all(line)?;
            steps.before(Step::SyncManifest)?;
            file.sync_all()?;
        }
        self.file = Some(file);
        Ok(())
    }

    /// Puts a copy of the good lines, with the pending one, in the file's place.
    fn replace(&mut self, steps: &mut Steps) -> io::Result<()> {
        let path = self.folder.join(FILE_NAME);
        let new_path = self.folder.join(format!("{FILE_NAME}.tmp"));
        remove_if_there(&new_path)?;
        steps.before(Step::AppendManifest)?;
        let mut new = OpenOptions::new().append(true).create_new(true).open(&new_path)?;
        if self.end.good_bytes > 0 {
            io::copy(&mut File::open(&path)?.take(self.end.good_bytes), &mut new)?;
        }
        if let Some((_, line)) = &self.pending {
            new.write_all(line)?;
        }
        steps.before(Step::SyncManifest)?;
        new.sync_all()?;
        std::fs::rename(&new_path, &path)?;
        sync_folder(&self.folder)?;
        self.file = Some(new);
        Ok(())
    }

    fn commit(&mut self) -> io::Result<()> {
        if let Some((entry, line)) = self.pending.take() {
            self.end.follow(&entry, line.len()).map_err(io::Error::other)?;
            self.index.add(&entry, line.len() as u64);
        }
        Ok(())
    }

    fn keep_torn(&self) -> io::Result<()> {
        let mut file = File::open(self.folder.join(FILE_NAME))?;
        file.seek(SeekFrom::Start(self.end.good_bytes))?;
        let mut aside = File::create(self.folder.join(format!("{FILE_NAME}.torn")))?;
        io::copy(&mut file.take(self.end.torn_bytes), &mut aside)?;
        aside.sync_all()
    }
}

pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
