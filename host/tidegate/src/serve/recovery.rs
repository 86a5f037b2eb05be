//! Opening what the node keeps, in the order that recovery needs: the manifest says from where the
//! log is needed, the log tells the store of keys what it may lack, and storage goes on where it ended.

mod keys;
pub(super) mod layouts;
pub(super) mod redis;
pub(super) mod sinks;

use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use tidegate_config::Config;
use tidegate_dedup::Keys;
use tidegate_sinks::Placed;
use tidegate_storage::{Layouts, Storage};
use tidegate_wal::Wal;

use super::options;
use sinks::Sinks;

pub(super) struct Recovered {
    pub(super) keys: Keys,
    pub(super) wal: Wal,
    pub(super) storage: Storage,
    /// To the Redis that nodes share, where the settings want one.
    pub(super) link: Option<redis::Link>,
    /// The places of the sinks in the log.
    pub(super) placed: Vec<Placed>,
}

/// Opens all of it. Blocks; within a runtime.
pub(super) fn open(
    config: &Config,
    layouts: Arc<dyn Layouts>,
    sinks: &Sinks,
) -> anyhow::Result<Recovered> {
    let started = Instant::now();
    let (storage, needed_from) = Storage::open(options::storage(config)?, layouts)
        .context("the storage cannot be opened")?;
    let link = redis::link(config)?;
    let (keys, wal, report) = keys::open(config, link.as_ref())?;
    // Storage truncates the log, so what sinks lack is held before it starts.
    let placed = sinks.place(config, &wal)?;
    let storage = storage.start(wal.clone()).context("storage cannot go on where it ended")?;
    tracing::info!(
        records = report.records,
        keys = report.keys,
        next = %report.next,
        unpublished_from = %needed_from,
        millis = started.elapsed().as_millis(),
        "recovery finished"
    );
    Ok(Recovered { keys, wal, storage, link, placed })
}
