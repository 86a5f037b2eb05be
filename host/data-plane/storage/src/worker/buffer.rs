//! The rows that are read but not published, by partition.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use ahash::AHashMap;
use tidegate_types::Lsn;
use tidegate_wal::{Record, Stored};

use crate::layout::{Layout, Layouts};
use crate::publish::partition::{DateBounds, Partition};
use crate::rows::Rows;

/// Most remembered ways from a record to its partition; with more, all are found anew.
const ROUTES: usize = 16_384;

pub(super) struct Buffer {
    layouts: Arc<dyn Layouts>,
    dates: DateBounds,
    max_partitions: usize,
    /// Where each partition is in `parts`.
    places: HashMap<Partition, usize>,
    parts: Vec<(Partition, Rows)>,
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

    /// Adds the record after the last one. `false`, and nothing added, where it needs one more
    /// partition than may be open; an empty buffer takes any record.
    pub(super) fn add(&mut self, lsn: Lsn, record: &Record<'_>, now: Instant) -> bool {
        let Some(place) = self.place(record) else { return false };
        if let Some((_, rows)) = self.parts.get_mut(place) {
            self.bytes += rows.push(lsn, record) as u64;
        }
        self.last = lsn;
        self.since.get_or_insert(now);
        true
    }

    /// Takes all rows, in the order of their paths, and the position of the last one.
    pub(super) fn take(&mut self) -> Option<(Lsn, Vec<(Partition, Rows)>)> {
        self.since?;
        let mut parts = std::mem::take(&mut self.parts);
        parts.sort_by_cached_key(|(partition, _)| (partition.folder(), partition.layout.clone()));
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

    fn place(&mut self, record: &Record<'_>) -> Option<usize> {
        let day = self.dates.day(record.event_time, record.event_id);
        let status = match record.status {
            Stored::Accepted => 0,
            Stored::Quarantined => 1,
        };
        self.key.clear();
        self.key.extend_from_slice(&record.revision.0);
        self.key.extend_from_slice(&day.to_le_bytes());
        self.key.extend_from_slice(&[status, record.tenant.len() as u8]);
        self.key.extend_from_slice(record.tenant.as_bytes());
        self.key.extend_from_slice(record.event_type.as_bytes());
        if let Some(place) = self.routes.get(&self.key) {
            return Some(*place);
        }
        let layout = self.layouts.layout(record.tenant, record.event_type, &record.revision);
        let place = self.open(record, day, layout)?;
        if self.routes.len() >= ROUTES {
            self.routes.clear();
        }
        self.routes.insert(self.key.clone(), place);
        Some(place)
    }

    /// The partition's place; opens it where it is new.
    fn open(&mut self, record: &Record<'_>, day: u64, layout: Arc<Layout>) -> Option<usize> {
        let partition = Partition {
            status: record.status,
            tenant: record.tenant.to_owned(),
            event_type: record.event_type.to_owned(),
            day,
            layout: layout.id().to_owned(),
        };
        if let Some(place) = self.places.get(&partition) {
            return Some(*place);
        }
        let place = self.parts.len();
        if place >= self.max_partitions {
            return None;
        }
        self.places.insert(partition.clone(), place);
        self.parts.push((partition, Rows::new(layout)));
        Some(place)
    }
}
