//! The files of a write-ahead log, as far as a test needs them to damage one on purpose. The format
//! is told in the module documentation of `tidegate-wal`.

use std::ops::Range;
use std::path::{Path, PathBuf};

const SEGMENT_HEADER: usize = 64;
const FRAME_HEADER: usize = 32;

/// The files of a log with an ending, oldest first.
#[must_use]
pub fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.join("wal")).expect("the log has a folder");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut paths: Vec<_> = paths.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    paths.sort();
    paths
}

/// The last segment that has frames of events, with its bytes and the places of all its frames.
#[must_use]
pub fn last_written(folder: &Path) -> (PathBuf, Vec<u8>, Vec<Range<usize>>) {
    let mut written = files(folder, ".wal").into_iter().rev().filter_map(|path| {
        let bytes = std::fs::read(&path).expect("a segment can be read");
        let frames = frames(&bytes);
        (frames.iter().any(|frame| frame.len() > FRAME_HEADER)).then_some((path, bytes, frames))
    });
    written.next().expect("the log has events")
}

fn frames(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut frames = Vec::new();
    let mut at = SEGMENT_HEADER;
    while let Some(header) =
        bytes.get(at..at + FRAME_HEADER).filter(|header| header.starts_with(b"TGF1"))
    {
        let records =
            header.last_chunk::<4>().map_or(0, |field| u32::from_le_bytes(*field) as usize);
        let end = at + FRAME_HEADER + records.next_multiple_of(8);
        frames.push(at..end);
        at = end;
    }
    frames
}
