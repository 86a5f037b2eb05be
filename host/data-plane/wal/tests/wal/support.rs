//! Events whose content follows from their number, and the ways that all tests open and read logs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tidegate_types::{Digest, EventId, Lsn, UnixMillis};
use tidegate_wal::{
    Action, AppendError, Disposition, Entry, KeyMark, LsnRange, OpenError, Record, RecordBatch,
    RecordTooLarge, RecoveryReport, Replayed, Stored, Wal, WalOptions,
};

use crate::disks::test_disk::TestDisk;

/// An event: everything in its record follows from these two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) number: u64,
    pub(crate) bytes: usize,
}

impl Event {
    pub(crate) fn received_at(self) -> UnixMillis {
        UnixMillis(1_700_000_000_000 + self.number)
    }

    pub(crate) fn mark(self) -> Option<KeyMark> {
        let byte = self.number as u8;
        let mark = KeyMark { key: [byte; 16], fingerprint: [byte ^ 0x55; 16] };
        (!self.number.is_multiple_of(5) && self.action().is_none()).then_some(mark)
    }

    /// Some are dispositions, the last of the samples in `damage` a release.
    fn action(self) -> Option<Action> {
        let nth = self.number / 11;
        (self.number % 11 == 10).then(|| Action::ALL[(nth as usize + 1) % 3])
    }

    /// Adds it to a batch.
    fn push(self, batch: &mut RecordBatch) -> Result<(), RecordTooLarge> {
        self.record(|record| match self.action() {
            None => batch.push(record),
            Some(action) => batch.push_disposition(&disposition(action, self.number, *record)),
        })
    }

    /// The event of a disposition that came back unchanged.
    fn of_disposition(one: &Disposition<'_>) -> Self {
        let number = one.record.event_id.received_at().0 - 1_700_000_000_000;
        let event = Self { number, bytes: one.record.original.len() };
        event.record(|record| {
            let mine = disposition(event.action().expect("a disposition"), number, *record);
            let record = match one.action {
                Action::Released | Action::PatchedAndReleased => {
                    Record { key: None, status: Stored::Accepted, ..mine.record }
                }
                Action::Discarded => Record {
                    key: None,
                    status: Stored::Quarantined,
                    event_time: None,
                    patches: b"",
                    context: b"",
                    ..mine.record
                },
            };
            let record = if event.bytes == 0 { Record { original: b"", ..record } } else { record };
            assert_eq!(*one, Disposition { record, ..mine }, "of event {number}");
        });
        event
    }

    pub(crate) fn id(self) -> EventId {
        EventId::from_parts(self.received_at(), 0, self.number)
    }

    /// Calls `look` with the event's record.
    pub(crate) fn record<R>(self, look: impl FnOnce(&Record<'_>) -> R) -> R {
        let original = vec![self.number as u8 | 1; self.bytes];
        look(&Record {
            event_id: self.id(),
            status: if self.number.is_multiple_of(7) {
                Stored::Quarantined
            } else {
                Stored::Accepted
            },
            tenant: "acme",
            event_type: "flight",
            revision: Digest([3; 32]),
            key: self.mark(),
            event_time: self.number.is_multiple_of(3).then_some(UnixMillis(self.number)),
            original: &original,
            patches: b"[]",
            findings: b"",
            context: b"{}",
        })
    }

    pub(crate) fn is(self, record: &Record<'_>) -> bool {
        self.record(|mine| mine == record)
    }
}

fn disposition(action: Action, number: u64, record: Record<'_>) -> Disposition<'_> {
    Disposition { action, by: "operator", reason: "it was late", at: UnixMillis(number), record }
}

/// A new directory, in memory where there is such a file system: these tests make many thousands.
pub(crate) fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory")
}

/// Events with the numbers from `first`.
pub(crate) fn events(first: u64, sizes: &[usize]) -> Vec<Event> {
    (first..).zip(sizes).map(|(number, bytes)| Event { number, bytes: *bytes }).collect()
}

pub(crate) fn batch(events: &[Event]) -> RecordBatch {
    let mut batch = RecordBatch::default();
    for event in events {
        event.push(&mut batch).expect("events of tests are small");
    }
    batch
}

/// A small log that is sealed only on closing, on a disk that does not take time for syncs.
pub(crate) fn options(directory: &Path) -> WalOptions {
    WalOptions {
        segment_bytes: 4096,
        max_bytes: 4096 * 1000,
        low_water_bytes: 0,
        group_bytes: 2048,
        queue_bytes: 64 << 10,
        seal_after: Duration::from_secs(3600),
        // Whoever waits for the log fails then, and the test with it.
        on_fatal: Arc::new(|error| eprintln!("the log has failed: {error}")),
        disk: Arc::new(TestDisk::default()),
        ..WalOptions::new(directory)
    }
}

/// What a log told when it was opened.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// Positions and event ids, each record compared with the event of its number.
    pub(crate) records: Vec<(Lsn, EventId)>,
    pub(crate) keys: Vec<(KeyMark, EventId, Stored)>,
}

