//! What credentials are good for: some types of events, one tenant.

use serde_json::{Value, json};
use tidegate_e2e::{assert_quiet, problem, receipts};
use tidegate_testkit::{Gateway, Tenant};

use crate::{make_key, start};

fn routes() -> Value {
    json!({
        "type_pointer": "/type",
        "event_types": { "orders": { "key": "/key" }, "refunds": { "tenant": "/tenant" } },
    })
}

fn with_scopes(gateway: &Gateway, tenant: &Tenant, scopes: &[&str]) -> Tenant {
    let made = make_key(gateway, tenant, &json!({ "name": "k", "scopes": scopes }));
    Tenant { id: tenant.id.clone(), key: made["key"].as_str().unwrap().to_owned() }
}

/// B2, D2: a key may be for some types of events: others are 403, in a batch each by itself.
#[test]
fn some_types_of_events() {
    let (gateway, tenant) = start();
    tenant.activate(&gateway, &routes());
    let orders = with_scopes(&gateway, &tenant, &["events:write:orders", "events:write:unknown"]);
    let (order, refund) =
        (json!({ "type": "orders" }), json!({ "type": "refunds", "tenant": "acme" }));
    assert_eq!(orders.post(&gateway, &order).status, 202);
    let told = problem(&orders.post(&gateway, &refund), 403, "forbidden");
    assert_eq!(told["event_status"], "rejected");
    assert_eq!(told["findings"][0]["code"], "scope", "{told}");
    let all = receipts(&orders.post_batch(&gateway, &[order.clone(), refund.clone(), order]));
    let statuses: Vec<_> = all.iter().map(|receipt| receipt["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["accepted", "rejected", "accepted"]);
    assert_eq!(all[1]["findings"][0]["code"], "scope");
    // A type that the tenant does not have is the event's fault, whatever the scopes.
    problem(&orders.post(&gateway, &json!({ "type": "unknown" })), 400, "event-rejected");
    let both = with_scopes(&gateway, &tenant, &["events:write:orders", "events:write:refunds"]);
    assert_eq!(both.post(&gateway, &refund).status, 202);
    let reader = with_scopes(&gateway, &tenant, &["events:read"]);
    problem(&reader.post(&gateway, &refund), 403, "forbidden");
    assert_quiet(&gateway);
}

/// A refused event leaves its key free: who may send it can.
#[test]
fn an_event_without_the_right_claims_nothing() {
    let (gateway, tenant) = start();
    tenant.activate(&gateway, &routes());
    let refunds = with_scopes(&gateway, &tenant, &["events:write:refunds"]);
    let order = json!({ "type": "orders", "key": "k" });
    problem(&refunds.post(&gateway, &order), 403, "forbidden");
    assert_eq!(tenant.post(&gateway, &order).json()["status"], "accepted");
    problem(&refunds.post(&gateway, &order), 403, "forbidden");
    assert_quiet(&gateway);
}

/// A2: an event that names another tenant is 403; one that names none is the event's fault.
#[test]
fn events_of_another_tenant() {
    let (gateway, tenant) = start();
    tenant.activate(&gateway, &routes());
    let event = |named: &Value| json!({ "type": "refunds", "tenant": named });
    assert_eq!(tenant.post(&gateway, &event(&json!("acme"))).status, 202);
    let told = problem(&tenant.post(&gateway, &event(&json!("other"))), 403, "forbidden");
    assert_eq!(told["findings"][0]["code"], "other-tenant", "{told}");
    problem(&tenant.post(&gateway, &json!({ "type": "refunds" })), 400, "event-rejected");
    problem(&tenant.post(&gateway, &event(&json!(7))), 400, "event-rejected");
    let batch = [event(&json!("other")), event(&json!("acme"))];
    let all = receipts(&tenant.post_batch(&gateway, &batch));
    assert_eq!((&all[0]["status"], &all[1]["status"]), (&json!("rejected"), &json!("accepted")));
    assert_quiet(&gateway);
}
