//! Idempotency: one event is stored once, whatever is sent again, when, by how many, and whatever
//! happens to the process in between.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail the test")]

mod concurrency;
mod restart;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_e2e::{assert_quiet, findings, problem, receipts, request, revision, statuses};
use tidegate_testkit::{Gateway, Response, Tenant};

/// Where a gateway keeps its keys.
#[derive(Clone, Copy)]
enum Store {
    InProcess,
    Redis,
}

/// Makes two tests of each function: one for each store.
macro_rules! on_each_store {
    ($($name:ident),+) => {
        mod in_process {
            $(#[test] fn $name() { super::$name(crate::Store::InProcess); })+
        }

        mod on_redis {
            $(#[test] fn $name() { super::$name(crate::Store::Redis); })+
        }
    };
}
pub(crate) use on_each_store;

on_each_store!(
    payloads,
    keys_of_events,
    header_keys,
    sources_have_keys_of_their_own,
    within_one_request,
    what_frees_a_key_and_what_settles_it,
    the_receipt_is_found_by_the_id_that_is_told_again,
    the_window_ends
);

fn start(store: Store, settings: &[(&str, &str)]) -> (Gateway, Tenant) {
    static PREFIXES: AtomicU64 = AtomicU64::new(0);
    let mut all = settings.to_vec();
    let (url, prefix);
    match store {
        Store::InProcess => {}
        Store::Redis => {
            url = tidegate_testkit::redis::shared().url();
            prefix = format!("test-{}:", PREFIXES.fetch_add(1, Ordering::Relaxed));
            all.push(("DEDUP__STORE", "redis"));
            all.push(("REDIS__URL", url.as_str()));
            all.push(("REDIS__PREFIX", prefix.as_str()));
        }
    }
    let gateway = Gateway::start_with(&all);
    let tenant = Tenant::create(&gateway, "acme");
    tenant.activate(&gateway, &revision::plain());
    (gateway, tenant)
}

/// One event with an `Idempotency-Key` header.
fn post_keyed(gateway: &Gateway, tenant: &Tenant, key: &str, event: &Value) -> Response {
    let headers = request::headers(tenant, "application/json", &[("idempotency-key", key)]);
    gateway.request("POST", "/v1/events", &headers, event.to_string().as_bytes())
}

fn status(response: &Response) -> (u16, String) {
    let body = response.json();
    let status =
        body["event_status"].as_str().or_else(|| body["status"].as_str()).unwrap_or_default();
    (response.status, status.to_owned())
}

fn expect(response: &Response, code: u16, word: &str) -> Value {
    assert_eq!(status(response), (code, word.to_owned()), "{}", response.text());
    response.json()
}

/// A4: the same payload is a duplicate however it is written, another payload is a conflict.
fn payloads(store: Store) {
    let (gateway, tenant) = start(store, &[]);
    let post =
        |body: &str| gateway.request("POST", "/v1/events", &tenant.headers(), body.as_bytes());
    let first =
        expect(&post(r#"{"key":"k","a":1.0,"b":{"x":"é","y":[1,2]},"c":"/"}"#), 202, "accepted");
    for same in [
        r#"{"key":"k","a":1.0,"b":{"x":"é","y":[1,2]},"c":"/"}"#,
        "{ \"b\" : {\"y\":[1 ,2],\n\"x\":\"\\u00e9\"}, \"\\u0063\":\"\\/\", \"a\":1.0, \"key\":\"\\u006b\" }",
    ] {
        let answer = post(same);
        let replay = expect(&answer, 202, "duplicate");
        assert_eq!(
            (&replay["event_id"], &replay["received_at"]),
            (&first["event_id"], &first["received_at"])
        );
        assert_eq!(answer.header("idempotency-replayed"), Some("true"));
    }
    for other in [
        r#"{"key":"k","a":1,"b":{"x":"é","y":[1,2]},"c":"/"}"#,
        r#"{"key":"k","a":1.0,"b":{"x":"é","y":[2,1]},"c":"/"}"#,
        r#"{"key":"k","a":1.0,"b":{"x":"e","y":[1,2]},"c":"/"}"#,
        r#"{"key":"k","a":1.0,"b":{"x":"é","y":[1,2]},"c":"/","d":null}"#,
        r#"{"key":"k"}"#,
    ] {
        problem(&post(other), 422, "key-conflict");
    }
    // A conflict changes nothing of what is settled.
    expect(&post(r#"{"key":"k","a":1.0,"b":{"x":"é","y":[1,2]},"c":"/"}"#), 202, "duplicate");
    assert_quiet(&gateway);
}

/// An event without a key is an event of its own each time; null is no key; a number is one.
fn keys_of_events(store: Store) {
    let (gateway, tenant) = start(store, &[]);
    for _ in 0..3 {
        expect(&tenant.post(&gateway, &json!({ "a": 1 })), 202, "accepted");
        expect(&tenant.post(&gateway, &json!({ "a": 1, "key": null })), 202, "accepted");
    }
    expect(&tenant.post(&gateway, &json!({ "key": 7, "a": 1 })), 202, "accepted");
    expect(&tenant.post(&gateway, &json!({ "key": "7", "a": 1 })), 202, "duplicate");
    let longest = "k".repeat(255);
    expect(&tenant.post(&gateway, &json!({ "key": longest })), 202, "accepted");
    expect(&tenant.post(&gateway, &json!({ "key": longest })), 202, "duplicate");
    expect(&tenant.post(&gateway, &json!({ "key": " k" })), 202, "accepted");
    expect(&tenant.post(&gateway, &json!({ "key": "k" })), 202, "accepted");
    expect(&tenant.post(&gateway, &json!({ "key": "K" })), 202, "accepted");
    assert_quiet(&gateway);
}

/// The header `Idempotency-Key`, quoted as a structured field or bare, is the key of an event that
/// has none, and must agree with that of one that has.
fn header_keys(store: Store) {
    let (gateway, tenant) = start(store, &[]);
    let event = json!({ "a": 1 });
    expect(&post_keyed(&gateway, &tenant, "abc", &event), 202, "accepted");
    expect(&post_keyed(&gateway, &tenant, "\"abc\"", &event), 202, "duplicate");
    expect(&post_keyed(&gateway, &tenant, "  abc ", &event), 202, "duplicate");
    expect(&post_keyed(&gateway, &tenant, "\"a\\\"b\\\\c\"", &event), 202, "accepted");
    expect(&tenant.post(&gateway, &json!({ "a": 1, "key": "a\"b\\c" })), 202, "duplicate");
    problem(&post_keyed(&gateway, &tenant, "abc", &json!({ "a": 2 })), 422, "key-conflict");
    expect(
        &post_keyed(&gateway, &tenant, "own", &json!({ "a": 1, "key": "own" })),
        202,
        "accepted",
    );
    let differs = problem(
        &post_keyed(&gateway, &tenant, "other", &json!({ "a": 1, "key": "own" })),
        400,
        "invalid-idempotency-key",
    );
    assert_eq!(differs["pointer"], "/key");
    // The key that was refused is as free as before.
    expect(&post_keyed(&gateway, &tenant, "other", &event), 202, "accepted");
    let long = "k".repeat(256);
    for key in ["", "\"\"", "\"abc", "\"a\"b\"", "\"a\\x\"", &long, "ключ"] {
        problem(&post_keyed(&gateway, &tenant, key, &event), 400, "invalid-idempotency-key");
    }
    let twice = request::headers(
        &tenant,
        "application/json",
        &[("idempotency-key", "x"), ("idempotency-key", "x")],
    );
    problem(&gateway.request("POST", "/v1/events", &twice, b"{}"), 400, "invalid-idempotency-key");
    let headers = request::headers(&tenant, "application/json", &[("idempotency-key", "x")]);
    let on_batch = gateway.request("POST", "/v1/events/batch", &headers, b"{\"events\":[{}]}");
    problem(&on_batch, 400, "invalid-idempotency-key");
    assert_quiet(&gateway);
}

/// Producers do not share keys where the revision says where their name is.
fn sources_have_keys_of_their_own(store: Store) {
    let (gateway, tenant) = start(store, &[]);
    tenant.activate(&gateway, &json!({
        "default_type": "event", "event_types": { "event": { "key": "/meta/id", "source": "/meta/from" } },
    }));
    let event =
        |from: Value, value: u32| json!({ "meta": { "id": "1", "from": from }, "v": value });
    expect(&tenant.post(&gateway, &event(json!("a"), 1)), 202, "accepted");
    expect(&tenant.post(&gateway, &event(json!("b"), 2)), 202, "accepted");
    expect(&tenant.post(&gateway, &event(Value::Null, 3)), 202, "accepted");
    expect(&tenant.post(&gateway, &event(json!("a"), 1)), 202, "duplicate");
    problem(&tenant.post(&gateway, &event(json!("a"), 2)), 422, "key-conflict");
    assert_quiet(&gateway);
}

/// Within a request a later row takes the outcome of the first with its key and payload; with
/// another payload it is in conflict, also where the first is rejected.
fn within_one_request(store: Store) {
    let (gateway, tenant) = start(store, &[]);
    tenant.activate(&gateway, &revision::audit());
    let good = revision::audit_event("good");
    let mut changed = good.clone();
    changed["more"] = json!(1);
    let bad = json!({ "key": "bad" });
    let answer = tenant.post_batch(
        &gateway,
        &[
            good.clone(),
            changed,
            good.clone(),
            bad.clone(),
            bad,
            json!({ "key": "bad", "more": 1 }),
            good,
        ],
    );
    assert_eq!(
        statuses(&answer),
        ["accepted", "conflict", "duplicate", "rejected", "rejected", "conflict", "duplicate"]
    );
    let answered = receipts(&answer);
    assert_eq!(answered[2]["event_id"], answered[0]["event_id"]);
    assert_ne!(answered[4]["event_id"], answered[3]["event_id"]);
    assert_eq!(findings(&answered[4]), findings(&answered[3]));
    assert_eq!(gateway.status()["wal"]["durable_lsn"], 1);
    assert_quiet(&gateway);
}

/// A rejected event frees its key, so that its sender can mend it; a quarantined one settles it,
/// and keeps its status and its id when the rules have changed since.
fn what_frees_a_key_and_what_settles_it(store: Store) {
    let (gateway, tenant) = start(store, &[]);
    tenant.activate(&gateway, &revision::audit());
    let mut event = revision::audit_event("k");
    event["actor"] = json!({});
    for _ in 0..2 {
        problem(&tenant.post(&gateway, &event), 400, "event-rejected");
    }
    let mended = revision::audit_event("k");
    expect(&tenant.post(&gateway, &mended), 202, "accepted");
    problem(&tenant.post(&gateway, &event), 422, "key-conflict");

    let mut soft = revision::audit_event("q");
    soft["timestamp"] = json!("soon");
    let held = expect(&tenant.post(&gateway, &soft), 202, "quarantined");
    problem(&tenant.post(&gateway, &revision::audit_event("q")), 422, "key-conflict");
    tenant.activate(&gateway, &revision::plain());
    let replay = expect(&tenant.post(&gateway, &soft), 202, "duplicate");
    assert_eq!(
        (&replay["first_status"], &replay["event_id"]),
        (&json!("quarantined"), &held["event_id"])
    );
    assert_quiet(&gateway);
}

/// The id of a replay is that of the receipt that can be read (D2).
fn the_receipt_is_found_by_the_id_that_is_told_again(store: Store) {
    let (gateway, tenant) = start(store, &[]);
    let event = json!({ "key": "k" });
    let first = expect(&tenant.post(&gateway, &event), 202, "accepted");
    let again = expect(&tenant.post(&gateway, &event), 202, "duplicate");
    assert_eq!(again["event_id"], first["event_id"]);
    let path = format!("/v1/events/{}", again["event_id"].as_str().unwrap());
    let found = gateway.request("GET", &path, &[("x-api-key", &tenant.key)], b"");
    assert_eq!(found.status, 200, "{}", found.text());
    let found = found.json();
    for name in ["event_id", "received_at", "status"] {
        assert_eq!(found[name], first[name], "{found}");
    }
    assert_quiet(&gateway);
}

/// After its window a key is free again.
fn the_window_ends(store: Store) {
    let (gateway, tenant) = start(
        store,
        &[("DEDUP__WINDOW", "2s"), ("DEDUP__LEASE", "1s"), ("INGRESS__REQUEST_TIMEOUT", "1s")],
    );
    let event = json!({ "key": "k" });
    let first = expect(&tenant.post(&gateway, &event), 202, "accepted");
    let begun = Instant::now();
    loop {
        let (code, word) = status(&tenant.post(&gateway, &event));
        assert_eq!(code, 202);
        if word == "accepted" {
            break;
        }
        assert_eq!(word, "duplicate");
        assert!(begun.elapsed() < Duration::from_secs(20), "the key is never free");
    }
    assert!(begun.elapsed() > Duration::from_secs(1), "the key was free at once");
    let last = expect(&tenant.post(&gateway, &event), 202, "duplicate");
    assert_ne!(last["event_id"], first["event_id"]);
    assert_quiet(&gateway);
}

/// A full store of keys answers 503 and forgets none of those it has.
#[test]
fn a_full_store() {
    let (gateway, tenant) = start(Store::InProcess, &[("DEDUP__MAX_KEYS", "1000")]);
    let events: Vec<_> = (0..1000).map(|n| json!({ "key": n })).collect();
    let (first, rest) = events.split_at(600);
    assert_eq!(statuses(&tenant.post_batch(&gateway, first)), vec!["accepted"; 600]);
    let too_many: Vec<_> = (0..500).map(|n| json!({ "key": format!("new-{n}") })).collect();
    let full = tenant.post_batch(&gateway, &too_many);
    problem(&full, 503, "dedup-full");
    assert!(full.header("retry-after").is_some());
    // The refused batch holds no key: there is room for all that there was room for.
    assert_eq!(statuses(&tenant.post_batch(&gateway, rest)), vec!["accepted"; 400]);
    problem(&tenant.post(&gateway, &json!({ "key": "one more" })), 503, "dedup-full");
    assert_eq!(statuses(&tenant.post_batch(&gateway, &events)), vec!["duplicate"; 1000]);
    expect(&tenant.post(&gateway, &json!({ "without": "key" })), 202, "accepted");
    assert_eq!(gateway.status()["wal"]["durable_lsn"], 1001);
}
