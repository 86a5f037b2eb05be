//! A prefix in a bucket of S3, or of a service that knows conditional puts (`If-None-Match: *`).
//!
//! ```text
//! writer.json            {"format":1,"writer":"…"}, put once and never changed
//! manifest/<sequence, 20 digits>.json   one line of `manifest.jsonl` each: see `manifest`
//! accepted/… quarantine/… dispositions/…   files under the paths that the manifest gives
//! ```
//!
//! # One log, one prefix
//! The manifest is about positions of one log, so a prefix belongs to one storage folder, which lies beside
//! the log, for good. The folder has a random name in `writer`; who first puts it as `writer.json` has the
//! prefix, everybody else is refused. To give a prefix to another folder (with the same log), an operator
//! removes `writer.json`; the manifest is then read from the bucket.
//!
//! # How an entry is published
//! Its files are put, each on the condition that the name is free. Then its line is appended to the
//! folder's own `manifest.jsonl` and fsynced: it is decided. Then it is put as an object, on the same
//! condition: it is published, and the log may forget.
//!
//! | a start finds | it means | what is done |
//! |---|---|---|
//! | the folder's last entry in the bucket, and none after it | all is well | |
//! | the folder's last entry missing in the bucket | a crash before the last step | it is put |
//! | another entry in its place, or entries after it | another writer | refused |
//! | no entries in the folder, some in the bucket | a new folder | they are copied |
//! | a gap | damage | refused |
//! | files that no entry names | a crash before they were decided | they are removed |
//!
//! # A put whose answer was lost
//! is sent again, and finds the name taken. Where what is there has the same bytes, it was our own. Rows of
//! a range always give the same bytes. Nothing is removed while the storage runs: a late removal could
//! hit what a later try has put.
//!
//! # Bounds
//! A request has its timeout, and is tried [`objects::RETRIES`] more times within [`objects::RETRY_FOR`];
//! then the publication fails, rows stay in the log, and the storage thread tries again after a pause.

mod cache;
mod objects;
mod own;
mod transport;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use tidegate_types::Digest;

use self::cache::Cache;
use self::objects::{Objects, Put};
use super::{Content, Place, PlaceError};
use crate::manifest::{Entry, from_line};
use crate::publish::partition::ROOTS;
use crate::publish::{Step, Steps};
use crate::storage::bucket::BucketOptions;
use crate::storage::options::OpenError;

/// A prefix that this process writes to.
pub(crate) struct S3 {
    objects: Arc<Objects>,
    cache: Arc<Cache>,
}

/// Takes a prefix. Answers it with the folder of the manifest that this process writes.
pub(crate) fn open(options: &BucketOptions, folder: &Path) -> Result<(S3, PathBuf), OpenError> {
    let objects = Objects::new(options)?;
    let own = own::open(&objects, options, folder)?;
    Ok((S3 { objects: Arc::new(objects), cache: Arc::default() }, own))
}

impl Place for S3 {
    fn name(&self, path: &str) -> PathBuf {
        self.objects.name(path)
    }

    fn open(&self, path: &str, bytes: u64) -> io::Result<Option<Arc<dyn Content>>> {
        let (objects, cache) = (Arc::clone(&self.objects), Arc::clone(&self.cache));
        let object = Object { objects, cache, path: path.to_owned(), bytes };
        // The end is needed first: it is the footer.
        let end = object.block(bytes.saturating_sub(1) / cache::BLOCK)?;
        Ok(end.map(|_| Arc::new(object) as Arc<dyn Content>))
    }

    fn write(&self, path: &str, bytes: Vec<u8>, steps: &mut Steps) -> Result<(), PlaceError> {
        let name = self.name(path);
        let (sha256, length) = (Digest::of(&bytes), bytes.len() as u64);
        let put = steps.before(Step::WriteFile);
        let put = put.and_then(|()| self.objects.put_new(path, bytes.into()));
        match put.map_err(PlaceError::io(&name))? {
            Put::Done => Ok(()),
            Put::Taken => {
                let is_same = |there: &[u8]| Digest::of(there) == sha256;
                let is_ours = self.objects.holds(path, length, is_same);
                if is_ours.map_err(PlaceError::io(&name))? {
                    Ok(())
                } else {
                    Err(PlaceError::OtherContent { path: name })
                }
            }
        }
    }

