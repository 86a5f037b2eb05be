//! Keys on nodes that share a catalog.

use std::time::{Duration, Instant};

use serde_json::json;
use tidegate_testkit::postgres::shared;
use tidegate_testkit::{Gateway, Tenant};

use super::{node, node_with, wait_until};

/// A revoked key is refused everywhere within this.
const TOLD: Duration = Duration::from_secs(2);
/// Where no node can tell the others.
const UNTOLD: Duration = Duration::from_secs(10);

fn post(node: &Gateway, key: &str) -> u16 {
    let headers = [("x-api-key", key), ("content-type", "application/json")];
    node.request("POST", "/v1/events", &headers, b"{}").status
}

/// D2: a revocation reaches nodes that are told within two seconds, and those that have to look for it
/// within ten; other keys go on, and a new key works at once beside an old one.
#[test]
fn a_revoked_key_is_refused_on_every_node() {
    let url = shared().create_database();
    let (first, second) = (node(&url, "first"), node(&url, "second"));
    let acme = Tenant::create(&first, "acme");
    acme.activate(&first, &json!({ "default_type": "e", "event_types": { "e": {} } }));
    wait_until(&second, || post(&second, &acme.key) == 202);
    let path = "/v1/tenants/acme/keys";
    let made = first.admin("POST", path, "application/json", br#"{"name":"new"}"#).json();
    let new = made["key"].as_str().unwrap();
    wait_until(&second, || post(&second, new) == 202);
    assert_eq!(post(&second, &acme.key), 202, "both keys live while one takes over");

    let old = acme.key.split('_').nth(2).unwrap();
    let revoked = Instant::now();
    assert_eq!(
        first.admin("DELETE", &format!("{path}/{old}"), "application/json", b"").status,
        200
    );
    assert_eq!(post(&first, &acme.key), 403, "at once where it was revoked");
    wait_until(&second, || post(&second, &acme.key) == 403);
    assert!(revoked.elapsed() < TOLD, "{:?}", revoked.elapsed());
    assert_eq!(post(&second, new), 202);

    // Another program revokes it in the database.
    let id = made["id"].as_str().unwrap();
    let revoked = Instant::now();
    let revoke = format!("UPDATE api_keys SET is_active = 0 WHERE id = '{id}'");
    assert_eq!(shared().sql(&url, &revoke), "");
    for node in [&first, &second] {
        wait_until(node, || post(node, new) == 403);
    }
    assert!(revoked.elapsed() < TOLD, "{:?}", revoked.elapsed());
}

/// D2: without a notification the default of looking finds it.
#[test]
fn a_revocation_that_nobody_told_is_found() {
    let url = shared().create_database();
    let first = node_with(&url, "first", &[("CATALOG__POLL_INTERVAL", "5s")]);
    let acme = Tenant::create(&first, "acme");
    acme.activate(&first, &json!({ "default_type": "e", "event_types": { "e": {} } }));
    assert_eq!(post(&first, &acme.key), 202);
    let silence = "ALTER TABLE api_keys DISABLE TRIGGER api_keys_are_in_force";
    assert_eq!(shared().sql(&url, silence), "");
    let revoked = Instant::now();
    let revoke =
        "UPDATE api_keys SET is_active = 0; UPDATE desired_state SET version = version + 1";
    assert_eq!(shared().sql(&url, revoke), "");
    wait_until(&first, || post(&first, &acme.key) == 403);
    assert!(revoked.elapsed() < UNTOLD, "{:?}", revoked.elapsed());
}
