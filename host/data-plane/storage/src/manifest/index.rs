//! Where in the manifest which entries stand, so that a reader needs not read all of it.
//!
//! Entries are taken together in stretches of [`STRETCH`]; of each stretch its place in the file, its
//! first position and the times of receipt of its events are remembered: some 50 bytes for an hour
//! of a quiet gateway. Lines of entries never change and never move, also where the file is replaced
//! by a copy of itself, so a place once told stays right.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tidegate_types::{Lsn, UnixMillis};

use super::{Entry, FileEntry, ManifestError, from_line};

/// Entries of one stretch.
const STRETCH: u32 = 64;

/// First and last time of receipt.
pub(crate) type Times = [UnixMillis; 2];

/// Any time.
pub(crate) const ALWAYS: Times = [UnixMillis(0), UnixMillis(u64::MAX)];

/// Have two spans a moment in common?
pub(crate) fn meet(one: &Times, two: &Times) -> bool {
    let ([one_first, one_last], [two_first, two_last]) = (one, two);
    one_first <= two_last && two_first <= one_last
}

impl FileEntry {
    /// The times between which its events were received.
    pub(crate) fn times(&self) -> Times {
        self.received.unwrap_or(ALWAYS)
    }
}

#[derive(Clone, Copy, Debug)]
struct Stretch {
    offset: u64,
    bytes: u64,
    entries: u32,
    end: Lsn,
    /// `None` while it has no files.
    times: Option<Times>,
}

/// What is published, as the writer of the manifest tells it.
pub(crate) struct Index {
    /// The manifest's file.
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    stretches: Vec<Stretch>,
    bytes: u64,
    next_lsn: Lsn,
}

impl Index {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first position that is not published.
    pub(crate) fn next_lsn(&self) -> Lsn {
        self.state().next_lsn
    }

    /// Adds the entry after the last one; it must be durable.
    pub(super) fn add(&self, entry: &Entry, line_bytes: u64) {
        let mut state = self.state();
        let (offset, end) = (state.bytes, Lsn(entry.last_lsn.0.saturating_add(1)));
        if state.stretches.last().is_none_or(|last| last.entries >= STRETCH) {
            state.stretches.push(Stretch { offset, bytes: 0, entries: 0, end, times: None });
        }
        if let Some(last) = state.stretches.last_mut() {
            (last.entries, last.bytes, last.end) = (last.entries + 1, last.bytes + line_bytes, end);
            for [first, until] in entry.files.iter().map(FileEntry::times) {
                let [least, greatest] = last.times.unwrap_or([first, until]);
                last.times = Some([least.min(first), greatest.max(until)]);
            }
        }
        (state.bytes, state.next_lsn) = (offset + line_bytes, end);
    }

    /// The entries with positions at or after `from` that may hold events of these times, and
    /// others beside them, in order; and the first position that is not published now.
    pub(crate) fn entries(&self, from: Lsn, times: Times) -> Result<(Entries, Lsn), ManifestError> {
        let state = self.state();
        let at = state.stretches.partition_point(|stretch| stretch.end <= from);
        let stretches = state.stretches.get(at..).unwrap_or_default().iter();
        let stretches = stretches.filter(|one| one.times.is_some_and(|has| meet(&has, &times)));
        let mut places: Vec<(u64, u64)> = Vec::new();
        for stretch in stretches {
            match places.last_mut() {
                Some((offset, bytes)) if *offset + *bytes == stretch.offset => {
                    *bytes += stretch.bytes;
                }
                _ => places.push((stretch.offset, stretch.bytes)),
            }
        }
        let next_lsn = state.next_lsn;
        drop(state);
        let path = self.path.clone();
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(source) => return Err(ManifestError::Io { path, source }),
        };
        places.reverse();
        let reader = BufReader::new(file.take(0));
        Ok((Entries { path, reader, places, from, line: Vec::new() }, next_lsn))
    }
}

/// Entries of the manifest, read one by one.
pub(crate) struct Entries {
    path: PathBuf,
    reader: BufReader<io::Take<File>>,
    /// Offsets and lengths of what is still to be read, the next one last.
    places: Vec<(u64, u64)>,
    from: Lsn,
    line: Vec<u8>,
}

impl Entries {
    /// The next entry; `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, ManifestError> {
        loop {
            let Some(line) = self.next_line()? else { return Ok(None) };
            let entry = from_line(line).map_err(|found| ManifestError::Corrupt {
                path: self.path.clone(),
                line: 0,
                found,
            })?;
            if entry.last_lsn >= self.from {
                return Ok(Some(entry));
            }
        }
    }

    fn next_line(&mut self) -> Result<Option<&[u8]>, ManifestError> {
        let path = &self.path;
        let io = |source| ManifestError::Io { path: path.clone(), source };
        self.line.clear();
        while self.reader.read_until(b'\n', &mut self.line).map_err(io)? == 0 {
            let Some((offset, bytes)) = self.places.pop() else { return Ok(None) };
            let take = self.reader.get_mut();
            take.get_mut().seek(SeekFrom::Start(offset)).map_err(io)?;
            take.set_limit(bytes);
        }
        Ok(Some(&self.line))
    }
}

#[cfg(test)]
mod tests {
    use tidegate_types::Digest;

    use super::super::{Manifest, Steps};
    use super::*;

    fn entry(sequence: u64) -> Entry {
        let at = |millis| UnixMillis(sequence * 1000 + millis);
        let path =
            format!("accepted/tenant=a/type=t/event_date=2013-01-01/part-{sequence}.parquet");
        let received = Some([at(0), at(500)]);
        let file = FileEntry { path, rows: 10, bytes: 9, sha256: Digest([0; 32]), received };
        let (first_lsn, last_lsn) = (Lsn(sequence * 10 - 10), Lsn(sequence * 10 - 1));
        Entry { sequence, first_lsn, last_lsn, files: vec![file] }
    }

    fn sequences(index: &Index, from: u64, times: Times) -> Vec<u64> {
        let (mut entries, next) = index.entries(Lsn(from), times).unwrap();
        assert_eq!(next, Lsn(3000));
        let mut found = Vec::new();
        while let Some(entry) = entries.next().unwrap() {
            found.push(entry.sequence);
        }
        found
    }

    #[test]
    fn only_stretches_that_may_matter_are_read_also_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Manifest::open(folder.path(), &mut |_| (), &mut Steps::unhindered()).unwrap();
        let mut manifest = open();
        for sequence in 1..=300 {
            manifest.append(entry(sequence), &mut Steps::unhindered()).unwrap();
        }
        for manifest in [manifest, open()] {
            let index = manifest.index();
            let read = |from, times| sequences(&index, from, times);
            assert_eq!(read(0, ALWAYS), (1..=300).collect::<Vec<_>>());
            assert_eq!(read(2990, ALWAYS), [300]);
            assert_eq!(read(3000, ALWAYS), [] as [u64; 0]);
            assert_eq!(read(655, ALWAYS), (66..=300).collect::<Vec<_>>());
            let at = |millis| [UnixMillis(millis), UnixMillis(millis)];
            assert_eq!(read(0, at(130_250)), (129..=192).collect::<Vec<_>>());
            assert_eq!(read(1500, at(130_250)), (151..=192).collect::<Vec<_>>());
            assert_eq!(read(0, at(999_000)), [] as [u64; 0]);
        }
    }
}
