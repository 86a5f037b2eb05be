//! Who may send: API keys in all their states, and whose events a key's are.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_e2e::{assert_quiet, problem, revision};
use tidegate_testkit::Tenant;
use tidegate_types::UnixMillis;

use crate::{make_key, post_with, start, start_with};

/// D2: 401 for no key, an unknown one, or more than one.
#[test]
fn unknown_keys() {
    let (gateway, tenant) = start();
    tenant.activate(&gateway, &revision::plain());
    let (upper, longer, shorter) = (
        tenant.key.to_uppercase(),
        format!("{}x", tenant.key),
        &tenant.key[..tenant.key.len() - 1],
    );
    let (huge, bearer) = ("k".repeat(4000), format!("Bearer {}", tenant.key));
    for keys in [
        &[][..],
        &[""],
        &["x"],
        &[&upper],
        &[&longer],
        &[shorter],
        &[&huge],
        &[&bearer],
        &["ключ"],
        &[&tenant.key, &tenant.key],
        &[&tenant.key, "x"],
        &["' OR 1=1 --"],
    ] {
        let answer = post_with(&gateway, keys);
        problem(&answer, 401, "unauthenticated");
        assert!(answer.header("www-authenticate").is_some(), "{keys:?}");
        assert!(!answer.text().contains(&tenant.key), "an answer never repeats a key");
    }
    assert_eq!(post_with(&gateway, &[&tenant.key]).status, 202);
    assert!(!gateway.log().contains(&tenant.key), "the log never holds a key");
    assert_quiet(&gateway);
}

/// D2: 403 for a revoked key and for one that may not write, 401 for one that has expired.
#[test]
fn keys_that_are_known_and_not_good() {
    let (gateway, tenant) = start();
    tenant.activate(&gateway, &revision::plain());
    let reader =
        make_key(&gateway, &tenant, &json!({ "name": "reader", "scopes": ["events:read"] }));
    problem(&post_with(&gateway, &[reader["key"].as_str().unwrap()]), 403, "forbidden");

    let writer = make_key(&gateway, &tenant, &json!({ "name": "writer" }));
    let (key, id) = (writer["key"].as_str().unwrap(), writer["id"].as_str().unwrap());
    let mut connection = gateway.connect();
    let headers = [("x-api-key", key), ("content-type", "application/json")];
    assert_eq!(connection.request("POST", "/v1/events", &headers, b"{}").unwrap().status, 202);
    let path = format!("/v1/tenants/acme/keys/{id}");
    assert_eq!(gateway.admin("DELETE", &path, "application/json", b"").status, 200);
    // In force with the answer, also on connections that are open.
    problem(&connection.request("POST", "/v1/events", &headers, b"{}").unwrap(), 403, "forbidden");
    assert_eq!(post_with(&gateway, &[&tenant.key]).status, 202, "the other keys are as they were");

    let soon = UnixMillis(UnixMillis::now().0 + 2000).to_rfc3339();
    let brief = make_key(&gateway, &tenant, &json!({ "name": "brief", "expires_at": soon }));
    let key = brief["key"].as_str().unwrap();
    assert_eq!(post_with(&gateway, &[key]).status, 202);
    let begun = Instant::now();
    while post_with(&gateway, &[key]).status == 202 {
        assert!(begun.elapsed() < Duration::from_secs(10), "the key does not expire");
    }
    let expired = problem(&post_with(&gateway, &[key]), 401, "unauthenticated");
    assert!(expired["detail"].as_str().unwrap().contains("expired"), "{expired}");
    assert_quiet(&gateway);
}

