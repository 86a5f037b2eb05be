//! One event by its id. An id tells when its event was received, so few files need to be opened.

use tidegate_types::{EventId, Lsn};

use super::file::StoredFile;
use super::{Filter, Lookup, ReadError, StoredEvent, StoredEvents};

pub(super) fn find(
    stored: &StoredEvents,
    tenant: &str,
    event_id: EventId,
) -> Result<Lookup, ReadError> {
    let mut gone = false;
    let mut from = Lsn(0);
    loop {
        let end = match in_files(stored, tenant, event_id, from, &mut gone)? {
            Ok(event) => return Ok(Lookup::Found(Box::new(event))),
            Err(end) => end,
        };
        match in_log(stored, tenant, event_id, end) {
            Ok(Some(event)) => return Ok(Lookup::Found(Box::new(event))),
            Ok(None) if gone => return Ok(Lookup::Expired),
            Ok(None) => return Ok(Lookup::NotStored),
            // Published, and then truncated, in the meantime.
            Err(tidegate_wal::ReadError::Truncated { .. }) if stored.published.next_lsn() > end => {
                from = end;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// The event, or up to where there are files.
fn in_files(
    stored: &StoredEvents,
    tenant: &str,
    event_id: EventId,
    from: Lsn,
    gone: &mut bool,
) -> Result<Result<StoredEvent, Lsn>, ReadError> {
    let at = event_id.received_at();
    let until = Some(tidegate_types::UnixMillis(at.0.saturating_add(1)));
    let filter = Filter { since: Some(at), until, ..Filter::default() };
    let (mut entries, end) = stored.published.entries(from, [at, at])?;
    while let Some(entry) = entries.next()? {
        for entry in entry.files.iter().filter(|file| filter.wants_file(tenant, file)) {
            let Some(file) = StoredFile::open(&stored.place, entry)? else {
                *gone = true;
                continue;
            };
            if let Some(row) = row_of(&file, event_id)? {
                let mut events = file.events(std::iter::once(row))?;
                return file.next(&mut events).map(Ok);
            }
        }
    }
    Ok(Err(end))
}

fn row_of(file: &StoredFile, event_id: EventId) -> Result<Option<usize>, ReadError> {
    let text = event_id.to_string();
    let mut batches = file.columns(&["event_id"])?;
    let mut before = 0;
    while let Some(batch) = batches.next()? {
        let mut rows = 0..batch.rows();
        if let Some(row) = rows.find(|row| batch.text("event_id", *row) == Some(&text)) {
            return Ok(Some(before + row));
        }
        before += batch.rows();
    }
    Ok(None)
}

fn in_log(
    stored: &StoredEvents,
    tenant: &str,
    event_id: EventId,
    from: Lsn,
) -> Result<Option<StoredEvent>, tidegate_wal::ReadError> {
    let end = stored.wal.durable_end();
    let mut reader = stored.wal.reader(from);
    while reader.position() < end {
        let Some(group) = reader.next()? else { break };
        let mut records = group.records();
        let found = records.find(|(_, one)| one.event_id == event_id && one.tenant == tenant);
        if let Some((lsn, record)) = found {
            return Ok(Some(StoredEvent::of(lsn, &record)));
        }
    }
    Ok(None)
}
