//! The admin API as administrators meet it: revisions that are refused and why, activation and
//! rollback, and the wall between tenants.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail the test")]

mod contracts;
mod documents;
mod explained;
mod running;
mod tenants;

use serde_json::{Value, json};
use tidegate_e2e::{assert_quiet, findings, problem, receipts, revision};
use tidegate_testkit::{Gateway, Response, Tenant};

const JSON: &str = "application/json";

fn start() -> (Gateway, Tenant) {
    let gateway = Gateway::start();
    let tenant = Tenant::create(&gateway, "acme");
    (gateway, tenant)
}

fn ok(response: &Response) -> Value {
    assert!(matches!(response.status, 200 | 201), "{} {}", response.status, response.text());
    response.json()
}

/// A revision that quarantines every event with a rule of this name.
fn named(rule: &str) -> Value {
    json!({
        "default_type": "event",
        "event_types": { "event": { "key": "/key" } },
        "rules": [{ "name": rule, "component": "required", "config": { "fields": [{ "pointer": "/never", "severity": "soft" }] } }],
    })
}

/// The rule that judged an event.
fn judged_by(tenant: &Tenant, gateway: &Gateway) -> String {
    let receipt = ok_event(&tenant.post(gateway, &json!({})));
    receipt["findings"][0]["rule"].as_str().unwrap_or_default().to_owned()
}

fn ok_event(response: &Response) -> Value {
    assert_eq!(response.status, 202, "{}", response.text());
    response.json()
}

/// P3: a revision decides from the answer to its activation on; rollback brings back the one
/// before, and history tells it all.
#[test]
fn activation_and_rollback() {
    let (gateway, tenant) = start();
    let first = tenant.activate(&gateway, &named("first"));
    assert_eq!(judged_by(&tenant, &gateway), "first");
    let second = tenant.activate(&gateway, &named("second"));
    assert_eq!(judged_by(&tenant, &gateway), "second");
    assert_ne!(first, second);
    // A document has one digest: posting it again makes no other revision.
    let again = tenant.revision(&gateway, &named("first"));
    assert_eq!((again.status, &again.json()["digest"]), (200, &json!(first)));

    let rolled = ok(&gateway.admin("POST", "/v1/tenants/acme/rollback", JSON, b""));
    assert_eq!((&rolled["digest"], &rolled["kind"]), (&json!(first), &json!("rollback")));
    assert_eq!(judged_by(&tenant, &gateway), "first");
    tenant.activate_digest(&gateway, &second);
    assert_eq!(judged_by(&tenant, &gateway), "second");
    let status = ok(&gateway.admin("GET", "/v1/tenants/acme/status", JSON, b""));
    assert_eq!(
        (&status["active"]["digest"], &status["rollback_to"]["digest"]),
        (&json!(second), &json!(first))
    );
    let history = ok(&gateway.admin("GET", "/v1/tenants/acme/activations", JSON, b""));
    let digests: Vec<_> = history["activations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["digest"].clone())
        .collect();
    assert_eq!(digests, [json!(second), json!(first), json!(second), json!(first)]);
    assert_quiet(&gateway);
}

/// The active revision is in force again after a restart, before the first request is answered.
#[test]
fn activations_outlive_the_process() {
    let (mut gateway, tenant) = start();
    tenant.activate(&gateway, &named("first"));
    tenant.activate(&gateway, &named("second"));
    gateway.kill();
    gateway.restart();
    assert_eq!(judged_by(&tenant, &gateway), "second");
    ok(&gateway.admin("POST", "/v1/tenants/acme/rollback", JSON, b""));
    gateway.kill();
    gateway.restart();
    assert_eq!(judged_by(&tenant, &gateway), "first");
    assert_quiet(&gateway);
}

/// Without a revision events are 503, with nothing before it there is no rollback, and what is
/// unknown cannot be activated.
#[test]
fn before_the_first_revision() {
    let (gateway, tenant) = start();
    let answer = tenant.post(&gateway, &json!({}));
    problem(&answer, 503, "no-revision");
    assert!(answer.header("retry-after").is_some());
    problem(&tenant.post_batch(&gateway, &[json!({})]), 503, "no-revision");
    problem(&gateway.admin("POST", "/v1/tenants/acme/rollback", JSON, b""), 400, "invalid-request");
    let unknown = format!("sha256:{}", "0".repeat(64));
    for which in ["7", "!", &unknown] {
        let path = format!("/v1/tenants/acme/revisions/{which}/activate");
        problem(&gateway.admin("POST", &path, JSON, b""), 404, "not-found");
    }
    // Storing is not activating.
    assert_eq!(tenant.revision(&gateway, &revision::plain()).status, 201);
    problem(&tenant.post(&gateway, &json!({})), 503, "no-revision");
    ok(&gateway.admin("POST", "/v1/tenants/acme/revisions/1/activate", JSON, b""));
    assert_eq!(tenant.post(&gateway, &json!({})).status, 202);
    problem(&gateway.admin("POST", "/v1/tenants/acme/rollback", JSON, b""), 400, "invalid-request");
    assert_eq!(tenant.post(&gateway, &json!({})).status, 202);
    assert_quiet(&gateway);
}

/// P3: while revisions change, every event of a batch is judged by the same one, and none is lost.
#[test]
fn no_batch_mixes_revisions() {
    let (gateway, tenant) = start();
    let digests =
        [tenant.activate(&gateway, &named("first")), tenant.activate(&gateway, &named("second"))];
    let stop = std::sync::atomic::AtomicBool::new(false);
    let (mut seen, mut sent) = (std::collections::BTreeMap::<String, usize>::new(), 0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut turn = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                tenant.activate_digest(&gateway, &digests[turn % 2]);
                turn += 1;
            }
        });
        let mut connection = gateway.connect();
        let events: Vec<_> = (0..100).map(|n| json!({ "n": n })).collect();
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            while seen.len() < 2 || sent < 100 {
                let answered = receipts(&tenant.post_batch_on(&mut connection, &events).unwrap());
                let mut rules: Vec<_> = answered
                    .iter()
                    .map(|receipt| receipt["findings"][0]["rule"].as_str().unwrap().to_owned())
                    .collect();
                assert_eq!(rules.len(), 100);
                rules.dedup();
                assert_eq!(rules.len(), 1, "one batch, several revisions: {rules:?}");
                *seen.entry(rules.remove(0)).or_default() += 1;
                sent += 1;
                assert!(sent < 100_000, "the revisions do not change: {seen:?}");
            }
        }));
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        if let Err(panic) = result {
            std::panic::resume_unwind(panic);
        }
    });
    assert_eq!(gateway.status()["wal"]["durable_lsn"], sent * 100);
    assert_quiet(&gateway);
}

