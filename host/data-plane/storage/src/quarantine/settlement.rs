//! A decision, read back.

use tidegate_types::{EventId, Lsn, UnixMillis};
use tidegate_wal::{Action, Disposition, Entry, Stored};

use crate::manifest;
use crate::publish::partition::{self, DataSet};
use crate::read::file::StoredFile;
use crate::read::{ReadError, StoredEvent, StoredEvents};

/// What was decided about an event that was in quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    pub event_id: EventId,
    pub action: Action,
    pub at: UnixMillis,
    pub by: String,
    pub reason: String,
    /// Where it stands in the log.
    pub lsn: Lsn,
    /// The event as it was released; `None` where it was discarded, or its file was removed.
    pub released: Option<Box<StoredEvent>>,
}

impl Settlement {
    fn of(lsn: Lsn, one: &Disposition<'_>) -> Self {
        let released = match one.record.status {
            Stored::Accepted => Some(Box::new(StoredEvent::of(lsn, &one.record))),
            Stored::Quarantined => None,
        };
        Self {
            event_id: one.record.event_id,
            action: one.action,
            at: one.at,
            by: one.by.to_owned(),
            reason: one.reason.to_owned(),
            lsn,
            released,
        }
    }
}

/// The decision at a position, wherever that is now. `None` where its file was removed, or where it
/// is of another tenant.
pub(super) fn read(
    stored: &StoredEvents,
    tenant: &str,
    event_id: EventId,
    lsn: Lsn,
) -> Result<Option<Settlement>, ReadError> {
    loop {
        if lsn < stored.published.next_lsn() {
            return in_files(stored, tenant, event_id, lsn);
        }
        match stored.wal.reader(lsn).next() {
            Ok(group) => {
                let group = group.as_ref();
                let mut entries = group.into_iter().flat_map(tidegate_wal::Group::entries);
                return Ok(match entries.find(|(at, _)| *at == lsn) {
                    Some((_, Entry::Disposition(one))) if one.record.tenant == tenant => {
                        Some(Settlement::of(lsn, &one))
                    }
                    _ => None,
                });
            }
            // Published, and then truncated, in the meantime.
            Err(tidegate_wal::ReadError::Truncated { .. }) if lsn < stored.published.next_lsn() => {
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn in_files(
    stored: &StoredEvents,
    tenant: &str,
    event_id: EventId,
    lsn: Lsn,
) -> Result<Option<Settlement>, ReadError> {
    let at = event_id.received_at();
    let (mut entries, _) = stored.published.entries(lsn, [at, at])?;
    let Some(entry) = entries.next()? else { return Ok(None) };
    let mut found = None;
    let mut released = None;
    for file in &entry.files {
        let Some(set) = set_of(file, tenant) else { continue };
        let Some(file) = StoredFile::open(&stored.place, file)? else { continue };
        match set {
            DataSet::Dispositions => {
                let one = decision(&file, event_id, lsn)?;
                found = found.or(one);
            }
            DataSet::Released => {
                if let Some(row) = row_at(&file, lsn)? {
                    let event = file.next(&mut file.events(std::iter::once(row))?)?;
                    released = Some(Box::new(event));
                }
            }
            DataSet::Accepted | DataSet::Quarantine => {}
        }
    }
    Ok(found.map(|found| Settlement { released, ..found }))
}

/// Is it a file of decisions, or of released events, of this tenant?
fn set_of(file: &manifest::FileEntry, tenant: &str) -> Option<DataSet> {
    let parts = partition::parts(&file.path)?;
    let wanted = match parts.set {
        DataSet::Dispositions | DataSet::Released => parts.tenant == partition::encode(tenant),
        DataSet::Accepted | DataSet::Quarantine => false,
    };
    wanted.then_some(parts.set)
}

fn row_at(file: &StoredFile, lsn: Lsn) -> Result<Option<usize>, ReadError> {
    let mut batches = file.columns(&["lsn"])?;
    let mut before = 0;
    while let Some(batch) = batches.next()? {
        if let Some(row) = (0..batch.rows()).find(|row| batch.lsn(*row) == Some(lsn)) {
            return Ok(Some(before + row));
        }
        before += batch.rows();
    }
    Ok(None)
}

fn decision(
    file: &StoredFile,
    event_id: EventId,
    lsn: Lsn,
) -> Result<Option<Settlement>, ReadError> {
    let mut batches = file.columns(&["lsn", "action", "settled_at", "by", "reason"])?;
    while let Some(batch) = batches.next()? {
        let Some(row) = (0..batch.rows()).find(|row| batch.lsn(*row) == Some(lsn)) else {
            continue;
        };
        let read = || {
            let name = batch.text("action", row)?;
            Some(Settlement {
                event_id,
                action: Action::ALL.into_iter().find(|action| action.as_str() == name)?,
                at: batch.time("settled_at", row)?,
                by: batch.text("by", row)?.to_owned(),
                reason: batch.text("reason", row)?.to_owned(),
                lsn,
                released: None,
            })
        };
        return read().map(Some).ok_or_else(|| file.wrong("a decision cannot be read"));
    }
    Ok(None)
}
