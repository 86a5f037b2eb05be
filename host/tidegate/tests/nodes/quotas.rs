//! Quotas that nodes share in Redis: a tenant has its limit over all of them together.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tidegate_testkit::postgres::shared;
use tidegate_testkit::{Gateway, Redis, Tenant};

use crate::{node_with, wait_active_on, wait_until};

/// Events a second, and at once.
const LIMIT: u64 = 2000;
/// Half a second of the limit: a disk that stands still for a moment costs the tenant nothing, and the bound holds.
const BURST: u64 = 1000;
/// What is sent each second, by all senders together: ten times as much.
const SENT: u64 = 10 * LIMIT;
const SENDERS: u64 = 6;
const BATCH: u64 = 50;
const LASTING: Duration = Duration::from_secs(8);

fn set_quota(node: &Gateway, limit: u64) {
    let quota = json!({ "limit": limit, "window_seconds": 1, "burst": BURST });
    let body = json!({ "quotas": { "events": quota } }).to_string();
    let answer = node.admin("PUT", "/v1/tenants/acme/quotas", "application/json", body.as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Sends batches to a node at a steady pace; answers how many of its events were taken.
fn send(node: &Gateway, tenant: &Tenant, begin: Instant, sent: &AtomicU64) -> u64 {
    let events: Vec<_> = (0..BATCH).map(|_| json!({})).collect();
    let pause = Duration::from_secs_f64((SENDERS * BATCH) as f64 / SENT as f64);
    let (mut connection, mut taken) = (node.connect(), 0);
    let mut next = begin;
    while next < begin + LASTING {
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        let answer = tenant.post_batch_on(&mut connection, &events).unwrap();
        sent.fetch_add(BATCH, Ordering::Relaxed);
        taken += match answer.status {
            202 => answer.json()["accepted"].as_u64().unwrap(),
            429 => 0,
            other => panic!("{other}: {}", answer.text()),
        };
        next += pause;
    }
    taken
}

/// D3: a tenant that sends ten times its limit to three nodes has its limit, within 2 %.
#[test]
fn a_tenant_has_its_limit_over_all_nodes() {
    let (redis, url) = (Redis::start(), shared().create_database());
    let redis_url = redis.url();
    let settings = [("REDIS__URL", redis_url.as_str()), ("QUOTAS__STORE", "redis")];
    // A machine that stands still for a moment is not what this is about.
    let settings = [&settings[..], &[("REDIS__RESPONSE_TIMEOUT", "5s")]].concat();
    let nodes = ["first", "second", "third"].map(|name| node_with(&url, name, &settings));
    let acme = Tenant::create(&nodes[0], "acme");
    let takes = json!({ "default_type": "e", "event_types": { "e": {} } });
    let digest = acme.activate(&nodes[0], &takes);
    wait_active_on(&nodes[0], &acme, &digest, 3);
    set_quota(&nodes[0], LIMIT);
    for node in &nodes {
        wait_until(node, || {
            let answer = acme.post(node, &json!({}));
            answer.header("ratelimit-policy").is_some_and(|policy| policy.contains(";q=2000;"))
        });
    }

    let sent = AtomicU64::new(0);
    let begin = Instant::now();
    let taken: u64 = std::thread::scope(|scope| {
        let (acme, nodes, sent) = (&acme, &nodes, &sent);
        let senders: Vec<_> = (0..SENDERS as usize)
            .map(|number| scope.spawn(move || send(&nodes[number % 3], acme, begin, sent)))
            .collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).sum()
    });
    let seconds = begin.elapsed().as_secs_f64();
    let sent = sent.into_inner();
    assert!(sent as f64 > 5.0 * LIMIT as f64 * seconds, "only {sent} were sent in {seconds} s");
    let due = BURST as f64 + LIMIT as f64 * seconds;
    let off = taken as f64 / due - 1.0;
    assert!(off.abs() <= 0.02, "{taken} were taken and {due:.0} are due: {:.2} %", off * 100.0);
}
