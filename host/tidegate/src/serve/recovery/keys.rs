//! Where the node keeps its idempotency keys: in its process, filled from its log before anything else,
//! or in the Redis that it shares with other nodes.

use std::time::Instant;

use anyhow::{Context as _, bail};
use tidegate_config::Config;
use tidegate_dedup::{Dedup, DedupKey, Fingerprint, Keys, Moment, Restored, Settled};
use tidegate_types::EventId;
use tidegate_wal::{KeyMark, RecoveryReport, Replayed, Stored, Wal};

use super::super::options;
use super::redis::Link;

/// Opens the log, and with it the store of keys. Blocks; within a runtime.
pub(super) fn open(
    config: &Config,
    link: Option<&Link>,
) -> anyhow::Result<(Keys, Wal, RecoveryReport)> {
    match (config.dedup.store, link) {
        #[cfg(feature = "redis")]
        (tidegate_config::StateStore::Redis, Some(link)) => in_redis(config, link),
        // Without the feature there is no link.
        _ => in_process(config),
    }
}

fn in_process(config: &Config) -> anyhow::Result<(Keys, Wal, RecoveryReport)> {
    let dedup = Dedup::new(options::dedup(config), Instant::now());
    let now = Moment::now();
    let mut full = 0u64;
    let mut restore = |mark: KeyMark, event_id: EventId, stored: Stored| {
        let settled = match stored {
            Stored::Accepted => Settled::Accepted,
            Stored::Quarantined => Settled::Quarantined,
        };
        let (key, fingerprint) = (DedupKey(mark.key), Fingerprint(mark.fingerprint));
        match dedup.restore(key, fingerprint, event_id, settled, now.wall) {
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
    Ok((Keys::local(dedup), wal, report))
}

/// What the log has is committed in the background, from where the node before this one came to.
#[cfg(feature = "redis")]
fn in_redis(config: &Config, link: &Link) -> anyhow::Result<(Keys, Wal, RecoveryReport)> {
    use tidegate_redis::{RedisKeys, RedisKeysOptions};

    let opened = Wal::open(options::wal(config), &mut |_| {});
    let (wal, report) = opened.context("the log cannot be opened")?;
    let keys = RedisKeysOptions {
        prefix: config.redis.prefix.clone(),
        window: config.dedup.window,
        lease: config.dedup.lease,
        cursor_file: config.data_dir.join("committed-keys"),
    };
    let keys = RedisKeys::start(link.clone(), wal.clone(), keys).context("the store of keys")?;
    Ok((Keys::shared(keys), wal, report))
}
