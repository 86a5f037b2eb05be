//! Makes a scanned log ready: puts a torn tail aside, writes the last segment's whole frames into a
//! new one, deletes what is not needed.

use std::path::PathBuf;

use tidegate_types::Lsn;

use crate::frame;
use crate::log::options::WalOptions;
use crate::log::outcome::{OpenError, Torn};
use crate::log::shared::{Index, Segment};
use crate::log::writer::Active;
use crate::recovery::list::{Listing, TORN};
use crate::recovery::scan::{Last, Scanned};
use crate::recovery::{DirectoryLock, Recovered, io_error};
use crate::segment::{self, Frames, HEADER_BYTES, Header, Tail};

/// How many torn tails are kept.
const TORN_KEPT: usize = 16;

pub(super) fn rewrite(
    options: &WalOptions,
    lock: DirectoryLock,
    listing: &Listing,
    mut scanned: Scanned,
) -> Result<Recovered, OpenError> {
    let mut torn: Vec<PathBuf> = listing.torn.iter().map(|(_, path)| path.clone()).collect();
    if let Some(last) = &scanned.last
        && let Tail::Bad { bytes, .. } = last.tail
    {
        let cut = put_aside(options, last, bytes)?;
        torn.retain(|path| *path != cut.copy);
        torn.push(cut.copy.clone());
        scanned.report.torn = Some(cut);
    }
    let (active, segment) = write_segment(options, listing.next_sequence(), &scanned)?;
    let surplus = torn.len().saturating_sub(TORN_KEPT);
    let old = scanned.last.iter().map(|last| &last.path);
    let useless = old.chain(&scanned.useless).chain(&listing.unfinished);
    for path in useless.chain(torn.iter().take(surplus)) {
        // The copy of a tear replaces an unfinished one of the same name.
        if path.exists() {
            options.disk.remove(path).map_err(io_error("delete", path))?;
        }
    }
    let directory = &options.directory;
    options.disk.sync_directory(directory).map_err(io_error("sync", directory))?;
    let index = Index {
        segments: scanned.finished.into_iter().chain([segment]).collect(),
        sidecars: scanned.sidecars.into(),
        torn_files: (torn.len() - surplus) as u64,
    };
    Ok(Recovered { lock, index, active, report: scanned.report })
}

fn put_aside(options: &WalOptions, last: &Last, bytes: usize) -> Result<Torn, OpenError> {
    let name = format!("{:020}{TORN}", last.header.sequence);
    let copy = options.directory.join(&name);
    let tail = last.data.get(last.offset..last.offset + bytes).unwrap_or_default();
    segment::publish(&*options.disk, &options.directory, &name, bytes as u64, &[tail])
        .map_err(io_error("write", &copy))?;
    let offset = last.offset as u64;
    tracing::warn!(
        segment = %last.path.display(), offset, bytes, copy = %copy.display(), "cut a torn tail"
    );
    Ok(Torn { copy, offset, bytes: bytes as u64 })
}

/// Writes the segment that the log goes on with: the last one's records, then a seal.
fn write_segment(
    options: &WalOptions,
    sequence: u64,
    scanned: &Scanned,
) -> Result<(Active, Segment), OpenError> {
    let path = options.directory.join(segment::name(sequence));
    let id = segment::new_id().map_err(io_error("find an id for", &path))?;
    let next = scanned.report.next;
    let mut body = Vec::new();
    let mut first = None;
    if let Some(last) = &scanned.last {
        for frame in Frames::new(&last.data, last.header.id).filter(|frame| frame.count > 0) {
            first.get_or_insert(frame.first);
            frame::encode(&mut body, id, frame.first, frame.count, [frame.records].into_iter());
        }
    }
    frame::encode(&mut body, id, next, 0, std::iter::empty());
    let offset = (HEADER_BYTES + body.len()) as u64;
    // What the last one replaced may come back with it: its deletion is not durable if the process
    // was killed before the sync of the directory.
    let replaced = scanned.last.as_ref().map(|last| last.header);
    let replaces = replaced.map(|header| header.replaces.unwrap_or(header.sequence));
    let bytes = options.segment_bytes.max(offset);
    let header = Header { sequence, id, durable: offset, replaces, bytes };
    let file = segment::create(&*options.disk, &options.directory, &header, &body)
        .map_err(io_error("make", &path))?;
    let first: Lsn = first.unwrap_or(next);
    let active = Active { file, sequence, id, offset, bytes, indexed: true };
    Ok((active, Segment { sequence, id, first, end: None, bytes }))
}
