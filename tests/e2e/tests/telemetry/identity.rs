//! `received = accepted + duplicate + quarantined + rejected`: however requests end.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidegate_e2e::statuses;
use tidegate_testkit::{Gateway, Tenant};

use crate::start;

fn event(key: &str, more: &Value) -> Value {
    let mut event = json!({ "key": key, "name": "n", "age": 1 });
    for (name, value) in more.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

fn held(key: &str) -> Value {
    json!({ "key": key, "name": "n" })
}

fn bad(key: &str) -> Value {
    json!({ "key": key })
}

/// Every series of a metric, by its labels.
fn series(text: &str, name: &str) -> BTreeMap<String, u64> {
    let of = |line: &str| {
        let (labels, value) = line.strip_prefix(name)?.strip_prefix('{')?.split_once("} ")?;
        Some((labels.to_owned(), value.parse().unwrap()))
    };
    text.lines().filter_map(of).collect()
}

fn outcome(labels: &str) -> &str {
    labels.split("outcome=\"").nth(1).unwrap().split('"').next().unwrap()
}

/// The sums by outcome, and what was received.
fn check_identity(gateway: &Gateway) -> (BTreeMap<String, u64>, u64) {
    let text = gateway.scrape();
    let received =
        text.lines().find_map(|line| line.strip_prefix("tidegate_events_received_total "));
    let received: u64 = received.unwrap().parse().unwrap();
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for (labels, count) in series(&text, "tidegate_events_total") {
        *sums.entry(outcome(&labels).to_owned()).or_default() += count;
    }
    assert_eq!(
        sums.keys().collect::<Vec<_>>(),
        ["accepted", "duplicate", "quarantined", "rejected"]
    );
    assert_eq!(sums.values().sum::<u64>(), received, "{sums:?}");
    let mut of_tenants: BTreeMap<String, u64> = BTreeMap::new();
    for (labels, count) in series(&text, "tidegate_tenant_events_total") {
        *of_tenants.entry(outcome(&labels).to_owned()).or_default() += count;
    }
    assert_eq!(of_tenants, sums, "tenants together");
    (sums, received)
}

#[test]
fn what_is_received_has_one_outcome() {
    let (gateway, tenant) = start(&[]);
    let mut told: BTreeMap<String, u64> = BTreeMap::new();
    let mut note = |status: &str| *told.entry(status.to_owned()).or_default() += 1;
    for (event, status, receipt) in [
        (event("a", &json!({})), 202, "accepted"),
        (event("a", &json!({})), 202, "duplicate"),
        (event("a", &json!({ "age": 2 })), 422, "conflict"),
        (held("b"), 202, "quarantined"),
        (bad("c"), 400, "rejected"),
    ] {
        assert_eq!(tenant.post(&gateway, &event).status, status, "{event}");
        note(receipt);
    }
    let batch = [event("d", &json!({})), event("d", &json!({})), held("e"), bad("f"), json!(7)];
    for status in statuses(&tenant.post_batch(&gateway, &batch)) {
        note(&status);
    }
    // What is no JSON has no events that could be counted, and who is not known brings none.
    let headers = tenant.headers();
    assert_eq!(gateway.request("POST", "/v1/events", &headers, b"{").status, 400);
    let nobody = [("x-api-key", "tg_nobody"), ("content-type", "application/json")];
    assert_eq!(gateway.request("POST", "/v1/events", &nobody, b"{}").status, 401);
    let (sums, received) = check_identity(&gateway);
    assert_eq!(received, 10);
    let of =
        |statuses: &[&str]| statuses.iter().filter_map(|status| told.get(*status)).sum::<u64>();
    assert_eq!(sums["accepted"], of(&["accepted"]));
    assert_eq!(sums["duplicate"], of(&["duplicate"]));
    assert_eq!(sums["quarantined"], of(&["quarantined"]));
    assert_eq!(sums["rejected"], of(&["rejected", "conflict", "retry"]));
}

/// Requests that are answered with a problem as a whole: their events were read all the same.
#[test]
fn what_is_refused_as_a_whole_counts_as_rejected() {
    let (gateway, _) = start(&[("QUOTAS__TENANT_EVENTS", "5")]);
    let poor = Tenant::create(&gateway, "poor");
    poor.schema(&gateway, "t", &json!({ "type": "object" }));
    poor.activate(&gateway, &crate::revision());
    let batch: Vec<Value> = (0..8).map(|n| event(&format!("k{n}"), &json!({}))).collect();
    // The first five fit.
    assert_eq!(poor.post_batch(&gateway, &batch).status, 202);
    assert_eq!(poor.post(&gateway, &event("more", &json!({}))).status, 429);
    assert_eq!(poor.post_batch(&gateway, &batch).status, 429);
    let (sums, received) = check_identity(&gateway);
    assert_eq!((received, sums["accepted"], sums["rejected"]), (17, 5, 12));
    let refused = gateway.metric("tidegate_events_total{outcome=\"rejected\",status=\"refused\"}");
    assert_eq!(refused, 9.0);
}
