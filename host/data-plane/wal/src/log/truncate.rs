//! Deletes segments from the front, once nobody needs their records any more.
//!
//! Order, so that a crash at any moment loses no key and leaves no gap: the sidecar durable (also one
//! without keys: it says where the log begins), then the segment deleted, then the directory synced,
//! then the next segment. At last the sidecars whose keys are all out of the window go, except for
//! the newest one.

use std::io;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use tidegate_types::{Lsn, UnixMillis};

use crate::disk::is_full;
use crate::log::outcome::{TruncateError, Truncated};
use crate::log::shared::{Segment, Shared, SidecarFile};
use crate::reader::Open;
use crate::record::Record;
use crate::sidecar::{self, Key, Sidecar};

pub(crate) fn truncate(
    shared: &Shared,
    before: Lsn,
    keep_received_after: UnixMillis,
) -> Result<Truncated, TruncateError> {
    let _one = shared.truncating.lock().unwrap_or_else(PoisonError::into_inner);
    let before = shared.releasable(before);
    let mut done = Truncated::default();
    if shared.has_failed() {
        return Err(TruncateError::Closed);
    }
    while let Some(segment) = oldest_below(shared, before) {
        let end = segment.end.unwrap_or(segment.first);
        let keys = keys_of(shared, &segment, end, keep_received_after)?;
        let sidecar = Sidecar { end, keys };
        keep_keys(shared, segment.sequence, &sidecar)?;
        delete_segment(shared, &segment)
            .map_err(|error| fail(shared, "delete a segment", &error))?;
        done.segments += 1;
        done.bytes += segment.bytes;
        done.keys += sidecar.keys.len() as u64;
    }
    drop_expired(shared, keep_received_after)
        .map_err(|error| fail(shared, "delete a key sidecar", &error))?;
    if done.segments > 0 {
        shared.next.retry();
    }
    Ok(done)
}

/// The oldest segment, where all its records stand before a position.
fn oldest_below(shared: &Shared, before: Lsn) -> Option<Segment> {
    let index = shared.index();
    let goes = |segment: &&Segment| segment.end.is_some_and(|end| end <= before);
    index.segments.front().filter(goes).cloned()
}

fn keys_of(
    shared: &Shared,
    segment: &Segment,
    end: Lsn,
    keep_received_after: UnixMillis,
) -> Result<Vec<Key>, TruncateError> {
    let mut reader = Open::new(shared, segment.clone())?;
    let mut keys = Vec::new();
    let mut reached = segment.first;
    while reached < end {
        let group = reader.read_group(reached)?;
        keys.extend(group.records().filter_map(|(_, record)| key_of(&record, keep_received_after)));
        reached = group.end();
    }
    Ok(keys)
}

fn key_of(record: &Record<'_>, keep_received_after: UnixMillis) -> Option<Key> {
    let mark = record.key?;
    let kept = record.event_id.received_at() >= keep_received_after;
    kept.then_some(Key { mark, event_id: record.event_id, status: record.status })
}

fn keep_keys(shared: &Shared, sequence: u64, sidecar: &Sidecar) -> Result<(), TruncateError> {
    let options = &shared.options;
    match sidecar::write(&*options.disk, &options.directory, sequence, sidecar) {
        Ok(_) => {}
        Err(error) if is_full(&error) => return Err(TruncateError::StorageFull),
        Err(error) => return Err(fail(shared, "write a key sidecar", &error)),
    }
    let mut index = shared.index();
    // A sidecar from before a crash may have been written anew.
    index.sidecars.retain(|other| other.sequence != sequence);
    index.sidecars.push_back(SidecarFile { sequence, youngest: sidecar.youngest() });
    Ok(())
}

/// From here on readers find the segment truncated; one that has it open reads on.
fn delete_segment(shared: &Shared, segment: &Segment) -> io::Result<()> {
    let options = &shared.options;
    shared.index().segments.pop_front();
    options.disk.remove(&shared.segment_path(segment.sequence))?;
    options.disk.sync_directory(&options.directory)?;
    shared.allocated_bytes.fetch_sub(segment.bytes, Ordering::Relaxed);
    Ok(())
}

fn drop_expired(shared: &Shared, keep_received_after: UnixMillis) -> io::Result<()> {
    let options = &shared.options;
    let mut index = shared.index();
    let newest = index.sidecars.back().map(|sidecar| sidecar.sequence);
    let stays = |sidecar: &SidecarFile| {
        sidecar.youngest >= keep_received_after || Some(sidecar.sequence) == newest
    };
    let expired: Vec<_> = index.sidecars.iter().filter(|one| !stays(one)).copied().collect();
    index.sidecars.retain(stays);
    drop(index);
    for sidecar in &expired {
        options.disk.remove(&sidecar::path(&options.directory, sidecar.sequence))?;
    }
    if expired.is_empty() { Ok(()) } else { options.disk.sync_directory(&options.directory) }
}

fn fail(shared: &Shared, doing: &'static str, error: &io::Error) -> TruncateError {
    shared.fatal(doing, error);
    TruncateError::Closed
}
