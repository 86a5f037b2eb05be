//! Warm instances share one budget of memory: those used least recently go first, and those that
//! nobody uses go by themselves.

use std::time::Duration;

use serde_json::json;
use tidegate_plugin_host::{Clock, Limits, Plan, PluginHost};

use crate::support::{assert_contained, events, host_by, judge, limits, plan};

async fn plans(host: &PluginHost, count: usize) -> Vec<Plan> {
    let mut plans = Vec::new();
    for amount in 0..count {
        plans.push(plan(host, &json!({ "amount": amount })).await);
    }
    plans
}

async fn call(plan: &Plan) {
    assert_contained("warm", &judge(plan, &events(2, &[])).await, &[], "");
}

/// Instances that were started, by what their memory comes to: a start of one more is seen.
async fn is_warm(host: &PluginHost, plan: &Plan) -> bool {
    let before = host.memory_bytes();
    call(plan).await;
    host.memory_bytes() == before
}

#[tokio::test]
async fn the_least_recently_used_go_first() {
    let clock = Clock::manual();
    let host = host_by(limits(), clock.clone());
    let plans = plans(&host, 6).await;
    let each = host.memory_bytes() / 6;
    assert!(each > 128 << 10, "the memory of an instance is counted: {each}");
    for at in [3, 1, 5, 0, 4, 2] {
        clock.advance(Duration::from_secs(1));
        call(&plans[at]).await;
    }
    // Room for three and a half, and a tenth less once it was exceeded.
    host.set_limits(Limits { warm_memory_bytes: each * 7 / 2, ..limits() });
    assert_eq!(host.memory_bytes(), 3 * each);
    for at in [0, 4, 2] {
        assert!(is_warm(&host, &plans[at]).await, "{at} was used lately");
    }
    for at in [3, 1, 5] {
        clock.advance(Duration::from_secs(1));
        call(&plans[at]).await;
        assert!(host.memory_bytes() <= each * 7 / 2, "{at} took the place of another");
    }
}

/// An instance whose memory grows counts with what it has grown to.
#[tokio::test]
async fn memory_that_grows_is_counted() {
    let host = host_by(limits(), Clock::System);
    let plan = plan(&host, &json!({ "mode": "log-flood", "amount": 1 })).await;
    let before = host.memory_bytes();
    let event = json!({ "id": 0, "text": "x".repeat(900_000), "poison": false, "json": "y".repeat(900_000) });
    judge(&plan, &vec![event; 1]).await;
    call(&plan).await;
    assert!(host.memory_bytes() >= before);
    drop(plan);
    assert_eq!(host.memory_bytes(), 0, "an instance gives back what it held");
}

/// P2: idle instances go after five minutes, a rule's last after fifteen.
#[tokio::test]
async fn idle_instances_go_by_themselves() {
    let clock = Clock::manual();
    let host = host_by(limits(), clock.clone());
    let plans = plans(&host, 2).await;
    let each = host.memory_bytes() / 2;
    // Two calls at once make a second instance.
    let burn = plan(&host, &json!({ "mode": "burn", "amount": 10_000_000 })).await;
    let poisoned = events(1, &[0]);
    tokio::join!(judge(&burn, &poisoned), judge(&burn, &poisoned));
    assert_eq!((host.sweep(), host.memory_bytes()), (0, 4 * each));
    clock.advance(Duration::from_secs(299));
    assert_eq!(host.sweep(), 0);
    clock.advance(Duration::from_secs(1));
    assert_eq!((host.sweep(), host.memory_bytes()), (1, 3 * each), "the last ones stay");
    call(&plans[0]).await;
    clock.advance(Duration::from_secs(600));
    assert_eq!((host.sweep(), host.memory_bytes()), (2, each), "but not for ever");
    assert!(is_warm(&host, &plans[0]).await);
}
