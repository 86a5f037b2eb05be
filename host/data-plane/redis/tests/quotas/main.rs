//! Buckets in a real Redis: they answer as those in the process do, nodes take from the same, and trouble
//! with the server is told.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test: a panic is its failure, and its output is read by people"
)]

mod together;
mod trouble;

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use tidegate_quota::{Ask, Bucket, Buckets, LocalBuckets};
use tidegate_redis::{Link, RedisBuckets, RedisOptions};
use tidegate_testkit::Redis;
use tidegate_types::TenantId;
use tidegate_types::quota::{Dimension, Quota};

fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(test)
}

/// A server for tests that do no harm to it. It need not write to its disk.
fn server() -> &'static Redis {
    static SERVER: LazyLock<Redis> = LazyLock::new(|| Redis::start_with(&[("appendonly", "no")]));
    &SERVER
}

/// A prefix that no other test has.
fn new_prefix() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("test-{}:", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The buckets of a node that is connected.
async fn node(redis: &Redis, prefix: &str) -> RedisBuckets {
    let options = RedisOptions {
        url: redis.url(),
        connect_timeout: Duration::from_millis(500),
        response_timeout: Duration::from_secs(1),
    };
    let link = Link::start(&options).unwrap();
    link.up().await;
    RedisBuckets::start(link, prefix)
}

fn bucket(tenant: &str, key: Option<&str>, dimension: Dimension) -> Bucket {
    Bucket { tenant: TenantId::new(tenant).unwrap(), key: key.map(Into::into), dimension }
}

fn quota(limit: u64, seconds: u64, burst: u64) -> Quota {
    Quota::new(limit, Duration::from_secs(seconds), burst).unwrap()
}

fn ask(bucket: &Bucket, quota: Quota, want: u64, least: u64) -> Ask {
    Ask { bucket: bucket.clone(), quota, want, least: least.min(want) }
}

/// What requests do: ask several buckets, or put back.
#[derive(Clone, Debug)]
enum Step {
    Take(Vec<(usize, u64, u64)>),
    PutBack(usize, u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let asks = prop::collection::vec((0..4usize, 0u64..60, 0u64..60), 1..5);
    let step = prop_oneof![
        4 => asks.prop_map(Step::Take),
        1 => (0..4usize, 0u64..30).prop_map(|(bucket, tokens)| Step::PutBack(bucket, tokens)),
    ];
    prop::collection::vec(step, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// In a day so little comes in that none does during the test. The script's arithmetic over time is
    /// held against the other one's beside its code.
    #[test]
    fn both_stores_answer_alike(burst in 1u64..80, steps in steps()) {
        run(async {
            let (local, shared) = (LocalBuckets::default(), node(server(), &new_prefix()).await);
            let buckets = [
                bucket("acme", None, Dimension::Events),
                bucket("acme", Some("k"), Dimension::Events),
                bucket("acme", Some("k"), Dimension::Bytes),
                bucket("other", None, Dimension::Events),
            ];
            let quota = quota(1, 86_400, burst);
            for step in steps {
                match step {
                    Step::Take(wanted) => {
                        let asks: Vec<_> = wanted
                            .iter()
                            .map(|(at, want, least)| ask(&buckets[*at], quota, *want, *least))
                            .collect();
                        let expected = local.take(&asks).await.unwrap();
                        let got = shared.take(&asks).await.unwrap();
                        prop_assert_eq!(expected.len(), got.len());
                        for (expected, got) in expected.iter().zip(&got) {
                            let whole = |got: &tidegate_quota::Got| (got.granted, got.remaining);
                            prop_assert_eq!(whole(expected), whole(got));
                            // The clocks are not the same.
                            prop_assert!(expected.wait_ms.abs_diff(got.wait_ms) < 5000);
                            prop_assert!(expected.full_ms.abs_diff(got.full_ms) < 5000);
                        }
                    }
                    Step::PutBack(at, tokens) => {
                        let what = [(buckets[at].clone(), quota, tokens)];
                        local.put_back(&what).await;
                        shared.put_back(&what).await;
                    }
                }
            }
            Ok(())
        })?;
    }
}