/// D2: a key that is revoked or expires while a body arrives does not carry its events.
#[test]
fn keys_that_end_while_the_body_arrives() {
    let (gateway, tenant) = start();
    tenant.activate(&gateway, &revision::plain());
    let soon = UnixMillis(UnixMillis::now().0 + 2000).to_rfc3339();
    let brief = make_key(&gateway, &tenant, &json!({ "name": "brief", "expires_at": soon }));
    let revoked = make_key(&gateway, &tenant, &json!({ "name": "revoked" }));
    let text = |key: &Value, member: &str| key[member].as_str().unwrap().to_owned();
    let begin = |key: &str| {
        let mut connection = gateway.connect();
        let head = format!(
            "POST /v1/events HTTP/1.1\r\nhost: test\r\nx-api-key: {key}\r\ncontent-type: application/json\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n"
        );
        connection.send(head.as_bytes()).unwrap();
        // The gateway asks for bodies of those alone who may write.
        assert_eq!(connection.receive().unwrap().status, 100);
        connection
    };
    let mut waiting = begin(&text(&brief, "key"));
    let mut other = begin(&text(&revoked, "key"));
    let path = format!("/v1/tenants/acme/keys/{}", text(&revoked, "id"));
    assert_eq!(gateway.admin("DELETE", &path, "application/json", b"").status, 200);
    other.send(b"{}").unwrap();
    problem(&other.receive().unwrap(), 403, "forbidden");
    std::thread::sleep(Duration::from_millis(2100));
    waiting.send(b"{}").unwrap();
    problem(&waiting.receive().unwrap(), 401, "unauthenticated");
    assert_quiet(&gateway);
}

/// D2, D4: the tenant comes from the key alone: keys, ids and revisions of one tenant mean nothing
/// to another.
#[test]
fn tenants_do_not_meet() {
    let (gateway, acme) = start();
    let other = Tenant::create(&gateway, "other");
    problem(&acme.post(&gateway, &json!({})), 503, "no-revision");
    acme.activate(&gateway, &revision::plain());
    let unready = other.post(&gateway, &json!({}));
    problem(&unready, 503, "no-revision");
    assert!(unready.header("retry-after").is_some());
    other.activate(&gateway, &revision::audit());
    let first = acme.post(&gateway, &json!({ "key": "k", "v": 1 })).json();
    assert_eq!(first["status"], "accepted");
    // The same key with another payload is another event for another tenant.
    let answer = other.post(&gateway, &revision::audit_event("k"));
    assert_eq!((answer.status, &answer.json()["status"]), (202, &json!("accepted")));
    assert_ne!(answer.json()["event_id"], first["event_id"]);
    // Each is judged by its own revision.
    problem(&other.post(&gateway, &json!({ "key": "x" })), 400, "event-rejected");
    assert_eq!(acme.post(&gateway, &json!({ "key": "x" })).status, 202);
    assert_quiet(&gateway);
}

/// D2: when a key was used last is known, also after a restart; one that was not used has no time.
#[test]
fn the_last_use_of_a_key_is_noted() {
    let settings = [("KEYS__LAST_USED_INTERVAL", "100ms"), ("KEYS__ENVIRONMENT", "test")];
    let (mut gateway, tenant) = start_with(&settings);
    tenant.activate(&gateway, &revision::plain());
    assert!(tenant.key.starts_with("tg_test_"), "{}", tenant.key);
    let idle = make_key(&gateway, &tenant, &json!({ "name": "idle" }));
    let last_used = |gateway: &tidegate_testkit::Gateway, id: &str| {
        let answer = gateway.admin("GET", "/v1/tenants/acme/keys", "application/json", b"").json();
        let keys = answer["keys"].as_array().unwrap().clone();
        keys.iter().find(|key| key["id"] == id).unwrap()["last_used_at"].clone()
    };
    let id = tenant.key.split('_').nth(2).unwrap();
    assert_eq!(last_used(&gateway, id), Value::Null);
    let before = UnixMillis::now().to_rfc3339();
    assert_eq!(post_with(&gateway, &[&tenant.key]).status, 202);
    let after = UnixMillis::now().to_rfc3339();
    let begun = Instant::now();
    let noted = loop {
        if let Value::String(noted) = last_used(&gateway, id) {
            break noted;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "it is never noted");
    };
    assert!(before <= noted && noted <= after, "{before} {noted} {after}");
    assert_eq!(last_used(&gateway, idle["id"].as_str().unwrap()), Value::Null);
    gateway.kill();
    gateway.restart();
    assert_eq!(last_used(&gateway, id), noted);
    assert_quiet(&gateway);
}
