//! Quotas that nodes count together, in Redis (A7, D3).

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_e2e::{assert_quiet, problem, revision, statuses};
use tidegate_testkit::{Gateway, Redis, Tenant};

use super::{an_hour, limit_of, set};
use crate::start_with;

fn start(redis: &Redis) -> (Gateway, Tenant) {
    let url = redis.url();
    let settings = [("QUOTAS__STORE", "redis"), ("REDIS__URL", url.as_str())];
    let (gateway, tenant) = start_with(&settings);
    tenant.activate(&gateway, &revision::plain());
    (gateway, tenant)
}

/// What one node takes the other lacks.
#[test]
fn nodes_count_together() {
    let redis = Redis::start();
    let [(one, of_one), (other, of_other)] = [start(&redis), start(&redis)];
    for gateway in [&one, &other] {
        set(gateway, "quotas", &json!({ "events": an_hour(10), "over": "part" }));
    }
    let events: Vec<Value> = (0..6).map(|n| json!({ "n": n })).collect();
    let answer = of_one.post_batch(&one, &events);
    assert_eq!((answer.status, answer.header("ratelimit-policy").is_some()), (202, true));
    let part = of_other.post_batch(&other, &events);
    let expected: Vec<_> = [["accepted"; 4].as_slice(), &["retry"; 2]].concat();
    assert_eq!(statuses(&part), expected);
    for (gateway, tenant) in [(&one, &of_one), (&other, &of_other)] {
        let refused = tenant.post(gateway, &json!({}));
        let told = problem(&refused, 429, "quota-exceeded");
        assert_eq!(told["violated-policies"], json!(["tenant-events"]));
        assert!(refused.header("retry-after").is_some());
    }
    assert_quiet(&one);
    assert_quiet(&other);
}

/// Where it cannot be counted nothing is taken, and afterwards it goes on where it was.
#[test]
fn without_redis_nothing_is_taken() {
    let redis = Redis::start();
    let (gateway, tenant) = start(&redis);
    set(&gateway, "quotas", &json!({ "requests": an_hour(1000) }));
    let first = tenant.post(&gateway, &json!({}));
    assert_eq!((first.status, limit_of(&first).1), (202, Some("999")));
    redis.kill();
    let before = gateway.status()["wal"]["durable_lsn"].clone();
    for _ in 0..3 {
        let refused = tenant.post(&gateway, &json!({}));
        let told = problem(&refused, 503, "unavailable");
        assert!(told["detail"].as_str().unwrap().contains("nothing was stored"), "{told}");
        assert!(refused.header("retry-after").is_some());
    }
    assert_eq!(gateway.status()["wal"]["durable_lsn"], before);
    redis.restart();
    let begun = Instant::now();
    let left = loop {
        let answer = tenant.post(&gateway, &json!({}));
        if answer.status == 202 {
            break limit_of(&answer).1.unwrap().to_owned();
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{}", answer.text());
    };
    assert_eq!(left, "998");
    assert!(gateway.log().contains("redis cannot be used"));
}