pub(crate) fn open(options: WalOptions) -> Result<(Wal, RecoveryReport, Told), OpenError> {
    let mut told = Told::default();
    let (wal, report) = Wal::open(options, &mut |replayed| match replayed {
        Replayed::Key { mark, event_id, status } => told.keys.push((mark, event_id, status)),
        Replayed::Record { lsn, record } => {
            let number = record.event_id.received_at().0 - 1_700_000_000_000;
            let event = Event { number, bytes: record.original.len() };
            assert!(event.is(&record), "the record of event {number} was changed");
            told.records.push((lsn, record.event_id));
        }
        Replayed::Disposition { lsn, disposition } => {
            told.records.push((lsn, Event::of_disposition(&disposition).id()));
        }
    })?;
    assert_eq!(report.records, told.records.len() as u64);
    assert_eq!(report.keys, told.keys.len() as u64);
    Ok((wal, report, told))
}

/// Waits for a future on this thread.
pub(crate) fn wait<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(future)
}

pub(crate) fn append(wal: &Wal, events: &[Event]) -> Result<LsnRange, AppendError> {
    wait(wal.append(batch(events), None))
}

/// All events from a position to the durable end, checked to be without a gap.
pub(crate) fn read_from(wal: &Wal, from: Lsn) -> Vec<(Lsn, EventId)> {
    let mut reader = wal.reader(from);
    let mut out = Vec::new();
    while let Some(group) = reader.next().expect("a readable log") {
        assert_eq!(group.first().0, from.0 + out.len() as u64);
        out.extend(group.entries().map(|(lsn, entry)| (lsn, id_of(&entry))));
        assert_eq!(group.end().0, from.0 + out.len() as u64);
        assert_eq!(group.end(), reader.position());
    }
    assert!((from.0..).zip(&out).all(|(expected, (lsn, _))| lsn.0 == expected));
    out
}

pub(crate) fn id_of(entry: &Entry<'_>) -> EventId {
    match entry {
        Entry::Event(record) => record.event_id,
        Entry::Disposition(one) => Event::of_disposition(one).id(),
    }
}

/// Positions and ids as they must be read for events whose first has position `first`.
pub(crate) fn expected(first: u64, events: &[Event]) -> Vec<(Lsn, EventId)> {
    (first..).zip(events).map(|(lsn, event)| (Lsn(lsn), event.id())).collect()
}

/// Offsets and record counts of the frames of a segment file, by the documented format.
pub(crate) fn frames(file: &[u8]) -> Vec<(usize, usize, u32)> {
    let field = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().expect("four bytes"));
    let mut out = Vec::new();
    let mut at = 64;
    while at + 32 <= file.len() && &file[at..at + 4] == b"TGF1" {
        let length = 32 + (field(at + 28) as usize).next_multiple_of(8);
        out.push((at, length, field(at + 24)));
        at += length;
    }
    out
}

/// The files in a directory with a given ending, by name.
pub(crate) fn files(directory: &Path, ending: &str) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let mut out: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    out.retain(|path| path.to_string_lossy().ends_with(ending));
    out.sort();
    out
}