    /// A put is durable with its name.
    fn finish(&self, _: &[String], _: &mut Steps) -> Result<(), PlaceError> {
        Ok(())
    }

    /// Left to the next start: see above.
    fn discard(&self, _: &str) {}

    fn files(&self) -> Result<Vec<String>, PlaceError> {
        let mut found = Vec::new();
        for root in ROOTS {
            found.extend(self.objects.list(root, None).map_err(PlaceError::io(self.name(root)))?);
        }
        Ok(found)
    }

    fn remove(&self, path: &str) -> Result<(), PlaceError> {
        self.objects.remove(path).map_err(PlaceError::io(self.name(path)))
    }

    fn announce(&self, entry: &Entry, line: &[u8], steps: &mut Steps) -> Result<(), PlaceError> {
        let before = steps.before(Step::Announce);
        before.map_err(PlaceError::io(self.name(&entry_path(entry.sequence))))?;
        announce(&self.objects, entry, line)
    }
}

fn entry_path(sequence: u64) -> String {
    format!("{MANIFEST}/{sequence:020}.json")
}

/// Where entries are.
const MANIFEST: &str = "manifest";
/// Most bytes of an entry: some 4096 files, with room.
const ENTRY_BYTES: u64 = 16 << 20;

/// Puts an entry, where it is not there already.
fn announce(objects: &Objects, entry: &Entry, line: &[u8]) -> Result<(), PlaceError> {
    let path = entry_path(entry.sequence);
    let name = objects.name(&path);
    let put = objects.put_new(&path, Bytes::copy_from_slice(line));
    match put.map_err(PlaceError::io(&name))? {
        Put::Done => Ok(()),
        Put::Taken => {
            let is_same = |there: &[u8]| from_line(there).as_ref() == Ok(entry);
            let is_ours = objects.holds(&path, ENTRY_BYTES, is_same);
            let place = objects.name("");
            if is_ours.map_err(PlaceError::io(&name))? {
                Ok(())
            } else {
                Err(PlaceError::OtherWriter { place })
            }
        }
    }
}

/// A published file.
struct Object {
    objects: Arc<Objects>,
    cache: Arc<Cache>,
    path: String,
    bytes: u64,
}

impl Object {
    /// One block; `None` where the object is gone.
    fn block(&self, number: u64) -> io::Result<Option<Bytes>> {
        if let Some(block) = self.cache.get(&self.path, number) {
            return Ok(Some(block));
        }
        let from = number * cache::BLOCK;
        let range = from..self.bytes.min(from + cache::BLOCK);
        let block = self.objects.get_range(&self.path, range, self.bytes)?;
        if let Some(block) = &block {
            self.cache.put(&self.path, number, block.clone());
        }
        Ok(block)
    }
}

impl Content for Object {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read(&self, from: u64, bytes: usize) -> io::Result<Bytes> {
        let end = from + bytes as u64;
        let mut read = Vec::new();
        let mut at = from;
        while at < end {
            let block = self.block(at / cache::BLOCK)?.ok_or(io::ErrorKind::NotFound)?;
            let begin = usize::try_from(at % cache::BLOCK).unwrap_or(usize::MAX);
            let wanted = usize::try_from(end - at).unwrap_or(usize::MAX);
            let until = block.len().min(begin.saturating_add(wanted));
            if begin >= until {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let part = block.slice(begin..until);
            if part.len() == bytes {
                return Ok(part);
            }
            at += part.len() as u64;
            read.extend_from_slice(&part);
        }
        Ok(read.into())
    }
}

#[cfg(test)]
mod tests;
