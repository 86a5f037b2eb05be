//! Reads a log and decides by the recovery table. Changes nothing.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use tidegate_types::Lsn;

use crate::log::outcome::{OpenError, RecoveryReport, Replayed};
use crate::log::shared::{Segment, SidecarFile};
use crate::reader::check_records;
use crate::record::{self, Entry};
use crate::recovery::list::Listing;
use crate::recovery::{Damage, io_error};
use crate::segment::{self, Frames, HEADER_BYTES, Header, Tail};
use crate::sidecar;

/// What was read.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    /// Segments that stay as they are.
    pub(super) finished: Vec<Segment>,
    /// The last one that was written to; `None` for a new log.
    pub(super) last: Option<Last>,
    /// Segments that are to be deleted: unused and replaced ones.
    pub(super) useless: Vec<PathBuf>,
    pub(super) sidecars: Vec<SidecarFile>,
    pub(super) report: RecoveryReport,
}

/// The last segment that was written to.
#[derive(Debug)]
pub(super) struct Last {
    pub(super) path: PathBuf,
    pub(super) header: Header,
    pub(super) data: Vec<u8>,
    first: Lsn,
    end: Lsn,
    /// Where its whole frames end.
    pub(super) offset: usize,
    pub(super) tail: Tail,
}

pub(super) fn scan(
    directory: &Path,
    listing: &Listing,
    replay: &mut dyn FnMut(Replayed<'_>),
) -> Result<Scanned, OpenError> {
    let mut scanned = Scanned::default();
    let truncated_to = scan_sidecars(listing, &mut scanned, replay)?;
    let headers = read_headers(listing)?;
    let replacing = headers.iter().map(|(_, header)| *header);
    let replacing: Vec<_> = replacing.filter(|header| header.replaces.is_some()).collect();
    let mut next = None;
    for (path, header) in headers {
        if replacing.iter().any(|other| other.replaces(header.sequence)) {
            scanned.useless.push(path);
            continue;
        }
        let data = segment::read(&path).map_err(io_error("read", &path))?;
        if data.len() as u64 != header.bytes {
            let found = format!("{} bytes in place of {}", data.len(), header.bytes);
            return Err(corrupt(&path, data.len(), Damage::Length, found));
        }
        let behind_header = data.get(HEADER_BYTES..).unwrap_or_default();
        if header.durable == HEADER_BYTES as u64 && behind_header.iter().all(|byte| *byte == 0) {
            scanned.useless.push(path);
            continue;
        }
        if let Some(before) = scanned.last.take() {
            scanned.finished.push(finish(before)?);
        }
        let last = scan_segment(path, header, data, &mut next, &mut scanned.report, replay)?;
        scanned.last = Some(last);
    }
    check_ends(directory, listing, &mut scanned, next, truncated_to)?;
    Ok(scanned)
}

/// Answers the position up to which the log has been truncated.
fn scan_sidecars(
    listing: &Listing,
    scanned: &mut Scanned,
    replay: &mut dyn FnMut(Replayed<'_>),
) -> Result<Option<Lsn>, OpenError> {
    let mut truncated_to = None;
    for (sequence, path) in &listing.sidecars {
        let content = sidecar::read(path).map_err(io_error("read", path))?;
        let sidecar =
            content.map_err(|found| corrupt(path, 0, Damage::Sidecar, found.to_owned()))?;
        truncated_to = truncated_to.max(Some(sidecar.end));
        scanned.sidecars.push(SidecarFile { sequence: *sequence, youngest: sidecar.youngest() });
        // Where its segment was not deleted any more, the records themselves will tell.
        if listing.segments.iter().any(|(other, _)| other == sequence) {
            continue;
        }
        for key in sidecar.keys {
            scanned.report.keys += 1;
            let (mark, event_id, status) = (key.mark, key.event_id, key.status);
            replay(Replayed::Key { mark, event_id, status });
        }
    }
    Ok(truncated_to)
}

fn read_headers(listing: &Listing) -> Result<Vec<(PathBuf, Header)>, OpenError> {
    let mut headers = Vec::with_capacity(listing.segments.len());
    for (sequence, path) in &listing.segments {
        let file = File::open(path).map_err(io_error("open", path))?;
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        let read = file.take(HEADER_BYTES as u64).read_to_end(&mut bytes);
        read.map_err(io_error("read", path))?;
        let header = Header::parse(&bytes)
            .map_err(|found| corrupt(path, 0, Damage::Header, found.to_owned()))?;
        if header.sequence != *sequence {
            let found = format!("the header is that of segment {}", header.sequence);
            return Err(corrupt(path, 0, Damage::Header, found));
        }
        headers.push((path.clone(), header));
    }
    Ok(headers)
}

/// A segment after which another one was written.
fn finish(last: Last) -> Result<Segment, OpenError> {
    match last.tail {
        Tail::Blank => Ok(Segment {
            sequence: last.header.sequence,
            id: last.header.id,
            first: last.first,
            end: Some(last.end),
            bytes: last.data.len() as u64,
        }),
        Tail::Bad { why, .. } => {
            let found = format!("{why}, and later segments were written");
            Err(corrupt(&last.path, last.offset, Damage::Before, found))
        }
    }
}

fn scan_segment(
    path: PathBuf,
    header: Header,
    data: Vec<u8>,
    next: &mut Option<Lsn>,
    report: &mut RecoveryReport,
    replay: &mut dyn FnMut(Replayed<'_>),
) -> Result<Last, OpenError> {
    let mut frames = Frames::new(&data, header.id);
    let mut first = *next;
    loop {
        let offset = frames.offset();
        let Some(frame) = frames.next() else { break };
        let expected = next.unwrap_or(frame.first);
        if frame.first != expected {
            let found = format!("position {} stands where {expected} must", frame.first);
            return Err(corrupt(&path, offset, Damage::Gap, found));
        }
        first.get_or_insert(frame.first);
        check_records(frame.records, frame.count)
            .map_err(|error| corrupt(&path, offset, Damage::Record, error.to_string()))?;
        let mut rest = frame.records;
        for lsn in frame.first.0..frame.end().0 {
            let Ok(entry) = record::decode(&mut rest) else { break };
            report.records += 1;
            let lsn = Lsn(lsn);
            replay(match entry {
                Entry::Event(record) => Replayed::Record { lsn, record },
                Entry::Disposition(disposition) => Replayed::Disposition { lsn, disposition },
            });
        }
        *next = Some(frame.end());
    }
    let (offset, tail) = (frames.offset(), frames.tail());
    if let Tail::Bad { why, later: Some(later), .. } = tail {
        let found = format!("{why}, and a whole frame stands after it at byte {later}");
        return Err(corrupt(&path, offset, Damage::Inside, found));
    }
    if (offset as u64) < header.durable {
        let found = format!("frames up to byte {} were durable", header.durable);
        return Err(corrupt(&path, offset, Damage::Durable, found));
    }
    let (Some(first), Some(end)) = (first, *next) else {
        let found = "the first segment has no whole frame".to_owned();
        return Err(corrupt(&path, offset, Damage::Missing, found));
    };
    Ok(Last { path, header, data, first, end, offset, tail })
}

/// Is the log whole at both ends, as far as can be seen?
fn check_ends(
    directory: &Path,
    listing: &Listing,
    scanned: &mut Scanned,
    next: Option<Lsn>,
    truncated_to: Option<Lsn>,
) -> Result<(), OpenError> {
    let missing = |found: String| Err(corrupt(directory, 0, Damage::Missing, found));
    let Some(last) = &scanned.last else {
        if !listing.segments.is_empty() || truncated_to.is_some() {
            return missing("all segments that were written to are gone".to_owned());
        }
        return Ok(());
    };
    let first = scanned.finished.first().map_or(last.first, |segment| segment.first);
    let next = next.unwrap_or(last.end);
    if let Some(end) = truncated_to.filter(|end| first > *end || next < *end) {
        let range = format!("it holds positions {first} to {next}");
        return missing(format!("the log was truncated up to position {end}, but {range}"));
    }
    scanned.report.first = first;
    scanned.report.next = next;
    Ok(())
}

fn corrupt(path: &Path, offset: usize, case: Damage, found: String) -> OpenError {
    OpenError::Corrupt { file: path.to_owned(), offset: offset as u64, case, found }
}
