//! Orphans: files of ranges that were never published. Only names that this crate gives are
//! touched; whatever else lies in the folders stays.

use std::collections::HashSet;
use std::io;
use std::path::Path;

use crate::manifest::remove_if_there;
use crate::publish::partition::{ROOTS, is_ours};

/// Status, tenant, type and date.
const FOLDERS_DEEP: u32 = 4;

/// What a storage folder held besides what the manifest names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Orphans {
    /// Files removed.
    pub(crate) removed: u64,
    /// Files that the manifest names and that are not there.
    pub(crate) missing: u64,
}

/// Removes all orphans.
///
/// # Errors
/// Where a folder cannot be read or a file not be removed.
pub(crate) fn remove(folder: &Path, mut published: HashSet<String>) -> io::Result<Orphans> {
    let mut removed = 0;
    for root in ROOTS {
        removed += walk(folder, root, 1, &mut published)?;
    }
    Ok(Orphans { removed, missing: published.len() as u64 })
}

fn walk(folder: &Path, at: &str, depth: u32, published: &mut HashSet<String>) -> io::Result<u64> {
    let entries = match std::fs::read_dir(folder.join(at)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut removed = 0;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let path = format!("{at}/{name}");
        let kind = entry.file_type()?;
        if kind.is_dir() && depth < FOLDERS_DEEP {
            removed += walk(folder, &path, depth + 1, published)?;
        } else if kind.is_file() && is_ours(name) && !published.remove(&path) {
            remove_if_there(&entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}