/// A reference table belongs to the revision that was made with it: a new generation decides
/// nothing until a revision names it.
#[test]
fn tables_are_pinned() {
    let (gateway, tenant) = start();
    tenant.table(&gateway, "planes", "tailnum,model\nN1,A320\n");
    let document = json!({
        "default_type": "flight", "event_types": { "flight": {} }, "tables": { "planes": "latest" },
        "rules": [{ "name": "refs", "component": "expectations", "config": { "expectations": [
            { "name": "known", "field": "/tailnum", "expect": { "in_table": "planes" }, "nulls": "fail" },
        ] } }],
    });
    let first = tenant.activate(&gateway, &document);
    let told = |tailnum: Value| {
        let receipt = ok_event(&tenant.post(&gateway, &json!({ "tailnum": tailnum })));
        (receipt["status"].as_str().unwrap().to_owned(), findings(&receipt).len())
    };
    assert_eq!(told(json!("N1")), ("accepted".to_owned(), 0));
    assert_eq!(told(json!("N2")), ("quarantined".to_owned(), 1));
    assert_eq!(told(Value::Null), ("quarantined".to_owned(), 1));
    tenant.table(&gateway, "planes", "tailnum,model\nN2,B737\n");
    assert_eq!(told(json!("N1")), ("accepted".to_owned(), 0));
    let second = tenant.activate(&gateway, &document);
    assert_ne!(first, second, "another generation is another revision");
    assert_eq!(told(json!("N1")), ("quarantined".to_owned(), 1));
    assert_eq!(told(json!("N2")), ("accepted".to_owned(), 0));
    ok(&gateway.admin("POST", "/v1/tenants/acme/rollback", JSON, b""));
    assert_eq!(told(json!("N1")), ("accepted".to_owned(), 0));
    assert_quiet(&gateway);
}
