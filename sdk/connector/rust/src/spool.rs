//! Events on disk until they are settled, also over a kill -9 and a power cut.
//!
//! The folder holds segments, `0000000001.segment` and so on, the file `position`, and `lock`. A
//! segment is the 8 bytes `TGSPOOL1`, then records: length of the event (4 bytes, little endian),
//! CRC-32 (of zip; 4 bytes, little endian) over these 4 bytes and the event, the event. It is only ever
//! appended to, and is synced before the event counts as taken. `position` is one line, `TGPOSITION1
//! SEGMENT OFFSET`: everything before it is settled. It is replaced by rename, and a segment is deleted
//! once the position is durably past it.
//!
//! What is settled beyond the first unsettled event is not noted: after a crash it is sent once more
//! under its key, and comes back as a duplicate.
//!
//! Opening cuts a torn tail off the last segment: what is not whole at its end was never synced, or its
//! last record is damaged, which looks the same. Damage anywhere else, before a whole record, is refused.
//! Other languages' connectors read and write the same format.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;

use self::files::Folder;
use self::record::{HEADER, PREFIX_BYTES, encode};
use crate::outcome::Held;

mod files;
mod record;
mod recover;

const LARGEST_SEGMENT: u64 = 8 << 20;

/// What keeps the spool from taking or giving back an event.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SpoolError {
    /// The folder holds something that no crash leaves behind. Nothing was changed in it.
    #[error("{0}")]
    Damaged(String),
    #[error("{0} is in use by another client")]
    InUse(String),
    /// The event was not taken, and the next may be.
    #[error("the spool cannot be written: {0}")]
    Write(String),
    /// After a failed sync nobody knows what is kept: it takes and gives nothing more.
    #[error("the spool has failed: {0}")]
    Failed(String),
}

/// A place in the segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    segment: u64,
    offset: u64,
}

impl Position {
    fn start_of(segment: u64) -> Self {
        Self { segment, offset: HEADER.len() as u64 }
    }
}

/// The folder. All methods may block for as long as the disk takes.
pub(crate) struct Spool {
    /// Bytes that were cut from the end when it was opened: what a crash left.
    pub(crate) torn_bytes: u64,
    most_bytes: u64,
    segment_bytes: u64,
    state: Mutex<State>,
    /// Who syncs; those that wait for it find their event synced already.
    syncs: Mutex<()>,
}

struct State {
    folder: Folder,
    failed: Option<SpoolError>,
    /// Bytes of each segment that is there.
    sizes: BTreeMap<u64, u64>,
    last: u64,
    /// The last segment.
    file: File,
    reader: Option<(u64, File)>,
    position: Position,
    cursor: Position,
    held: Held,
    /// Events and bytes (each with a comma) since the start.
    written: Held,
    synced: Held,
    read: Held,
    /// Read and unsettled, in order: number, where it ends, bytes.
    open: VecDeque<(usize, Position, usize)>,
    settled: BTreeSet<usize>,
}

impl Spool {
    pub(crate) fn open(folder: &Path, most_bytes: u64) -> Result<Self, SpoolError> {
        let (state, torn_bytes) = recover::open(folder)?;
        Ok(Self {
            torn_bytes,
            most_bytes,
            segment_bytes: LARGEST_SEGMENT.min(most_bytes / 4),
            state: Mutex::new(state),
            syncs: Mutex::new(()),
        })
    }

    pub(crate) fn held(&self) -> Held {
        self.state().held
    }

    /// Events that are durable and were not read yet, and what a batch of them has in bytes.
    pub(crate) fn waiting(&self) -> Held {
        let state = self.state();
        Held {
            events: state.synced.events - state.read.events,
            bytes: state.synced.bytes - state.read.bytes,
        }
    }

    pub(crate) fn fits_ever(&self, event: &[u8]) -> bool {
        let needed = (HEADER.len() + PREFIX_BYTES + event.len()) as u64;
        needed + HEADER.len() as u64 <= self.most_bytes
    }

    /// Writes an event; it is durable after `sync`. False where there is no room.
    pub(crate) fn append(&self, event: &[u8]) -> Result<bool, SpoolError> {
        let mut state = self.state();
        state.check()?;
        let record = encode(event);
        if !self.make_room(&mut state, record.len() as u64)? {
            return Ok(false);
        }
        let end = state.last_size();
        if let Err(error) = state.file.write_all(&record) {
            if let Err(error) = state.file.set_len(end) {
                return Err(state.fail(&error));
            }
            return Err(SpoolError::Write(error.to_string()));
        }
        let last = state.last;
        state.sizes.insert(last, end + record.len() as u64);
        state.held.events += 1;
        state.held.bytes += event.len();
        state.written.events += 1;
        state.written.bytes += event.len() + 1;
        Ok(true)
    }

    /// Makes durable what was appended before. One sync serves all that wait for it.
    pub(crate) fn sync(&self) -> Result<(), SpoolError> {
        let wanted = self.state().written.events;
        let _turn = self.syncs.lock().expect("nobody panics while it syncs");
        let (written, file) = {
            let mut state = self.state();
            if state.synced.events >= wanted {
                return Ok(());
            }
            state.check()?;
            let file = state.file.try_clone();
            (state.written, file.map_err(|error| state.fail(&error))?)
        };
        let synced = file.sync_data();
        let mut state = self.state();
        synced.map_err(|error| state.fail(&error))?;
        // A segment that began meanwhile has synced more.
        if written.events > state.synced.events {
            state.synced = written;
        }
        Ok(())
    }

