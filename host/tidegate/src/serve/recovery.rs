//! Opening what the node keeps, in the order that recovery needs: the manifest says from where the
//! log is needed, the log refills the store of keys, and storage goes on where it ended.

pub(super) mod layouts;

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, bail};
use tidegate_config::Config;
use tidegate_dedup::{Dedup, DedupKey, Fingerprint, Moment, Restored, Settled};
use tidegate_storage::{Layouts, Storage};
use tidegate_types::EventId;
use tidegate_wal::{KeyMark, Replayed, Stored, Wal};

use super::options;

pub(super) struct Recovered {
    pub(super) dedup: Dedup,
    pub(super) wal: Wal,
    pub(super) storage: Storage,
}

pub(super) fn open(config: &Config, layouts: Arc<dyn Layouts>) -> anyhow::Result<Recovered> {
    let started = Instant::now();
    let (storage, needed_from) = Storage::open(options::storage(config), layouts)
        .context("the storage folder cannot be opened")?;
    let dedup = Dedup::new(options::dedup(config), started);
    let now = Moment::now();
    let mut full = 0u64;
    let mut restore = |mark: KeyMark, event_id: EventId, stored: Stored| {
        let settled = match stored {
            Stored::Accepted => Settled::Accepted,
            Stored::Quarantined => Settled::Quarantined,
        };
        let restored = dedup.restore(
            DedupKey(mark.key),
            Fingerprint(mark.fingerprint),
            event_id,
            settled,
            now.wall,
        );
        match restored {
            Restored::Kept | Restored::Expired => {}
            Restored::Full => full += 1,
        }
    };
    let (wal, report) = Wal::open(options::wal(config), &mut |replayed| match replayed {
        Replayed::Key { mark, event_id, status } => restore(mark, event_id, status),
        Replayed::Record { record, .. } => {
            if let Some(mark) = record.key {
                restore(mark, record.event_id, record.status);
            }
        }
        // The key of a quarantined event stays settled as it was; storage reads these itself.
        Replayed::Disposition { .. } => {}
    })
    .context("the log cannot be opened")?;
    if full > 0 {
        bail!("the log holds {full} keys of the window more than dedup.max_keys allows: raise it");
    }
    let storage = storage.start(wal.clone()).context("storage cannot go on where it ended")?;
    tracing::info!(
        records = report.records,
        keys = report.keys,
        next = %report.next,
        unpublished_from = %needed_from,
        millis = started.elapsed().as_millis(),
        "recovery finished"
    );
    Ok(Recovered { dedup, wal, storage })
}
