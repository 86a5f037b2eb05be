//! The quarantine: which events a rule holds, what can be done with them, and what was done.
//!
//! An event in quarantine is *open* until somebody settles it: releases it (as it came in, or mended),
//! or discards it with a reason. Settling is one record in the log, see `tidegate_wal::Disposition`:
//! after a crash it is there with all that belongs to it, or it is not. The storage thread then
//! publishes the decision into the data set `dispositions`, and a released event once into the
//! accepted events, by the same rule as any record: each position of the log in one entry of the
//! manifest.
//!
//! # Once
//! Of one event there is at most one decision. An index in memory knows the id of every settled event
//! and where its decision stands, and holds an id while its decision is on its way to the disk: a
//! second one waits for the first and then is told what it was. At the start the index is filled from
//! the published decisions and from the log behind them. It holds at most
//! [`StorageOptions::max_settled`](crate::StorageOptions) ids, about 40 bytes each; beyond, events
//! stay open and whoever settles is told to raise it. Files of decisions must be kept as long as the
//! files of the quarantine: without them their events count as open again.
//!
//! A released event is judged by the caller, under whatever revision is active then; here it is
//! written down. The record of the event as it came in stays in the quarantine's files as it was.

mod count;
mod settle;
pub(crate) mod settled;
mod settlement;

use std::sync::Arc;

use tidegate_types::EventId;
use tidegate_wal::{Stored, Wal};

use crate::read::{Cursor, Filter, Lookup, PageLimit, ReadError, Scan, StoredEvent, StoredEvents};
use settled::Settled;

pub use count::{Counts, GroupBy, Grouping, MAX_GROUPS, Naming};
pub use settle::{Act, Decision, Done, Release, SettleError};
pub use settlement::Settlement;

/// The quarantine of a storage; clones are the same.
#[derive(Clone)]
pub struct Quarantine {
    stored: StoredEvents,
    settled: Arc<Settled>,
    wal: Wal,
}

/// An event that was found open in quarantine. Only such a one can be settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held(StoredEvent);

impl Held {
    #[must_use]
    pub fn event(&self) -> &StoredEvent {
        &self.0
    }
}

/// Open events in the order in which they came in.
pub struct OpenEvents(Scan);

/// Some open events. It may have none before the last one has come.
#[derive(Debug)]
pub struct HeldPage {
    pub events: Vec<Held>,
    /// Where the next page begins.
    pub next: Cursor,
    /// All that was durable when the scan began has been looked at.
    pub is_last: bool,
    /// Files that may have held more, and were removed.
    pub expired_files: u64,
}

impl OpenEvents {
    /// The next events. Reads files, so it blocks.
    ///
    /// # Errors
    /// [`ReadError`]; the scan stays where it is, and may be asked again.
    pub fn next_page(&mut self, limit: PageLimit) -> Result<HeldPage, ReadError> {
        let page = self.0.next_page(limit)?;
        let events = page.events.into_iter().map(Held).collect();
        let (next, is_last, expired_files) = (page.next, page.is_last, page.expired_files);
        Ok(HeldPage { events, next, is_last, expired_files })
    }

    /// The position in the log that was reached, and where the scan ends.
    #[must_use]
    pub fn progress(&self) -> (tidegate_types::Lsn, tidegate_types::Lsn) {
        self.0.progress()
    }
}

/// What somebody who asks for an event in quarantine gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeldLookup {
    /// It waits for a decision.
    Open(Held),
    Settled {
        /// As it was held.
        event: StoredEvent,
        /// `None` where the file that told it was removed.
        settlement: Option<Settlement>,
    },
    /// It was accepted when it came in.
    NotHeld(StoredEvent),
    /// A file that may have held it was removed.
    Expired,
    /// It was rejected, or never seen, or belongs to another tenant.
    NotStored,
}

impl Quarantine {
    pub(crate) fn new(stored: StoredEvents, settled: Arc<Settled>, wal: Wal) -> Self {
        Self { stored, settled, wal }
    }

    pub(crate) fn events(&self) -> StoredEvents {
        self.stored.clone()
    }

    /// The open events of a tenant, in the order of the log; with a cursor, those after it. The
    /// filter's status makes no difference. Reads nothing yet.
    #[must_use]
    pub fn open_events(&self, tenant: &str, filter: Filter, after: Option<Cursor>) -> OpenEvents {
        let filter = Filter { status: Some(Stored::Quarantined), ..filter };
        let scan = self.stored.scan(tenant, filter, after);
        OpenEvents(scan.without(Arc::clone(&self.settled)))
    }

    /// Counts the open events of a tenant in groups. Reads the small columns of all files of the
    /// quarantine that may hold them, so it blocks.
    ///
    /// # Errors
    /// [`ReadError`]
    pub fn count(
        &self,
        tenant: &str,
        filter: Filter,
        by: Grouping<'_>,
    ) -> Result<Counts, ReadError> {
        let filter = Filter { status: Some(Stored::Quarantined), ..filter };
        count::count(&self.stored, &self.settled, tenant, &filter, by)
    }

    /// One event and what was decided about it. Reads files, so it blocks.
    ///
    /// # Errors
    /// [`ReadError`]
    pub fn get(&self, tenant: &str, event_id: EventId) -> Result<HeldLookup, ReadError> {
        let event = match self.stored.find(tenant, event_id)? {
            Lookup::Found(event) => *event,
            Lookup::Expired => return Ok(HeldLookup::Expired),
            Lookup::NotStored => return Ok(HeldLookup::NotStored),
        };
        Ok(match (event.status, self.settled.get(event_id)) {
            (Stored::Accepted, _) => HeldLookup::NotHeld(event),
            (Stored::Quarantined, None) => HeldLookup::Open(Held(event)),
            (Stored::Quarantined, Some(lsn)) => {
                let settlement = settlement::read(&self.stored, tenant, event_id, lsn)?;
                HeldLookup::Settled { event, settlement }
            }
        })
    }

    /// What was decided about an event; `None` where nothing was. Reads files, so it blocks.
    ///
    /// # Errors
    /// [`ReadError`]
    pub fn settlement(
        &self,
        tenant: &str,
        event_id: EventId,
    ) -> Result<Option<Settlement>, ReadError> {
        match self.settled.get(event_id) {
            Some(lsn) => settlement::read(&self.stored, tenant, event_id, lsn),
            None => Ok(None),
        }
    }

    /// How many events are settled, and how many may be.
    #[must_use]
    pub fn settled_count(&self) -> (usize, usize) {
        self.settled.count()
    }
}
