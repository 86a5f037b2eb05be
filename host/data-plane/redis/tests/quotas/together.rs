//! Several nodes, and many requests at once, take from the same buckets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_quota::Buckets;
use tidegate_types::quota::Dimension;

use crate::{ask, bucket, new_prefix, node, quota, run, server};

/// Of many who ask at once exactly what there is is granted, single tokens and parts alike.
#[test]
fn nothing_is_granted_twice() {
    run(async {
        let prefix = new_prefix();
        let quota = quota(1, 86_400, 1000);
        let mut asking = Vec::new();
        for _ in 0..3 {
            let node = Arc::new(node(server(), &prefix).await);
            for number in 0..64 {
                let (node, part) = (Arc::clone(&node), number % 2 == 0);
                asking.push(tokio::spawn(async move {
                    let bucket = bucket("acme", None, Dimension::Events);
                    let mut granted = 0;
                    for _ in 0..20 {
                        let want = if part { 7 } else { 1 };
                        granted +=
                            node.take(&[ask(&bucket, quota, want, 1)]).await.unwrap()[0].granted;
                    }
                    granted
                }));
            }
        }
        let mut sum = 0;
        for one in asking {
            sum += one.await.unwrap();
        }
        assert_eq!(sum, 1000);
    });
}

/// A tenant at ten times its limit over three nodes gets its limit.
#[test]
fn the_limit_is_met_over_three_nodes() {
    const LIMIT: u64 = 1000;
    const BURST: u64 = 500;
    const LASTS: Duration = Duration::from_secs(4);
    run(async {
        let (prefix, quota) = (new_prefix(), quota(LIMIT, 1, BURST));
        let mut nodes = Vec::new();
        for _ in 0..3 {
            nodes.push(node(server(), &prefix).await);
        }
        let begun = Instant::now();
        let sending = nodes.into_iter().map(|node| {
            tokio::spawn(async move {
                let bucket = bucket("acme", None, Dimension::Events);
                let mut pace = tokio::time::interval(Duration::from_millis(3));
                let (mut granted, mut wanted) = (0, 0);
                while begun.elapsed() < LASTS {
                    pace.tick().await;
                    granted += node.take(&[ask(&bucket, quota, 10, 1)]).await.unwrap()[0].granted;
                    wanted += 10;
                }
                (granted, wanted)
            })
        });
        let sending: Vec<_> = sending.collect();
        let (mut granted, mut wanted) = (0, 0);
        for one in sending {
            let (of_one, asked) = one.await.unwrap();
            granted += of_one;
            wanted += asked;
        }
        let came_in = begun.elapsed().as_secs_f64() * LIMIT as f64;
        let expected = BURST as f64 + came_in;
        let off = (granted as f64 - expected).abs() / came_in;
        println!("{granted} of {wanted} granted, {expected:.0} there");
        assert!(wanted > 5 * granted, "{wanted} were asked for");
        assert!(off <= 0.02, "{granted} granted, {expected:.0} there: off by {off:.3}");
    });
}

/// Buckets of keys, tenants and dimensions are apart, and each ends by itself.
#[test]
fn what_stands_in_redis() {
    run(async {
        let redis = tidegate_testkit::Redis::start();
        let node = node(&redis, "p:").await;
        let quota = quota(10, 60, 10);
        let buckets = [
            bucket("acme", None, Dimension::Requests),
            bucket("acme", None, Dimension::Events),
            bucket("acme", Some("k"), Dimension::Events),
            bucket("acme2", None, Dimension::Bytes),
        ];
        let asks: Vec<_> = buckets.iter().map(|bucket| ask(bucket, quota, 10, 10)).collect();
        assert!(node.take(&asks).await.unwrap().iter().all(|got| got.granted == 10));
        assert!(node.take(&asks).await.unwrap().iter().all(|got| got.granted == 0));
        let info = redis.command(&["INFO", "keyspace"]);
        assert!(info.contains("keys=4,expires=4"), "{info}");
        let left: u64 = redis.command(&["PTTL", "p:acme2\x01b"]).parse().unwrap();
        assert!((50_000..=60_000).contains(&left), "{left}");
    });
}
