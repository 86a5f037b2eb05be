//! The rows that are read but not published, by partition.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use ahash::AHashMap;
use tidegate_types::Lsn;
use tidegate_wal::{Action, Disposition, Entry, Record};

use crate::layout::Layouts;
use crate::publish::partition::{DataSet, DateBounds, Partition};
use crate::rows::{DispositionRows, Part, Rows};

/// Most remembered ways from a record to its partition; with more, all are found anew.
const ROUTES: usize = 16_384;
/// In place of a layout's id, where the columns are always the same.
const NO_LAYOUT: &str = "0000000000000000";

pub(super) struct Buffer {
    layouts: Arc<dyn Layouts>,
    dates: DateBounds,
    max_partitions: usize,
    /// Where each partition is in `parts`.
    places: HashMap<Partition, usize>,
    parts: Vec<(Partition, Part)>,
    /// The same by what a record itself says, so that a record needs no layout and no copies.
    routes: AHashMap<Vec<u8>, usize>,
    /// The key of `routes` that is looked up, kept for its memory.
    key: Vec<u8>,
    bytes: u64,
    last: Lsn,
    since: Option<Instant>,
}

impl Buffer {
    pub(super) fn new(layouts: Arc<dyn Layouts>, dates: DateBounds, max_partitions: usize) -> Self {
        Self {
            layouts,
            dates,
            max_partitions,
            places: HashMap::new(),
            parts: Vec::new(),
            routes: AHashMap::new(),
            key: Vec::new(),
            bytes: 0,
            last: Lsn(0),
            since: None,
        }
    }

    /// About how much memory the rows would take if they were not encoded.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// When the oldest row was added; `None` where there are no rows.
    pub(super) fn since(&self) -> Option<Instant> {
        self.since
    }

    /// Adds what stands after the last one. `false`, and nothing added, where it needs more
    /// partitions than may be open; an empty buffer takes anything.
    pub(super) fn add(&mut self, lsn: Lsn, entry: &Entry<'_>, now: Instant) -> bool {
        let added = match entry {
            Entry::Event(record) => self.add_event(lsn, record, record.status.into()),
            Entry::Disposition(one) => self.add_disposition(lsn, one),
        };
        if added {
            self.last = lsn;
            self.since.get_or_insert(now);
        }
        added
    }

    fn add_event(&mut self, lsn: Lsn, record: &Record<'_>, set: DataSet) -> bool {
        let Some(place) = self.place(record, set) else { return false };
        if let Some((_, Part::Events(rows))) = self.parts.get_mut(place) {
            self.bytes += rows.push(lsn, record) as u64;
        }
        true
    }

    /// A decision and the event that it released go together, so room is seen to before.
    fn add_disposition(&mut self, lsn: Lsn, one: &Disposition<'_>) -> bool {
        let is_empty = self.parts.is_empty();
        if !is_empty && self.parts.len() + 2 > self.max_partitions {
            return false;
        }
        let released = match one.action {
            Action::Released | Action::PatchedAndReleased => true,
            Action::Discarded => false,
        };
        // An empty buffer takes both, even where a single partition may be open.
        let most = std::mem::replace(&mut self.max_partitions, usize::MAX);
        let partition = Partition {
            set: DataSet::Dispositions,
            tenant: one.record.tenant.to_owned(),
            event_type: one.record.event_type.to_owned(),
            day: DateBounds::day_of_decision(one.at),
            layout: NO_LAYOUT.to_owned(),
        };
        let place = self.open(partition, || Part::Dispositions(Box::new(DispositionRows::new())));
        if let Some((_, Part::Dispositions(rows))) = place.and_then(|at| self.parts.get_mut(at)) {
            self.bytes += rows.push(lsn, one) as u64;
        }
        if released {
            self.add_event(lsn, &one.record, DataSet::Released);
        }
        self.max_partitions = most;
        true
    }

    /// Takes all rows, in the order of their paths, and the position of the last one.
    pub(super) fn take(&mut self) -> Option<(Lsn, Vec<(Partition, Part)>)> {
        self.since?;
        let mut parts = std::mem::take(&mut self.parts);
        parts.sort_by_cached_key(|(partition, _)| {
            (partition.folder(), partition.layout.clone(), partition.set as u8)
        });
        self.clear();
        Some((self.last, parts))
    }

    /// Drops all rows.
    pub(super) fn clear(&mut self) {
        self.parts.clear();
        self.places.clear();
        self.routes.clear();
        self.bytes = 0;
        self.since = None;
    }

    fn place(&mut self, record: &Record<'_>, set: DataSet) -> Option<usize> {
        let day = self.dates.day(record.event_time, record.event_id);
        self.key.clear();
        self.key.extend_from_slice(&record.revision.0);
        self.key.extend_from_slice(&day.to_le_bytes());
        self.key.extend_from_slice(&[set as u8, record.tenant.len() as u8]);
        self.key.extend_from_slice(record.tenant.as_bytes());
        self.key.extend_from_slice(record.event_type.as_bytes());
        if let Some(place) = self.routes.get(&self.key) {
            return Some(*place);
        }
        let layout = self.layouts.layout(record.tenant, record.event_type, &record.revision);
        let partition = Partition {
            set,
            tenant: record.tenant.to_owned(),
            event_type: record.event_type.to_owned(),
            day,
            layout: layout.id().to_owned(),
        };
        let place = self.open(partition, || Part::Events(Box::new(Rows::new(layout))))?;
        if self.routes.len() >= ROUTES {
            self.routes.clear();
        }
        self.routes.insert(self.key.clone(), place);
        Some(place)
    }

    /// The partition's place; opens it where it is new.
    fn open(&mut self, partition: Partition, new: impl FnOnce() -> Part) -> Option<usize> {
        if let Some(place) = self.places.get(&partition) {
            return Some(*place);
        }
        let place = self.parts.len();
        if place >= self.max_partitions {
            return None;
        }
        self.places.insert(partition.clone(), place);
        self.parts.push((partition, new()));
        Some(place)
    }
}
