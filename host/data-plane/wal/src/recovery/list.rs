//! Which files there are, by name alone.

use std::path::{Path, PathBuf};

use crate::log::outcome::OpenError;
use crate::recovery::io_error;
use crate::segment::{self, UNFINISHED};
use crate::sidecar;

/// Ending of a torn tail that was kept aside.
pub(super) const TORN: &str = ".wal.torn";

/// The files of a log's directory, each kind in the order of its sequence numbers. Files with
/// other names are none of the log's.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) segments: Vec<(u64, PathBuf)>,
    pub(super) sidecars: Vec<(u64, PathBuf)>,
    pub(super) torn: Vec<(u64, PathBuf)>,
    pub(super) unfinished: Vec<PathBuf>,
}

impl Listing {
    /// A sequence number that no file has had.
    pub(super) fn next_sequence(&self) -> u64 {
        let all = self.segments.iter().chain(&self.sidecars).chain(&self.torn);
        all.map(|(sequence, _)| *sequence).max().unwrap_or(0) + 1
    }
}

pub(super) fn list(directory: &Path) -> Result<Listing, OpenError> {
    let mut listing = Listing::default();
    let entries = std::fs::read_dir(directory).map_err(io_error("list", directory))?;
    for entry in entries {
        let path = entry.map_err(io_error("list", directory))?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if name.ends_with(UNFINISHED) {
            listing.unfinished.push(path);
        } else if let Some(sequence) = segment::parse_name(name, ".wal") {
            listing.segments.push((sequence, path));
        } else if let Some(sequence) = segment::parse_name(name, sidecar::ENDING) {
            listing.sidecars.push((sequence, path));
        } else if let Some(sequence) = segment::parse_name(name, TORN) {
            listing.torn.push((sequence, path));
        }
    }
    listing.segments.sort();
    listing.sidecars.sort();
    listing.torn.sort();
    Ok(listing)
}
