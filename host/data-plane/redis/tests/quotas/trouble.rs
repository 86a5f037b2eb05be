//! Trouble with the server: it is told that nothing may be sent, in bounded time, and all goes on
//! afterwards.

use std::time::{Duration, Instant};

use tidegate_quota::Buckets;
use tidegate_testkit::Redis;
use tidegate_types::quota::Dimension;

use crate::{ask, bucket, node, quota, run};

const PATIENCE: Duration = Duration::from_secs(20);

/// More than is taken meanwhile.
const BURST: u64 = 100_000;

async fn granted(node: &impl Buckets) -> Result<u64, String> {
    let bucket = bucket("acme", None, Dimension::Events);
    let begun = Instant::now();
    let got = node.take(&[ask(&bucket, quota(1, 86_400, BURST), 1, 1)]).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "took {:?}", begun.elapsed());
    got.map(|got| got[0].granted).map_err(|error| {
        assert!(error.retry_after >= Duration::from_millis(100));
        error.reason.to_string()
    })
}

async fn until(node: &impl Buckets, is_there: bool) {
    let deadline = Instant::now() + PATIENCE;
    while granted(node).await.is_ok() != is_there {
        assert!(Instant::now() < deadline, "never");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn each_kind_of_trouble() {
    let redis = Redis::start();
    run(async {
        let node = node(&redis, "p:").await;
        type Act = fn(&Redis);
        let troubles: [(Act, Act); 5] = [
            (Redis::freeze, Redis::thaw),
            (Redis::kill, Redis::restart),
            (|redis| redis.set("maxmemory", "1"), |redis| redis.set("maxmemory", "0")),
            (
                |redis| redis.set("maxmemory-policy", "allkeys-lru"),
                |redis| redis.set("maxmemory-policy", "noeviction"),
            ),
            (
                |redis| assert_eq!(redis.command(&["SCRIPT", "FLUSH"]), "OK"),
                |redis| assert_eq!(redis.command(&["SCRIPT", "FLUSH"]), "OK"),
            ),
        ];
        for (number, (begin, end)) in troubles.into_iter().enumerate() {
            assert_eq!(granted(&node).await, Ok(1), "{number}");
            begin(&redis);
            // Scripts that are forgotten are no trouble.
            until(&node, number == 4).await;
            end(&redis);
            until(&node, true).await;
        }
        // What was taken is not forgotten.
        let bucket = bucket("acme", None, Dimension::Events);
        let got = node.take(&[ask(&bucket, quota(1, 86_400, BURST), BURST, 1)]).await.unwrap();
        assert!((BURST / 2..BURST - 5).contains(&got[0].granted), "{got:?}");
    });
}
