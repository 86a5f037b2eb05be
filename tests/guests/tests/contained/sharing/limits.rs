//! Limits change while the host runs; a host without room says so, and blames nobody.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tidegate_plugin_host::{EvaluateError, Limits, Plan};
use tidegate_types::revision::OnFault;

use crate::support::{
    admit, assert_contained, batch_of, events, fault, host, judge, limits, plan, tenant,
};

/// Rounds that take a guest well over 20 ms, and well under 5 s.
const BURN: u64 = 50_000_000;

fn budget(milliseconds: u64) -> Limits {
    let slice = Duration::from_millis(1);
    Limits { call_budget: Duration::from_millis(milliseconds), slice, ..limits() }
}

#[tokio::test]
async fn a_new_budget_holds_for_warm_stores() {
    let host = host(budget(5000));
    let plan = plan(&host, &json!({ "mode": "burn", "amount": BURN })).await;
    let poisoned = events(1, &[0]);
    for (milliseconds, fault) in [(5000, &[][..]), (1, &[0]), (5000, &[])] {
        host.set_limits(budget(milliseconds));
        assert_contained(
            "burn",
            &judge(&plan, &poisoned).await,
            fault,
            "more CPU time than it may",
        );
    }
}

#[tokio::test]
async fn new_bounds_of_output_hold_from_the_next_call() {
    let host = host(limits());
    let plan = plan(&host, &json!({})).await;
    assert_contained("before", &judge(&plan, &events(2, &[])).await, &[], "");
    host.set_limits(Limits { max_detail_bytes: 0, ..limits() });
    assert_contained(
        "after",
        &judge(&plan, &events(2, &[])).await,
        &[0, 1],
        "a detail has 1 bytes; at most 0",
    );
    host.set_limits(limits());
    assert_contained("again", &judge(&plan, &events(2, &[])).await, &[], "");
}

/// A component whose manifest depends on the memory that it gets is found out as soon as another
/// instance is started under other limits.
#[tokio::test]
async fn another_manifest_than_the_admitted_one_is_a_fault() {
    let host = host(limits());
    let plan = plan(&host, &json!({ "configure": "moody", "mode": "panic" })).await;
    assert_contained("warm", &judge(&plan, &events(2, &[])).await, &[], "");
    host.set_limits(Limits { memory_bytes: 4 << 20, ..limits() });
    // The panic ends the warm store.
    assert_contained("panic", &judge(&plan, &events(1, &[0])).await, &[0], "unreachable");
    assert_contained(
        "fresh",
        &judge(&plan, &events(2, &[])).await,
        &[0, 1],
        "another manifest than the one that was admitted",
    );
    host.set_limits(limits());
    assert_contained("again", &judge(&plan, &events(2, &[])).await, &[], "");
}

/// More rules than instances fit: idle stores make room for the rule that is needed.
#[tokio::test]
async fn idle_stores_make_room() {
    let host = host(Limits { max_instances: 3, ..limits() });
    let mut plans = Vec::new();
    for amount in 0..8 {
        plans.push(plan(&host, &json!({ "amount": amount })).await);
    }
    for _ in 0..3 {
        for plan in &plans {
            assert_contained("crowded", &judge(plan, &events(2, &[])).await, &[], "");
        }
    }
}

/// Calls that need room at the same moment all get it, as long as there are idle stores: none finds
/// that another has taken what would have made room.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn calls_that_need_room_at_once_all_get_it() {
    const CALLS: usize = 4;
    let host = host(Limits { max_instances: 2 * CALLS as u32, ..limits() });
    let mut plans = Vec::new();
    for amount in 0..6 * CALLS {
        plans.push(Arc::new(plan(&host, &json!({ "amount": amount })).await));
    }
    let callers = (0..CALLS).map(|caller| {
        let plans = plans.clone();
        tokio::spawn(async move {
            for round in 0..1000 {
                let plan = &plans[(caller * 7 + round * 5) % plans.len()];
                assert_contained("at once", &judge(plan, &events(1, &[])).await, &[], "");
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.expect("the host has room");
    }
}

/// More calls at once than instances fit: some are told that there is no room, no event is blamed.
#[tokio::test]
async fn a_host_without_room_blames_no_event() {
    let few = || Limits { max_instances: 2, breaker_faults: 1, ..budget(5000) };
    let host = host(few());
    let plan = plan(&host, &json!({ "mode": "burn", "amount": BURN / 5, "always": true })).await;
    let batch = batch_of(&tenant("acme"), &events(1, &[]));
    let call = || plan.evaluate(batch.clone());
    let answers: [_; 5] = tokio::join!(call(), call(), call(), call(), call()).into();
    let mut refused = 0;
    for answer in answers {
        match answer {
            Ok(judgements) => assert_contained("room", &judgements, &[], ""),
            Err(EvaluateError::Exhausted) => refused += 1,
            Err(EvaluateError::Failed | EvaluateError::TenantBusy { .. }) => {
                panic!("the rule can be run")
            }
        }
    }
    assert!((1..=4).contains(&refused), "{refused} of 5 found no room");
    assert_contained("afterwards", &judge(&plan, &events(1, &[])).await, &[], "");
}

/// A tenant's calls wait for each other where it may have one at a time; another tenant's do not.
#[tokio::test]
async fn a_tenants_calls_take_turns() {
    let host = host(Limits { max_calls_per_tenant: 1, max_instances: 2, ..budget(5000) });
    let config = json!({ "mode": "burn", "amount": BURN / 5, "always": true });
    let mut plans = Vec::new();
    for name in ["acme", "other"] {
        let rule = admit(&host, &tenant(name), "hostile", &config, OnFault::Quarantine)
            .await
            .expect("admitted");
        plans.push(Plan::new(vec![rule]).expect("a plan"));
    }
    let call = |at: usize| plans[at].evaluate(batch_of(&tenant("acme"), &events(1, &[])));
    let answers: [_; 5] = tokio::join!(call(0), call(0), call(0), call(1), call(1)).into();
    for answer in answers {
        assert_contained("turns", &answer.expect("room"), &[], "");
    }
}

/// A pattern that is dear to match is charged to the call that uses it: the poisoned batch ends
/// long before its rows are through, and a text that would hold up the host alone is not matched.
#[tokio::test]
async fn a_dear_pattern_is_charged_to_the_call() {
    let host = host(budget(20));
    let config = json!({ "mode": "match", "pattern": "(?:[ab]{1,100}){60}[^ab]", "always": true });
    let plan = plan(&host, &config).await;
    let (many, long) = (vec!["ab".repeat(600); 200], vec!["ab".repeat(1 << 18)]);
    for (texts, why) in [(many, "CPU time"), (long, "too long for the pattern")] {
        let event = |(at, text): (usize, &String)| json!({ "id": at, "text": text });
        let events: Vec<_> = texts.iter().enumerate().map(event).collect();
        let started = Instant::now();
        let judgements = judge(&plan, &events).await;
        println!("{} texts took {:?}", texts.len(), started.elapsed());
        // Matched to their ends, these texts take half a minute, and bisection asks again.
        assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
        let faults: Vec<_> = judgements.iter().filter_map(fault).collect();
        assert!(faults.iter().any(|(_, detail)| detail.contains(why)), "{faults:?}");
    }
}
