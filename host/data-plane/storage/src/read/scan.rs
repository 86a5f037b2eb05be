//! Many events in the order of the log, page by page; see the module above.

use std::sync::Arc;

use tidegate_types::Lsn;
use tidegate_wal::{Group, Reader, Record};

use super::plan::Plan;
use super::{Filter, ReadError, StoredEvent, StoredEvents};
use crate::manifest::index::Entries;
use crate::quarantine::settled::Settled;

/// Rows that a page looks at before it is given back with what it has.
const LOOK_AT: u64 = 200_000;

/// A place between two events. It stays good across publications and restarts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Cursor(
    /// The position in the log where reading goes on.
    pub Lsn,
);

/// How much one page may hold. A single event may have more bytes.
#[derive(Clone, Copy, Debug)]
pub struct PageLimit {
    pub events: usize,
    pub bytes: usize,
}

impl Default for PageLimit {
    /// 500 events, 8 MiB.
    fn default() -> Self {
        Self { events: 500, bytes: 8 << 20 }
    }
}

/// Some events in order. It may have none before the last one has come.
#[derive(Debug)]
pub struct Page {
    pub events: Vec<StoredEvent>,
    /// Where the next page begins.
    pub next: Cursor,
    /// All that was durable when the scan began has been looked at.
    pub is_last: bool,
    /// Files that may have held more, and were removed.
    pub expired_files: u64,
}

/// A scan under way.
pub struct Scan {
    stored: StoredEvents,
    tenant: String,
    filter: Filter,
    /// With this only events that are not settled.
    open: Option<Arc<Settled>>,
    /// The next position to look at, and the first that is not looked at any more.
    position: Lsn,
    end: Lsn,
    entries: Option<(Entries, Lsn)>,
    plan: Option<Plan>,
    reader: Option<Reader>,
    group: Option<Group>,
}

impl Scan {
    pub(super) fn new(
        stored: StoredEvents,
        tenant: String,
        filter: Filter,
        after: Option<Cursor>,
    ) -> Self {
        let position = after.map_or(Lsn(0), |Cursor(lsn)| lsn);
        let end = if filter.is_empty() { position } else { stored.wal.durable_end() };
        let (entries, plan, reader, group) = (None, None, None, None);
        Self { stored, tenant, filter, open: None, position, end, entries, plan, reader, group }
    }

    /// Leaves out what is settled.
    pub(crate) fn without(self, settled: Arc<Settled>) -> Self {
        Self { open: Some(settled), ..self }
    }

    /// The position in the log that was reached, and where the scan ends.
    #[must_use]
    pub fn progress(&self) -> (Lsn, Lsn) {
        (self.position.min(self.end), self.end)
    }

    /// The next events. Reads files, so it blocks.
    ///
    /// # Errors
    /// [`ReadError`]; the scan stays where it is, and may be asked again.
    pub fn next_page(&mut self, limit: PageLimit) -> Result<Page, ReadError> {
        let begin = self.position;
        let page = self.fill(limit);
        if page.is_err() {
            self.forget();
            self.position = begin;
        }
        page
    }

    fn forget(&mut self) {
        (self.entries, self.plan, self.reader, self.group) = (None, None, None, None);
    }

    fn fill(&mut self, limit: PageLimit) -> Result<Page, ReadError> {
        let next = Cursor(self.position);
        let mut page = Page { events: Vec::new(), next, is_last: false, expired_files: 0 };
        let (mut bytes, mut looked_at) = (0, 0);
        while self.position < self.end {
            if page.events.len() >= limit.events || looked_at >= LOOK_AT {
                break;
            }
            let event = match self.step(&mut page.expired_files, &mut looked_at)? {
                Some(event) => event,
                None => continue,
            };
            bytes += event.bytes();
            if bytes > limit.bytes && !page.events.is_empty() {
                // It begins the next page, which reads it again.
                self.forget();
                self.position = event.lsn;
                break;
            }
            self.position = Lsn(event.lsn.0 + 1);
            page.events.push(event);
        }
        page.next = Cursor(self.position);
        page.is_last = self.position >= self.end;
        Ok(page)
    }

    /// Goes on by an event, or by something that holds none.
    fn step(
        &mut self,
        gone: &mut u64,
        looked_at: &mut u64,
    ) -> Result<Option<StoredEvent>, ReadError> {
        if let Some(plan) = &mut self.plan {
            let event = plan.next()?.filter(|event| event.lsn < self.end);
            if event.is_none() {
                self.position = plan.end;
                self.plan = None;
            }
            return Ok(event);
        }
        if self.position < self.stored.published.next_lsn() {
            (self.reader, self.group) = (None, None);
            self.plan = self.next_plan()?;
            if let Some(plan) = &self.plan {
                (*gone, *looked_at) = (*gone + plan.gone, *looked_at + plan.looked_at);
            }
            return Ok(None);
        }
        self.entries = None;
        self.step_in_log(looked_at)
    }

    /// The next entry that may hold events; without one, all that is published has been seen.
    fn next_plan(&mut self) -> Result<Option<Plan>, ReadError> {
        let (entries, published_end) = match &mut self.entries {
            Some(entries) => entries,
            None => {
                let (stored, times) = (&self.stored, self.filter.times());
                let found = stored.published.entries(self.position, times)?;
                self.entries.insert(found)
            }
        };
        let Some(entry) = entries.next()? else {
            self.position = self.position.max(*published_end);
            self.entries = None;
            return Ok(None);
        };
        if entry.first_lsn >= self.end {
            self.position = self.end;
            return Ok(None);
        }
        let place = &self.stored.place;
        let open = self.open.as_deref();
        Plan::of(&entry, place, &self.tenant, &self.filter, open, self.position).map(Some)
    }

    fn step_in_log(&mut self, looked_at: &mut u64) -> Result<Option<StoredEvent>, ReadError> {
        let position = self.position;
        if self.group.as_ref().is_none_or(|group| group.end() <= position) {
            let reader = self.reader.get_or_insert_with(|| self.stored.wal.reader(position));
            match reader.next() {
                Ok(Some(group)) => {
                    *looked_at += group.end().0.saturating_sub(position.0);
                    self.group = Some(group);
                }
                Ok(None) => self.position = self.end,
                // It was published, and then truncated, since its place was looked up.
                Err(tidegate_wal::ReadError::Truncated { .. })
                    if position < self.stored.published.next_lsn() => {}
                Err(error) => return Err(error.into()),
            }
            return Ok(None);
        }
        let Some(group) = &self.group else { return Ok(None) };
        let (tenant, filter, end) = (&self.tenant, &self.filter, self.end);
        let open = |record: &Record<'_>| {
            self.open.as_ref().is_none_or(|settled| settled.get(record.event_id).is_none())
        };
        let mut wanted = group.records().filter(|(lsn, record)| {
            (position..end).contains(lsn)
                && record.tenant == tenant
                && filter.wants_record(record)
                && open(record)
        });
        let event = wanted.next().map(|(lsn, record)| StoredEvent::of(lsn, &record));
        if event.is_none() {
            self.position = group.end();
        }
        Ok(event)
    }
}