    /// The next events with their numbers; a longer one comes alone.
    pub(crate) fn read(
        &self,
        most_events: usize,
        most_bytes: usize,
    ) -> Result<Vec<(usize, Bytes)>, SpoolError> {
        let mut state = self.state();
        let mut out: Vec<(usize, Bytes)> = Vec::new();
        let mut size = 0;
        while out.len() < most_events && state.read.events < state.synced.events {
            let cursor @ Position { segment, offset } = state.cursor;
            // A segment that is gone was read to its end.
            if offset >= state.sizes.get(&segment).copied().unwrap_or_default() {
                state.cursor = Position::start_of(segment + 1);
                continue;
            }
            let event = state.read_at(cursor)?;
            if !out.is_empty() && size + event.len() + 1 > most_bytes {
                break;
            }
            size += event.len() + 1;
            let number = state.read.events;
            state.cursor.offset = offset + (PREFIX_BYTES + event.len()) as u64;
            let end = state.cursor;
            state.open.push_back((number, end, event.len()));
            state.read.events += 1;
            state.read.bytes += event.len() + 1;
            out.push((number, event));
        }
        Ok(out)
    }

    /// Moves the position past all events before the first that is not settled.
    pub(crate) fn settle(&self, numbers: &[usize]) -> Result<(), SpoolError> {
        let mut state = self.state();
        state.check()?;
        state.settled.extend(numbers);
        let mut moved = false;
        while let Some((number, end, bytes)) = state.open.front().copied() {
            if !state.settled.remove(&number) {
                break;
            }
            state.open.pop_front();
            state.position = end;
            state.held.events -= 1;
            state.held.bytes -= bytes;
            moved = true;
        }
        if !moved {
            return Ok(());
        }
        let Position { segment, offset } = state.position;
        let size = state.sizes.get(&segment).copied().unwrap_or_default();
        if segment < state.last && offset >= size {
            state.position = Position::start_of(segment + 1);
        }
        state.keep_position()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics while the spool changes")
    }

    fn make_room(&self, state: &mut State, needed: u64) -> Result<bool, SpoolError> {
        let (header, size) = (HEADER.len() as u64, state.last_size());
        let has_records = size > header;
        let at_end = Position { segment: state.last, offset: size };
        let all_settled = has_records && state.position == at_end;
        let rolls = has_records && size + needed > self.segment_bytes;
        let total = state.sizes.values().sum::<u64>() + needed;
        if rolls || (all_settled && total > self.most_bytes) {
            let freed = if all_settled { size } else { 0 };
            if total + header - freed > self.most_bytes {
                return Ok(false);
            }
            state.roll()?;
            return Ok(true);
        }
        Ok(total <= self.most_bytes)
    }
}

impl State {
    fn check(&self) -> Result<(), SpoolError> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    fn fail(&mut self, error: &io::Error) -> SpoolError {
        self.failed.get_or_insert_with(|| SpoolError::Failed(error.to_string())).clone()
    }

    fn last_size(&self) -> u64 {
        self.sizes.get(&self.last).copied().unwrap_or_default()
    }

    /// The next segment begins; the last one is complete and durable.
    fn roll(&mut self) -> Result<(), SpoolError> {
        // Before there is a next one: what a power cut tears must be the last.
        self.file.sync_data().map_err(|error| self.fail(&error))?;
        self.synced = self.written;
        let next = self.last + 1;
        let file = match self.folder.create_segment(next) {
            Ok(file) => file,
            Err(error) => {
                // An empty segment behind one that is still written to would look like damage.
                self.folder.remove_segment(next).map_err(|error| self.fail(&error))?;
                return Err(SpoolError::Write(error.to_string()));
            }
        };
        let was_settled =
            self.position == Position { segment: self.last, offset: self.last_size() };
        self.file = file;
        self.last = next;
        self.sizes.insert(next, HEADER.len() as u64);
        if was_settled {
            self.position = Position::start_of(next);
            self.keep_position()?;
        }
        Ok(())
    }

    /// Makes the position durable, and deletes the segments before it. On a full disk that is left to
    /// the next time: what is settled is then only sent once more after a crash.
    fn keep_position(&mut self) -> Result<(), SpoolError> {
        match self.folder.write_position(self.position) {
            Ok(()) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
                ) =>
            {
                return Ok(());
            }
            Err(error) => return Err(self.fail(&error)),
        }
        while let Some((&segment, _)) = self.sizes.first_key_value() {
            if segment >= self.position.segment {
                break;
            }
            self.folder.remove_segment(segment).map_err(|error| self.fail(&error))?;
            self.sizes.remove(&segment);
        }
        Ok(())
    }

    fn read_at(&mut self, at: Position) -> Result<Bytes, SpoolError> {
        let reader = match self.reader.take() {
            Some((segment, file)) if segment == at.segment => Ok((segment, file)),
            _ => self.folder.open_segment(at.segment).map(|file| (at.segment, file)),
        };
        let read = reader.and_then(|(segment, mut file)| {
            let event = record::read(&mut file, at.offset);
            self.reader = Some((segment, file));
            event
        });
        match read {
            Ok(Some(event)) => Ok(event),
            Ok(None) => {
                let path: PathBuf = self.folder.segment(at.segment);
                let what = format!("{} is damaged at byte {}", path.display(), at.offset);
                Err(SpoolError::Damaged(what))
            }
            Err(error) => Err(self.fail(&error)),
        }
    }
}

#[cfg(test)]
mod tests;
