//! The stages by themselves, as the gateway calls them: the key's digest, its quotas, claim and commit of a
//! batch, by 64 requests at once on two threads. No HTTP, no log and no load generator: what nodes
//! share in Redis is all that is done.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use subtle::ConstantTimeEq as _;
use tidegate_dedup::{
    Claim, Dedup, DedupKey, DedupOptions, Fingerprint, Keys, Moment, Settled, Wanted,
};
use tidegate_quota::{Ask, Bucket, Buckets, LocalBuckets};
use tidegate_redis::{Link, RedisBuckets, RedisKeys, RedisKeysOptions, RedisOptions};
use tidegate_testkit::Redis;
use tidegate_types::quota::{Dimension, Quota};
use tidegate_types::{Digest, EventId, TenantId, UnixMillis};
use tidegate_wal::{Wal, WalOptions};

use crate::http::BATCH;
use crate::report::Row;

const REQUESTS: usize = 64;
const LASTING: Duration = Duration::from_secs(4);
const WINDOW: Duration = Duration::from_secs(3600);
const LEASE: Duration = Duration::from_secs(30);
/// As keys look, of none that there is.
const SECRET: &[u8] = b"tg_live_edge-7_0123456789012345678901234567890123456789012_00000";
const EVENT_BYTES: u64 = 416;

/// One of the two ways to keep keys and buckets.
struct Stores {
    keys: Keys,
    buckets: Arc<dyn Buckets>,
}

async fn in_redis(redis: &Redis, wal: &Wal, folder: &std::path::Path) -> anyhow::Result<Stores> {
    let (connect_timeout, response_timeout) = (Duration::from_secs(1), Duration::from_secs(2));
    let options = RedisOptions { url: redis.url(), connect_timeout, response_timeout };
    let link = Link::start(&options)?;
    link.up().await;
    let options = RedisKeysOptions {
        prefix: "bench:".to_owned(),
        window: WINDOW,
        lease: LEASE,
        cursor_file: folder.join("committed-keys"),
    };
    let buckets = Arc::new(RedisBuckets::start(link.clone(), "bench:"));
    Ok(Stores { keys: Keys::shared(RedisKeys::start(link, wal.clone(), options)?), buckets })
}

fn in_process() -> Stores {
    let options = DedupOptions { window: WINDOW, lease: LEASE, max_keys: 40_000_000 };
    Stores {
        keys: Keys::local(Dedup::new(options, Instant::now())),
        buckets: Arc::new(LocalBuckets::default()),
    }
}

/// What a request asks of the quotas of its key and its tenant.
fn asks(tenant: &TenantId) -> anyhow::Result<Vec<Ask>> {
    let a_minute = |limit| Quota::new(limit, Duration::from_secs(60), limit);
    let quota = a_minute(100_000_000_000).map_err(anyhow::Error::msg)?;
    let events = BATCH as u64;
    let asked = [
        (Some("edge-7"), Dimension::Requests, 1),
        (None, Dimension::Requests, 1),
        (None, Dimension::Events, events),
        (None, Dimension::Bytes, events * EVENT_BYTES),
    ];
    let asks = asked.into_iter().map(|(key, dimension, want)| {
        let bucket = Bucket { tenant: tenant.clone(), key: key.map(Arc::from), dimension };
        Ask { bucket, quota, want, least: want }
    });
    Ok(asks.collect())
}

/// One request; numbers are never given twice.
async fn request(
    stores: &Stores,
    tenant: &TenantId,
    secret: &Digest,
    number: u64,
) -> anyhow::Result<()> {
    let shown = Digest::of(SECRET);
    anyhow::ensure!(bool::from(shown.0.ct_eq(&secret.0)), "another key");
    let got = stores.buckets.take(&asks(tenant)?).await;
    let got = got.map_err(|error| anyhow::anyhow!("{error:?}"))?;
    anyhow::ensure!(got.iter().all(|got| got.granted > 0), "over the quota");
    let wanted: Vec<Wanted> = (0..BATCH)
        .map(|row| Wanted {
            row: u32::try_from(row).unwrap_or(u32::MAX),
            key: DedupKey::of(tenant, "", &format!("{number}-{row}")),
            fingerprint: Fingerprint([7; 16]),
        })
        .collect();
    let claimed = stores.keys.claim(tenant, &wanted, Moment::now()).await;
    let (held, answers) = claimed.map_err(|error| anyhow::anyhow!("{error}"))?;
    anyhow::ensure!(answers.iter().all(|claim| *claim == Claim::New), "not new");
    let now = UnixMillis::now();
    let logged = held.hand_over(now).map_err(|_| anyhow::anyhow!("the claims are too old"))?;
    let rows: Vec<_> = wanted
        .iter()
        .map(|one| (one.row, EventId::from_parts(now, 0, number), Settled::Accepted))
        .collect();
    logged.commit(&rows).await;
    Ok(())
}

/// Events per second.
async fn rate(stores: Arc<Stores>, numbers: &Arc<AtomicU64>) -> anyhow::Result<f64> {
    stores.keys.recovered().await;
    let tenant = TenantId::new("bench").context("a good name")?;
    let secret = Digest::of(SECRET);
    let (begun, first) = (Instant::now(), numbers.load(Ordering::Relaxed));
    let mut requests = tokio::task::JoinSet::new();
    for _ in 0..REQUESTS {
        let (stores, tenant, numbers) = (Arc::clone(&stores), tenant.clone(), Arc::clone(numbers));
        requests.spawn(async move {
            while begun.elapsed() < LASTING {
                let number = numbers.fetch_add(1, Ordering::Relaxed);
                request(&stores, &tenant, &secret, number).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = requests.join_next().await {
        ended??;
    }
    let requests = numbers.load(Ordering::Relaxed) - first;
    Ok(requests as f64 * BATCH as f64 / begun.elapsed().as_secs_f64())
}

/// Redis against the process.
pub(crate) fn run(rounds: usize) -> anyhow::Result<Vec<Row>> {
    let redis = super::redis();
    let folder = tempfile::tempdir()?;
    let wal = Wal::open(WalOptions::new(folder.path().join("wal")), &mut |_| {})?.0;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let rates = runtime.block_on(async {
        let shared = Arc::new(in_redis(&redis, &wal, folder.path()).await?);
        let local = Arc::new(in_process());
        let numbers = Arc::default();
        let mut rates = Vec::new();
        for round in 0..=rounds {
            let reference = rate(Arc::clone(&local), &numbers).await?;
            let value = rate(Arc::clone(&shared), &numbers).await?;
            if round > 0 {
                rates.push((value, reference));
            }
        }
        shared.keys.close().await;
        anyhow::Ok(rates)
    })?;
    wal.seal_and_close();
    let case = format!(
        "digest, quotas, claim and commit alone, Redis against the process: batches of {BATCH}, {REQUESTS} at once"
    );
    Ok(vec![Row::of("identity", case, "events/s", &rates)])
}
