//! The Redis that the node shares with others, where its settings want one: for idempotency keys, for
//! quotas, or for both, over one connection.

use std::sync::Arc;

use tidegate_config::{Config, StateStore};
use tidegate_quota::{Buckets, LocalBuckets};
use tidegate_telemetry::Page;

#[cfg(feature = "redis")]
pub(in super::super) use tidegate_redis::Link;

/// There is none in this build.
#[cfg(not(feature = "redis"))]
#[derive(Clone, Debug)]
pub(in super::super) enum Link {}

/// The connection, where it is wanted. Within a runtime; does not wait for Redis.
pub(super) fn link(config: &Config) -> anyhow::Result<Option<Link>> {
    let stores = [config.dedup.store, config.quotas.store];
    if stores.contains(&StateStore::Redis) { start(config).map(Some) } else { Ok(None) }
}

#[cfg(not(feature = "redis"))]
fn start(_: &Config) -> anyhow::Result<Link> {
    anyhow::bail!(
        "dedup.store or quotas.store is redis, and this program was built without it: build it with \
         `--features redis`, or set them to in-process"
    )
}

#[cfg(feature = "redis")]
fn start(config: &Config) -> anyhow::Result<Link> {
    use anyhow::Context as _;

    let from = &config.redis;
    let url = from.url.reveal().map_err(anyhow::Error::msg).context("redis.url")?;
    let options = tidegate_redis::RedisOptions {
        url,
        connect_timeout: from.connect_timeout,
        response_timeout: from.response_timeout,
    };
    Link::start(&options).context("redis.url")
}

/// Where it is counted what was sent. Within a runtime.
pub(in super::super) fn buckets(config: &Config, link: Option<&Link>) -> Arc<dyn Buckets> {
    match (config.quotas.store, link) {
        #[cfg(feature = "redis")]
        (StateStore::Redis, Some(link)) => {
            Arc::new(tidegate_redis::RedisBuckets::start(link.clone(), &config.redis.prefix))
        }
        // Without the feature there is no link.
        _ => Arc::new(LocalBuckets::default()),
    }
}

/// Tells the counters of the connection.
#[cfg(feature = "redis")]
pub(in super::super) fn report(link: Option<&Link>, page: &mut Page) {
    if let Some(link) = link {
        link.report(page);
    }
}

/// Without the feature there is no link.
#[cfg(not(feature = "redis"))]
pub(in super::super) fn report(_: Option<&Link>, _: &mut Page) {}
