//! Reads the durable part of a log, group by group, from the segment files.

pub mod cursor;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use tidegate_types::Lsn;

use crate::frame;
use crate::log::shared::{Segment, Shared};
use crate::record::{self, Entry, InvalidRecord, Record};
use crate::segment;

/// Why reading stopped.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The position has been truncated away.
    #[error("position {lsn} has been truncated; the log begins at {first}")]
    Truncated { lsn: Lsn, first: Lsn },
    /// What was durable cannot be read back.
    #[error("{} is damaged at byte {offset}: {found}", file.display())]
    Corrupt { file: PathBuf, offset: u64, found: String },
    #[error("cannot read {}: {source}", file.display())]
    Io { file: PathBuf, source: io::Error },
}

/// Some consecutive records, durable together.
#[derive(Debug)]
pub struct Group {
    /// A whole frame, its records checked.
    frame: Vec<u8>,
    record_bytes: usize,
    frame_first: Lsn,
    first: Lsn,
    end: Lsn,
}

impl Group {
    /// Position of the first record.
    #[must_use]
    pub fn first(&self) -> Lsn {
        self.first
    }

    /// The position after the last record.
    #[must_use]
    pub fn end(&self) -> Lsn {
        self.end
    }

    /// Bytes that it takes in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.frame.len()
    }

    /// The events in order as they came in, without dispositions.
    pub fn records(&self) -> impl Iterator<Item = (Lsn, Record<'_>)> {
        self.entries().filter_map(|(lsn, entry)| match entry {
            Entry::Event(record) => Some((lsn, record)),
            Entry::Disposition(_) => None,
        })
    }

    /// What stands at each position, in order.
    pub fn entries(&self) -> impl Iterator<Item = (Lsn, Entry<'_>)> {
        let whole = self.frame.get(frame::HEADER_BYTES..).unwrap_or_default();
        let mut rest = whole.get(..self.record_bytes).unwrap_or_default();
        let positions = (self.frame_first.0..self.end.0).map(Lsn);
        positions
            .map(move |lsn| {
                let one = record::decode(&mut rest);
                (lsn, one.expect("the records were checked when the group was read"))
            })
            .skip_while(|(lsn, _)| *lsn < self.first)
    }
}

/// A place in the log. It does not keep segments from being truncated.
pub struct Reader {
    shared: Arc<Shared>,
    position: Lsn,
    open: Option<Open>,
}

/// The segment that is being read.
pub(crate) struct Open {
    file: File,
    path: PathBuf,
    segment: Segment,
    /// Where the next frame stands.
    offset: u64,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>, from: Lsn) -> Self {
        Self { shared, position: from, open: None }
    }

    /// The next durable group; `None` where the reader has reached the durable end. Blocks for
    /// reading files only: to wait for more, use `Wal::wait_durable`.
    ///
    /// # Errors
    /// [`ReadError`]; the reader stays where it is.
    #[allow(clippy::should_implement_trait, reason = "an iterator would go on after `None` too")]
    pub fn next(&mut self) -> Result<Option<Group>, ReadError> {
        if self.position >= self.shared.durable_end() {
            return Ok(None);
        }
        loop {
            let position = self.position;
            let group = self.open()?.read_group(position)?;
            if group.end > position {
                self.position = group.end;
                return Ok(Some(group));
            }
        }
    }

    /// Position of the record that comes next.
    #[must_use]
    pub fn position(&self) -> Lsn {
        self.position
    }

    /// The segment that holds the position.
    fn open(&mut self) -> Result<&mut Open, ReadError> {
        let index = self.shared.index();
        let truncated = ReadError::Truncated { lsn: self.position, first: index.first() };
        let segment = index.holding(self.position).cloned();
        drop(index);
        let segment = segment.ok_or(truncated)?;
        let same = |open: &Open| open.segment.sequence == segment.sequence;
        let open = match self.open.take().filter(same) {
            Some(open) => open,
            None => Open::new(&self.shared, segment).map_err(|error| self.cannot_open(error))?,
        };
        Ok(self.open.insert(open))
    }

    /// A file that is gone was truncated in this very moment.
    fn cannot_open(&self, error: ReadError) -> ReadError {
        let first = self.shared.index().first();
        if self.position < first {
            return ReadError::Truncated { lsn: self.position, first };
        }
        error
    }
}

impl Open {
    /// Opens a segment at its first frame.
    pub(crate) fn new(shared: &Shared, segment: Segment) -> Result<Self, ReadError> {
        let path = shared.segment_path(segment.sequence);
        let file =
            File::open(&path).map_err(|source| ReadError::Io { file: path.clone(), source })?;
        Ok(Self { file, path, segment, offset: segment::HEADER_BYTES as u64 })
    }

    /// Reads one frame, seals and earlier ones too, and moves on behind it.
    pub(crate) fn read_group(&mut self, position: Lsn) -> Result<Group, ReadError> {
        let mut header = [0; frame::HEADER_BYTES];
        self.read(&mut header)?;
        let length = frame::peek_length(&header)
            .filter(|length| self.offset + *length as u64 <= self.segment.bytes)
            .ok_or_else(|| self.corrupt("there is no frame".to_owned()))?;
        let mut bytes = vec![0; length];
        self.read(&mut bytes)?;
        let frame = frame::parse(&bytes, self.segment.id)
            .map_err(|error| self.corrupt(error.to_string()))?;
        check_records(frame.records, frame.count)
            .map_err(|error| self.corrupt(error.to_string()))?;
        if frame.first > position {
            return Err(self.corrupt(format!("position {position} is missing")));
        }
        let (record_bytes, frame_first, end) = (frame.records.len(), frame.first, frame.end());
        self.offset += length as u64;
        Ok(Group { frame: bytes, record_bytes, frame_first, first: position, end })
    }

    fn read(&self, out: &mut [u8]) -> Result<(), ReadError> {
        self.file.read_exact_at(out, self.offset).map_err(|source| {
            if source.kind() == io::ErrorKind::UnexpectedEof {
                return self.corrupt("the file ends too early".to_owned());
            }
            ReadError::Io { file: self.path.clone(), source }
        })
    }

    fn corrupt(&self, found: String) -> ReadError {
        ReadError::Corrupt { file: self.path.clone(), offset: self.offset, found }
    }
}

/// Are these exactly so many records?
pub(crate) fn check_records(mut bytes: &[u8], count: u32) -> Result<(), InvalidRecord> {
    for _ in 0..count {
        record::decode(&mut bytes)?;
    }
    if bytes.is_empty() { Ok(()) } else { Err(InvalidRecord("more than the frame's count")) }
}
