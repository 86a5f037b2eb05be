//! A tenant whose rules take long waits for itself, and its limits can be changed while it runs.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_plugin_host::{
    CallLimits, Clock, EvaluateError, Limits, Plan, PluginHost, TenantLimits,
};
use tidegate_types::Digest;
use tidegate_types::revision::OnFault;

use crate::support::{
    admit, assert_contained, batch_of, events, fault, host_by, judge, limits, plan, tenant,
};

/// Rounds that take a guest well over 50 ms, also where the thread that looks at the time comes late.
const BURN: u64 = 150_000_000;

fn patient() -> Limits {
    Limits { call_budget: Duration::from_secs(10), ..limits() }
}

fn burning() -> Value {
    json!({ "mode": "burn", "amount": BURN })
}

async fn plan_of(host: &PluginHost, name: &str) -> Plan {
    let rule = admit(host, &tenant(name), "hostile", &burning(), OnFault::Quarantine).await;
    Plan::new(vec![rule.expect("admitted")]).expect("a plan")
}

async fn retry_after(plan: &Plan) -> Option<u64> {
    match plan.evaluate(batch_of(&tenant("acme"), &events(1, &[]))).await {
        Ok(_) => None,
        Err(EvaluateError::TenantBusy { retry_after_ms }) => Some(retry_after_ms),
        Err(other) => panic!("{other}"),
    }
}

/// P5: who has used up its share is told when to come again, at once, and is served then. Other
/// tenants are served meanwhile.
#[tokio::test]
async fn a_tenant_in_debt_waits_for_itself() {
    let clock = Clock::manual();
    let share = |tenant_cpu_share| Limits {
        tenant_cpu_share,
        tenant_cpu_burst: Duration::from_millis(10),
        ..patient()
    };
    let host = host_by(share(Duration::from_millis(1)), clock.clone());
    let (slow, other) = (plan_of(&host, "slow").await, plan_of(&host, "other").await);
    clock.advance(Duration::from_secs(3600));
    assert_contained("on credit", &judge(&slow, &events(1, &[0])).await, &[], "");
    let wait = retry_after(&slow).await.expect("20 ms of CPU time and more are owed");
    assert!((10_000..3_600_000).contains(&wait), "at 1 ms in a second: {wait} ms");
    assert_eq!(retry_after(&other).await, None);
    clock.advance(Duration::from_millis(wait / 2));
    assert!(retry_after(&slow).await.is_some_and(|rest| rest <= wait / 2 + 2));
    clock.advance(Duration::from_millis(wait / 2 + 2));
    assert_eq!(retry_after(&slow).await, None);
}

/// Short calls, of which few are timed, are charged as well.
#[tokio::test]
async fn many_short_calls_are_charged() {
    let clock = Clock::manual();
    let host = host_by(
        Limits {
            tenant_cpu_share: Duration::from_millis(1),
            tenant_cpu_burst: Duration::from_millis(10),
            ..patient()
        },
        clock.clone(),
    );
    let plan = plan(&host, &json!({})).await;
    clock.advance(Duration::from_secs(3600));
    let batch = std::sync::Arc::new(batch_of(&tenant("acme"), &events(100, &[])));
    let mut calls = 0;
    // A call takes some ten microseconds, so 10 ms are used up after a thousand of them.
    while plan.evaluate(std::sync::Arc::clone(&batch)).await.is_ok() {
        calls += 1;
        assert!(calls < 100_000, "none of {calls} calls was charged");
    }
    assert!(calls > 10, "{calls}");
}

/// As many calls as may wait do; the next is told to come later, without waiting.
#[tokio::test]
async fn calls_that_wait_are_bounded() {
    let host = host_by(
        Limits { max_calls_per_tenant: 1, max_waiting_per_tenant: 2, ..patient() },
        Clock::System,
    );
    let slow = plan_of(&host, "slow").await;
    let batch = batch_of(&tenant("slow"), &events(1, &[0]));
    let call = || slow.evaluate(batch.clone());
    let answers: [_; 5] = tokio::join!(call(), call(), call(), call(), call()).into();
    let busy = |answer: &&Result<_, EvaluateError>| {
        matches!(answer, Err(EvaluateError::TenantBusy { retry_after_ms: 1000 }))
    };
    assert_eq!(answers.iter().filter(busy).count(), 2);
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 3);
}

