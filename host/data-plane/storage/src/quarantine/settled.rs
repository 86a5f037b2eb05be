//! Which events are settled, and where their decisions stand.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use ahash::AHashMap;
use tidegate_types::{EventId, Lsn};
use tidegate_wal::{Entry, Wal};

use crate::manifest::FileEntry;
use crate::place::Place;
use crate::read::ReadError;
use crate::read::file::StoredFile;

/// What is known of an event that is not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    /// Its decision is on the way to the disk.
    InFlight,
    /// Whether its decision is on the disk will be known after a restart.
    InDoubt,
    /// Its decision stands there.
    Settled(Lsn),
}

/// What one who wants to settle an event is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// It is his to settle.
    Taken,
    InFlight,
    InDoubt,
    Settled(Lsn),
    /// No more can be settled.
    Full,
}

/// The index; bounded.
pub(crate) struct Settled {
    known: Mutex<AHashMap<EventId, Known>>,
    /// An event is no longer in flight.
    landed: Condvar,
    max: usize,
}

/// Why the index cannot be filled.
#[derive(Debug)]
pub(crate) enum LoadError {
    Read(ReadError),
    Full,
}

impl From<ReadError> for LoadError {
    fn from(error: ReadError) -> Self {
        Self::Read(error)
    }
}

impl Settled {
    /// Reads all decisions: those in the published files of them, and in the log from `next` on.
    pub(crate) fn load(
        place: &Arc<dyn Place>,
        decisions: &[FileEntry],
        wal: &Wal,
        next: Lsn,
        max: usize,
    ) -> Result<Self, LoadError> {
        let (known, landed) = (Mutex::new(AHashMap::new()), Condvar::new());
        let settled = Self { known, landed, max };
        for file in decisions {
            settled.load_file(place, file)?;
        }
        let end = wal.durable_end();
        let mut reader = wal.reader(next);
        while reader.position() < end {
            let Some(group) = reader.next().map_err(ReadError::from)? else { break };
            for (lsn, entry) in group.entries() {
                if let Entry::Disposition(one) = entry {
                    settled.restore(one.record.event_id, lsn)?;
                }
            }
        }
        Ok(settled)
    }

    fn load_file(&self, place: &Arc<dyn Place>, entry: &FileEntry) -> Result<(), LoadError> {
        let Some(file) = StoredFile::open(place, entry)? else {
            tracing::error!(
                path = entry.path,
                "decisions are missing, their events count as open again"
            );
            return Ok(());
        };
        let mut batches = file.columns(&["event_id", "lsn"])?;
        while let Some(batch) = batches.next()? {
            for row in 0..batch.rows() {
                let (event_id, lsn) = (batch.event_id(row), batch.lsn(row));
                let both = event_id.zip(lsn).ok_or_else(|| file.wrong("a row cannot be read"));
                let (event_id, lsn) = both?;
                self.restore(event_id, lsn)?;
            }
        }
        Ok(())
    }

    fn restore(&self, event_id: EventId, lsn: Lsn) -> Result<(), LoadError> {
        let mut known = self.known();
        known.entry(event_id).or_insert(Known::Settled(lsn));
        if known.len() > self.max { Err(LoadError::Full) } else { Ok(()) }
    }

    fn known(&self) -> MutexGuard<'_, AHashMap<EventId, Known>> {
        // The map is whole after every statement.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the decision about an event stands; `None` while it is open.
    pub(crate) fn get(&self, event_id: EventId) -> Option<Lsn> {
        match self.known().get(&event_id) {
            Some(Known::Settled(lsn)) => Some(*lsn),
            Some(Known::InFlight | Known::InDoubt) | None => None,
        }
    }

    pub(super) fn count(&self) -> (usize, usize) {
        (self.known().len(), self.max)
    }

    /// Takes an event, where nobody has settled it or is about to.
    pub(super) fn claim(&self, event_id: EventId) -> Claim {
        let mut known = self.known();
        match known.get(&event_id) {
            Some(Known::InFlight) => Claim::InFlight,
            Some(Known::InDoubt) => Claim::InDoubt,
            Some(Known::Settled(lsn)) => Claim::Settled(*lsn),
            None if known.len() >= self.max => Claim::Full,
            None => {
                known.insert(event_id, Known::InFlight);
                Claim::Taken
            }
        }
    }

    /// Blocks while the decision of another is on its way.
    pub(super) fn wait(&self, event_id: EventId) {
        let in_flight =
            |known: &mut AHashMap<EventId, Known>| known.get(&event_id) == Some(&Known::InFlight);
        drop(self.landed.wait_while(self.known(), in_flight));
    }

    fn land(&self, event_id: EventId, outcome: Option<Known>) {
        let mut known = self.known();
        match outcome {
            Some(outcome) => known.insert(event_id, outcome),
            None => known.remove(&event_id),
        };
        drop(known);
        self.landed.notify_all();
    }
}

/// An event that was claimed. Dropped without an outcome, it is in doubt.
pub(super) struct Claimed<'a> {
    settled: &'a Settled,
    event_id: EventId,
    outcome: Option<Known>,
    is_decided: bool,
}

impl<'a> Claimed<'a> {
    /// After [`Claim::Taken`].
    pub(super) fn new(settled: &'a Settled, event_id: EventId) -> Self {
        Self { settled, event_id, outcome: Some(Known::InDoubt), is_decided: false }
    }

    /// Its decision is durable.
    pub(super) fn settle(mut self, lsn: Lsn) {
        (self.outcome, self.is_decided) = (Some(Known::Settled(lsn)), true);
    }

    /// Nothing was written: it is open.
    pub(super) fn release(mut self) {
        (self.outcome, self.is_decided) = (None, true);
    }
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        if !self.is_decided {
            tracing::error!(event_id = %self.event_id, "it is not known whether a decision was stored");
        }
        self.settled.land(self.event_id, self.outcome);
    }
}
