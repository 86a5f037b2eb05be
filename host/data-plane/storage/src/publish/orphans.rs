//! Orphans: files of ranges that were never published. Only names that this crate gives are
//! touched; whatever else lies there stays.

use std::collections::HashSet;

use crate::place::{Place, PlaceError};
use crate::publish::partition::is_ours;

/// What a storage held besides what the manifest names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Orphans {
    /// Files removed.
    pub(crate) removed: u64,
    /// Files that the manifest names and that are not there.
    pub(crate) missing: u64,
}

/// Removes all orphans. In a bucket it takes one request for a thousand files.
///
/// # Errors
/// Where the files cannot be listed, or one not be removed.
pub(crate) fn remove(
    place: &dyn Place,
    mut published: HashSet<String>,
) -> Result<Orphans, PlaceError> {
    let mut removed = 0;
    for path in place.files()? {
        let is_orphan = path.rsplit('/').next().is_some_and(is_ours) && !published.remove(&path);
        if is_orphan {
            place.remove(&path)?;
            removed += 1;
        }
    }
    Ok(Orphans { removed, missing: published.len() as u64 })
}
