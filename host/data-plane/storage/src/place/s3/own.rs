//! What the writer keeps in its folder: its name, and the manifest that it announces. Opening it takes
//! the prefix, or refuses.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::Serialize;
use tidegate_types::Digest;

use super::objects::{Objects, Put};
use super::{ENTRY_BYTES, MANIFEST, announce, entry_path};
use crate::manifest::{self, Entry, FILE_NAME, ManifestError, from_line, to_line};
use crate::place::PlaceError;
use crate::place::disk::sync_folder;
use crate::storage::bucket::BucketOptions;
use crate::storage::options::OpenError;

/// In the bucket: the name of the one who writes there.
const WRITER: &str = "writer.json";
/// In the folder: the same.
const NAME: &str = "writer";
/// Entries that are copied at once.
const AT_ONCE: usize = 256;

#[derive(Serialize)]
struct Writer<'a> {
    format: u32,
    writer: &'a str,
}

/// Takes the prefix for what is kept in `folder`; answers the folder of the own manifest, which then
/// agrees with the bucket.
pub(super) fn open(
    objects: &Objects,
    options: &BucketOptions,
    folder: &Path,
) -> Result<PathBuf, OpenError> {
    let url = format!("{} {}", options.endpoint, options.url);
    let hash: String = Digest::of(url.as_bytes()).hex().chars().take(16).collect();
    let own = folder.join("s3").join(hash);
    let failed = |source| OpenError::Io { what: "make", path: own.clone(), source };
    std::fs::create_dir_all(&own).map_err(failed)?;
    for made in own.ancestors().skip(1).take(2) {
        sync_folder(made).map_err(failed)?;
    }
    take(objects, &name(&own).map_err(failed)?)?;
    agree(objects, &own)?;
    Ok(own)
}

/// The folder's name, made up where it has none. It is durable before anybody is told.
fn name(own: &Path) -> io::Result<String> {
    let path = own.join(NAME);
    match std::fs::read_to_string(&path) {
        Ok(name) => return Ok(name.trim().to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    let name: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let unfinished = own.join("writer.tmp");
    let mut file = File::create(&unfinished)?;
    file.write_all(name.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&unfinished, &path)?;
    sync_folder(own)?;
    Ok(name)
}

fn take(objects: &Objects, name: &str) -> Result<(), PlaceError> {
    let failed = || PlaceError::io(objects.name(WRITER));
    let content = serde_json::to_vec(&Writer { format: 1, writer: name });
    let content = Bytes::from(content.map_err(|error| failed()(error.into()))?);
    match objects.put_new(WRITER, content.clone()).map_err(failed())? {
        Put::Done => Ok(()),
        Put::Taken => {
            let is_same = |there: &[u8]| *there == *content;
            let is_ours = objects.holds(WRITER, content.len() as u64, is_same);
            let place = objects.name("");
            if is_ours.map_err(failed())? { Ok(()) } else { Err(PlaceError::OtherWriter { place }) }
        }
    }
}

/// Makes own manifest and bucket agree, as the table of the module above tells.
fn agree(objects: &Objects, own: &Path) -> Result<(), OpenError> {
    let mut last: Option<Entry> = None;
    manifest::scan(&own.join(FILE_NAME), &mut |entry, _| last = Some(entry))?;
    let Some(last) = last else { return copy(objects, own) };
    let failed = PlaceError::io(objects.name(MANIFEST));
    let after = objects.list(MANIFEST, Some(&entry_path(last.sequence))).map_err(failed)?;
    if after.iter().any(|path| sequence(path).is_some()) {
        return Err(PlaceError::OtherWriter { place: objects.name("") }.into());
    }
    let line = to_line(&last).map_err(PlaceError::io(own))?;
    Ok(announce(objects, &last, &line)?)
}

/// Copies the bucket's entries into a folder that has none, all or nothing.
fn copy(objects: &Objects, own: &Path) -> Result<(), OpenError> {
    let failed = || PlaceError::io(objects.name(MANIFEST));
    let paths = objects.list(MANIFEST, None).map_err(failed())?;
    let paths: Vec<String> = paths.into_iter().filter(|path| sequence(path).is_some()).collect();
    if paths.is_empty() {
        return Ok(());
    }
    let io = |source| ManifestError::Io { path: own.to_owned(), source };
    let unfinished = own.join("manifest.jsonl.copy");
    let mut file = File::create(&unfinished).map_err(io)?;
    let mut expected = 1..;
    for some in paths.chunks(AT_ONCE) {
        for (path, content) in some.iter().zip(objects.get_all(some).map_err(failed())?) {
            let number = expected.next().unwrap_or_default();
            check(path, &content, number).map_err(|found| ManifestError::Corrupt {
                path: objects.name(path),
                line: number,
                found,
            })?;
            file.write_all(&content).map_err(io)?;
        }
    }
    file.sync_all().map_err(io)?;
    std::fs::rename(&unfinished, own.join(FILE_NAME)).map_err(io)?;
    sync_folder(own).map_err(io)?;
    tracing::info!(place = %objects.name("").display(), entries = paths.len(), "manifest copied");
    Ok(())
}

/// Is it the entry that must come next, in one line?
fn check(path: &str, content: &[u8], number: u64) -> Result<(), &'static str> {
    if path != entry_path(number) {
        return Err("an entry is missing");
    }
    if content.len() as u64 > ENTRY_BYTES {
        return Err("the entry is too large");
    }
    from_line(content).map(drop)
}

/// The sequence in the path of an entry; `None` for whatever else lies there.
fn sequence(path: &str) -> Option<u64> {
    let name = path.strip_prefix(MANIFEST)?.strip_prefix('/')?.strip_suffix(".json")?;
    if name.len() == 20 { name.parse().ok() } else { None }
}
