//! The matching rows of one manifest entry, in the order of the log.

use std::collections::VecDeque;
use std::sync::Arc;

use tidegate_types::Lsn;

use super::file::{Events, Small, StoredFile};
use super::{Filter, ReadError, StoredEvent};
use crate::manifest::Entry;
use crate::place::Place;
use crate::quarantine::settled::Settled;

/// Most files that are read at once.
const OPEN_FILES: usize = 32;

/// What is still to be read of an entry.
pub(super) struct Plan {
    /// The position after the entry.
    pub(super) end: Lsn,
    /// Rows that were looked at.
    pub(super) looked_at: u64,
    /// Files that are gone.
    pub(super) gone: u64,
    files: Vec<Planned>,
    /// Positions and whose file they are in; every file's own positions ascend.
    order: VecDeque<(Lsn, u32)>,
    open: usize,
}

struct Planned {
    file: StoredFile,
    rows: VecDeque<u32>,
    events: Option<Events>,
}

impl Plan {
    /// Looks which rows from `from` on match.
    pub(super) fn of(
        entry: &Entry,
        place: &Arc<dyn Place>,
        tenant: &str,
        filter: &Filter,
        open: Option<&Settled>,
        from: Lsn,
    ) -> Result<Self, ReadError> {
        let end = Lsn(entry.last_lsn.0.saturating_add(1));
        let (files, order) = (Vec::new(), VecDeque::new());
        let mut plan = Self { end, looked_at: 0, gone: 0, files, order, open: 0 };
        for entry in entry.files.iter().filter(|file| filter.wants_file(tenant, file)) {
            match StoredFile::open(place, entry)? {
                Some(file) => plan.add(file, filter, open, from)?,
                None => plan.gone += 1,
            }
        }
        plan.order.make_contiguous().sort_unstable();
        Ok(plan)
    }

    fn add(
        &mut self,
        file: StoredFile,
        filter: &Filter,
        open: Option<&Settled>,
        from: Lsn,
    ) -> Result<(), ReadError> {
        let names = columns(filter, open.is_some());
        let number = u32::try_from(self.files.len()).unwrap_or(u32::MAX);
        let (mut rows, mut row) = (VecDeque::new(), 0u32);
        let mut batches = file.columns(&names)?;
        while let Some(batch) = batches.next()? {
            for at in 0..batch.rows() {
                let matches = matches(&batch, at, filter, open, from);
                if let Some(lsn) = matches.ok_or_else(|| file.wrong("a row cannot be read"))? {
                    rows.push_back(row);
                    self.order.push_back((lsn, number));
                }
                row += 1;
            }
        }
        self.looked_at += u64::from(row);
        if !rows.is_empty() {
            self.files.push(Planned { file, rows, events: None });
        }
        Ok(())
    }

    /// The next event; `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<StoredEvent>, ReadError> {
        let Some((lsn, number)) = self.order.pop_front() else { return Ok(None) };
        let is_open = |files: &[Planned]| {
            files.get(number as usize).is_some_and(|planned| planned.events.is_some())
        };
        if !is_open(&self.files) {
            if self.open >= OPEN_FILES {
                // They are opened again at the rows where they stand.
                self.files.iter_mut().for_each(|planned| planned.events = None);
                self.open = 0;
            }
            self.open += 1;
        }
        let planned = self.files.get_mut(number as usize);
        let planned = planned.expect("positions have the numbers of their files");
        let mut events = match planned.events.take() {
            Some(events) => events,
            None => planned.file.events(planned.rows.iter().map(|row| *row as usize))?,
        };
        let event = planned.file.next(&mut events)?;
        if event.lsn != lsn {
            return Err(planned.file.wrong("rows are out of order"));
        }
        planned.rows.pop_front();
        if planned.rows.is_empty() {
            self.open -= 1;
        } else {
            planned.events = Some(events);
        }
        Ok(Some(event))
    }
}

/// The columns that [`matches`] needs.
pub(crate) fn columns(filter: &Filter, only_open: bool) -> Vec<&'static str> {
    let wanted = [
        Some("lsn"),
        Some("received_at"),
        only_open.then_some("event_id"),
        filter.revision.map(|_| "revision"),
        filter.wants_findings().then_some("findings"),
    ];
    wanted.into_iter().flatten().collect()
}

/// The position of a row that matches, where it stands at or after `from`, and, with an index, where
/// it is not settled. The outer `None` where the row cannot be read.
pub(crate) fn matches(
    batch: &Small,
    row: usize,
    filter: &Filter,
    open: Option<&Settled>,
    from: Lsn,
) -> Option<Option<Lsn>> {
    let lsn = batch.lsn(row)?;
    if lsn < from || !filter.wants_time(batch.time("received_at", row)?) {
        return Some(None);
    }
    if let Some(revision) = filter.revision
        && batch.text("revision", row)?.parse().ok() != Some(revision)
    {
        return Some(None);
    }
    if let Some(settled) = open
        && settled.get(batch.event_id(row)?).is_some()
    {
        return Some(None);
    }
    let mut found = !filter.wants_findings();
    if !found {
        batch.findings(row, |rule, code| found |= filter.wants_finding(rule, code))?;
    }
    Some(found.then_some(lsn))
}
