//! Receipts read later: `GET /v1/events/{event_id}`.

use serde_json::{Value, json};
use tidegate_e2e::{assert_quiet, problem, revision};
use tidegate_testkit::{Gateway, Response, Tenant};

use crate::{make_key, start};

fn read(gateway: &Gateway, key: &str, id: &str) -> Response {
    gateway.request("GET", &format!("/v1/events/{id}"), &[("x-api-key", key)], b"")
}

fn id_of(receipt: &Value) -> String {
    receipt["event_id"].as_str().unwrap().to_owned()
}

/// D2: `events:read` reads the receipts of its own tenant, with their findings, also after they went from
/// the log into files and after a restart.
#[test]
fn receipts_are_read_by_their_tenant_alone() {
    let (mut gateway, tenant) = start();
    tenant.activate(&gateway, &revision::audit());
    let other = Tenant::create(&gateway, "other");
    let accepted = tenant.post(&gateway, &revision::audit_event("a")).json();
    let mut late = revision::audit_event("b");
    late["timestamp"] = json!("yesterday");
    let held = tenant.post(&gateway, &late).json();
    assert_eq!(held["status"], "quarantined");
    let rejected = problem(&tenant.post(&gateway, &json!({ "key": "c" })), 400, "event-rejected");
    let check = |gateway: &Gateway| {
        for receipt in [&accepted, &held] {
            let answer = read(gateway, &tenant.key, &id_of(receipt));
            assert_eq!(answer.status, 200, "{}", answer.text());
            let found = answer.json();
            for (name, value) in receipt.as_object().unwrap() {
                assert_eq!(&found[name], value, "{found}");
            }
            assert_eq!(found["event_type"], "audit");
            problem(&read(gateway, &other.key, &id_of(receipt)), 404, "not-found");
        }
        problem(&read(gateway, &tenant.key, &id_of(&rejected)), 404, "not-found");
    };
    check(&gateway);
    assert!(gateway.terminate());
    gateway.restart();
    check(&gateway);
    assert_quiet(&gateway);
}

/// Who may not read is told so before anything is looked for.
#[test]
fn who_may_not_read() {
    let (gateway, tenant) = start();
    tenant.activate(&gateway, &revision::plain());
    let id = id_of(&tenant.post(&gateway, &json!({})).json());
    let writer = make_key(&gateway, &tenant, &json!({ "name": "writer" }));
    let told = problem(&read(&gateway, writer["key"].as_str().unwrap(), &id), 403, "forbidden");
    assert!(told["detail"].as_str().unwrap().contains("events:read"), "{told}");
    problem(&read(&gateway, "nobody", &id), 401, "unauthenticated");
    for wrong in ["x", "0", "00000000-0000-0000-0000-000000000000", &format!("{id}0")] {
        problem(&read(&gateway, &tenant.key, wrong), 404, "not-found");
    }
    let path = format!("/v1/events/{id}");
    let answer = gateway.request("DELETE", &path, &[("x-api-key", &tenant.key)], b"");
    problem(&answer, 405, "method-not-allowed");
    assert_eq!(answer.header("allow"), Some("GET, HEAD"));
    assert_quiet(&gateway);
}
