//! Keys that another system has made, of which the hash alone is known.

use serde_json::json;
use tidegate_e2e::{assert_quiet, problem, revision};
use tidegate_types::{Digest, UnixMillis};

use crate::{ask_for_key, make_key, post_with, start};

fn hash(key: &str) -> String {
    Digest::of(key.as_bytes()).hex()
}

/// D2: existing rows, known by hash alone, authenticate.
#[test]
fn keys_of_another_system_are_taken_over() {
    let (gateway, tenant) = start();
    tenant.activate(&gateway, &revision::plain());
    let key = "sk_Zm9v/old+key==";
    problem(&post_with(&gateway, &[key]), 401, "unauthenticated");
    let wanted = json!({
        "name": "old", "id": "7f0c6e1a-0000-4000-8000-000000000001", "key_hash": hash(key),
    });
    let made = make_key(&gateway, &tenant, &wanted);
    assert_eq!((&made["id"], made.get("key")), (&wanted["id"], None), "{made}");
    assert_eq!(post_with(&gateway, &[key]).status, 202);
    problem(&post_with(&gateway, &[&hash(key)]), 401, "unauthenticated");
    // The same again changes nothing; another with its id or hash is none.
    assert_eq!(make_key(&gateway, &tenant, &wanted)["created_at"], made["created_at"]);
    let taken = json!({ "name": "x", "id": wanted["id"], "key_hash": hash("another") });
    problem(&ask_for_key(&gateway, &tenant, &taken), 409, "exists");

    let dead = json!({ "name": "dead", "key_hash": hash("dead"), "is_active": false });
    make_key(&gateway, &tenant, &dead);
    problem(&post_with(&gateway, &["dead"]), 403, "forbidden");
    let past = UnixMillis(UnixMillis::now().0 - 1000).to_rfc3339();
    let over = json!({ "name": "over", "key_hash": hash("over"), "expires_at": past });
    make_key(&gateway, &tenant, &over);
    let told = problem(&post_with(&gateway, &["over"]), 401, "unauthenticated");
    assert!(told["detail"].as_str().unwrap().contains("expired"), "{told}");
    assert!(!gateway.log().contains(key), "the log never holds a key");
    assert_quiet(&gateway);
}

/// What was sent is told to be wrong, with what to send.
#[test]
fn requests_that_take_over_nothing() {
    let (gateway, tenant) = start();
    for (request, expected) in [
        (json!({ "name": "a", "key_hash": "abc" }), "key_hash"),
        (json!({ "name": "a", "key_hash": "g".repeat(64) }), "key_hash"),
        (json!({ "name": "a", "id": "b" }), "key_hash"),
        (json!({ "name": "a", "is_active": false }), "key_hash"),
        (json!({ "name": "a", "key_hash": hash("k"), "id": "a b" }), "id"),
        (json!({ "name": "a", "key_hash": hash("k"), "expires_at": "later" }), "expires_at"),
        (json!({ "name": "a", "scopes": ["events:delete"] }), "events:write:TYPE"),
        (json!({ "name": "a", "scopes": ["events:write:"] }), "events:write:TYPE"),
        (json!({ "name": "a", "scopes": ["events:write:a b"] }), "events:write:TYPE"),
        (json!({ "name": "a", "scopes": [] }), "1 to 64 scopes"),
    ] {
        let answer = ask_for_key(&gateway, &tenant, &request);
        let told = problem(&answer, 400, "invalid-request");
        assert!(told["detail"].as_str().unwrap().contains(expected), "{request}: {told}");
    }
    assert_quiet(&gateway);
}