/// Limits of a tenant, and of one of its components, hold from the next call on, for warm stores
/// as well, and for nobody else.
#[tokio::test]
async fn limits_change_while_rules_run() {
    let host = host_by(patient(), Clock::System);
    let (acme, other) = (plan_of(&host, "acme").await, plan_of(&host, "other").await);
    let poisoned = events(1, &[0]);
    let component = Digest::of(tidegate_guests::HOSTILE);
    let short = || CallLimits { call_budget_ms: Some(1), ..CallLimits::default() };
    let tenants = |calls| TenantLimits { calls, ..TenantLimits::default() };
    let faults =
        async |plan: &Plan| judge(plan, &poisoned).await.iter().any(|j| fault(j).is_some());
    assert!(!faults(&acme).await);
    host.set_tenant_limits(&tenant("acme"), tenants(short()));
    assert!(faults(&acme).await && !faults(&other).await);
    let long = CallLimits { call_budget_ms: Some(10_000), ..CallLimits::default() };
    host.set_plugin_limits(&tenant("acme"), component, long);
    assert!(!faults(&acme).await, "a component's limits go before the tenant's");
    host.set_plugin_limits(&tenant("acme"), component, CallLimits::default());
    assert!(faults(&acme).await);
    host.set_tenant_limits(&tenant("acme"), TenantLimits::default());
    assert!(!faults(&acme).await);
    host.set_plugin_limits(&tenant("acme"), Digest::of(b"another component"), short());
    assert!(!faults(&acme).await);
    // The host's own limits change under a tenant's.
    host.set_tenant_limits(
        &tenant("other"),
        tenants(CallLimits { call_budget_ms: Some(10_000), ..CallLimits::default() }),
    );
    host.set_limits(Limits { call_budget: Duration::from_millis(1), ..patient() });
    assert!(faults(&acme).await && !faults(&other).await);
}

/// How many of a tenant's calls run at once can be changed while calls wait.
#[tokio::test]
async fn turns_can_be_added_while_calls_wait() {
    let host = host_by(
        Limits { max_calls_per_tenant: 1, max_waiting_per_tenant: 2, ..patient() },
        Clock::System,
    );
    let slow = plan_of(&host, "slow").await;
    let batch = batch_of(&tenant("slow"), &events(1, &[0]));
    let more = TenantLimits { max_calls: Some(3), ..TenantLimits::default() };
    let call = || slow.evaluate(batch.clone());
    let change = async { host.set_tenant_limits(&tenant("slow"), more) };
    let (first, second, (), third, fourth) = tokio::join!(call(), call(), change, call(), call());
    for answer in [first, second, third, fourth] {
        assert_contained("more turns", &answer.expect("room"), &[], "");
    }
}

/// A rule that is known to take long leaves the thread that asks to others, even where its slices have
/// no end: whether it takes long itself, or ends in a fault after it had the host do much.
#[tokio::test]
async fn slow_rules_leave_the_workers_to_others() {
    let bomb = json!({ "mode": "lookup-bomb", "amount": 1000, "table": "table" });
    for config in [burning(), bomb] {
        let host = host_by(patient(), Clock::System);
        let rule = admit(&host, &tenant("slow"), "hostile", &config, OnFault::Quarantine).await;
        let slow = Plan::new(vec![rule.expect("admitted")]).expect("a plan");
        let poisoned = events(1, &[0]);
        for _ in 0..2 {
            judge(&slow, &poisoned).await;
        }
        host.set_limits(Limits { slice: Duration::from_secs(5), ..patient() });
        let (mut turns, mut call) = (0u64, std::pin::pin!(judge(&slow, &poisoned)));
        loop {
            tokio::select! {
                biased;
                _ = &mut call => break,
                () = tokio::task::yield_now() => turns += 1,
            }
        }
        assert!(turns > 20, "{config}: this thread was free {turns} times");
    }
}
