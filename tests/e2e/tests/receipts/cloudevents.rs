//! CloudEvents 1.0.2 in its three modes. That two ways of sending one event mean the same event is
//! seen by its key: the second is a duplicate, not a conflict, where their canonical forms agree.

use serde_json::{Value, json};
use tidegate_e2e::{assert_quiet, findings, problem, receipts, request};
use tidegate_testkit::{Gateway, Response, Tenant};

use crate::start;

const STRUCTURED: &str = "application/cloudevents+json";
const BATCHED: &str = "application/cloudevents-batch+json";

fn begin() -> (Gateway, Tenant) {
    let (gateway, tenant) = start();
    tenant.activate(
        &gateway,
        &json!({ "event_types": { "com.example.someevent": {}, "com.example.other": {} } }),
    );
    (gateway, tenant)
}

fn send(
    gateway: &Gateway,
    tenant: &Tenant,
    content_type: &str,
    more: &[(&str, &str)],
    body: &[u8],
) -> Response {
    gateway.request("POST", "/v1/events", &request::headers(tenant, content_type, more), body)
}

fn structured(gateway: &Gateway, tenant: &Tenant, event: &Value) -> Response {
    send(gateway, tenant, STRUCTURED, &[], event.to_string().as_bytes())
}

fn event(id: &str) -> Value {
    json!({ "specversion": "1.0", "type": "com.example.someevent", "source": "/mycontext", "id": id })
}

fn with(mut event: Value, members: Value) -> Value {
    for (name, value) in members.as_object().unwrap() {
        event[name] = value.clone();
    }
    event
}

/// The headers of the same event in binary mode.
fn binary<'a>(id: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut headers = vec![
        ("ce-specversion", "1.0"),
        ("ce-type", "com.example.someevent"),
        ("ce-source", "/mycontext"),
        ("ce-id", id),
    ];
    headers.extend_from_slice(more);
    headers
}

/// An event is the same in structured and in binary mode; data stays as it came, binary data
/// becomes `data_base64`, and attributes in headers are percent-encoded.
#[test]
fn modes_agree() {
    let (gateway, tenant) = begin();
    let text =
        |content_type: &str, data: &str| json!({ "datacontenttype": content_type, "data": data });
    for (id, content_type, attributes, body, members) in [
        (
            "A-1",
            "application/json",
            vec![],
            &br#"{"appinfoA":"abc","appinfoB":123}"#[..],
            json!({ "datacontenttype": "application/json", "data": { "appinfoA": "abc", "appinfoB": 123 } }),
        ),
        (
            "A-2",
            "application/json",
            vec![],
            b" [ 1, null ] ",
            json!({ "datacontenttype": "application/json", "data": [1, null] }),
        ),
        (
            "A-3",
            "application/vnd.x+json",
            vec![],
            b"\"text\"",
            json!({ "datacontenttype": "application/vnd.x+json", "data": "text" }),
        ),
        (
            "A-4",
            "text/plain; charset=utf-8",
            vec![],
            "a \"quoted\" € text\n".as_bytes(),
            text("text/plain; charset=utf-8", "a \"quoted\" € text\n"),
        ),
        (
            "A-5",
            "application/octet-stream",
            vec![],
            b"\0\x01\xff",
            json!({ "datacontenttype": "application/octet-stream", "data_base64": "AAH/" }),
        ),
        (
            "A-6",
            "application/json",
            vec![("ce-subject", "Euro%20%E2%82%AC%20%F0%9F%98%80")],
            b"1",
            json!({ "datacontenttype": "application/json", "data": 1, "subject": "Euro € 😀" }),
        ),
        (
            "A-7",
            "application/json",
            vec![("ce-time", "2018-04-05T17:31:00Z"), ("ce-comexampleextension1", "value")],
            b"true",
            json!({ "datacontenttype": "application/json", "data": true, "time": "2018-04-05T17:31:00Z", "comexampleextension1": "value" }),
        ),
        ("A-8", "application/json", vec![], b"", json!({ "datacontenttype": "application/json" })),
    ] {
        let answer = send(&gateway, &tenant, content_type, &binary(id, &attributes), body);
        assert_eq!(answer.status, 202, "{id}: {}", answer.text());
        let again = structured(&gateway, &tenant, &with(event(id), members));
        assert_eq!(
            (again.status, &again.json()["status"]),
            (202, &json!("duplicate")),
            "{id}: {}",
            again.text()
        );
        assert_eq!(again.json()["event_id"], answer.json()["event_id"], "{id}");
    }
    assert_quiet(&gateway);
}

/// `source` and `id` together name an event.
#[test]
fn identity() {
    let (gateway, tenant) = begin();
    let status = |event: &Value| {
        let answer = structured(&gateway, &tenant, event);
        (answer.status, answer.json()["status"].clone())
    };
    assert_eq!(status(&event("1")), (202, json!("accepted")));
    assert_eq!(status(&event("1")), (202, json!("duplicate")));
    assert_eq!(status(&with(event("1"), json!({ "source": "/other" }))), (202, json!("accepted")));
    assert_eq!(structured(&gateway, &tenant, &with(event("1"), json!({ "data": 1 }))).status, 422);
    assert_eq!(status(&event("2")), (202, json!("accepted")));
    // The header may say the key again, and not another.
    let body = event("3").to_string();
    let answer = send(&gateway, &tenant, STRUCTURED, &[("idempotency-key", "3")], body.as_bytes());
    assert_eq!(answer.status, 202, "{}", answer.text());
    let answer = send(&gateway, &tenant, STRUCTURED, &[("idempotency-key", "4")], body.as_bytes());
    assert_eq!(problem(&answer, 400, "invalid-idempotency-key")["pointer"], "/id");
    assert_quiet(&gateway);
}

/// Batched mode: an array, one receipt each, and a wrong event costs itself alone.
#[test]
fn batches() {
    let (gateway, tenant) = begin();
    let events = json!([event("1"), { "specversion": "1.0" }, event("1"), with(event("2"), json!({ "type": "com.example.other" })), 7]);
    for path in ["/v1/events", "/v1/events/batch"] {
        let headers = request::headers(&tenant, BATCHED, &[]);
        let answered =
            receipts(&gateway.request("POST", path, &headers, events.to_string().as_bytes()));
        let statuses: Vec<_> =
            answered.iter().map(|receipt| receipt["status"].as_str().unwrap()).collect();
        let first = if path == "/v1/events" { "accepted" } else { "duplicate" };
        assert_eq!(statuses, [first, "rejected", "duplicate", first, "rejected"], "{path}");
        let places: Vec<_> =
            findings(&answered[1]).into_iter().map(|(_, pointer)| pointer).collect();
        assert_eq!(places, ["/id", "/source", "/type"]);
    }
    assert_quiet(&gateway);
}

/// What is no CloudEvent: every attribute that is missing or wrong is named.
#[test]
fn wrong_events() {
    let (gateway, tenant) = begin();
    for (event, places) in [
        (json!({}), vec!["/specversion", "/id", "/source", "/type"]),
        (with(event("1"), json!({ "specversion": "0.3" })), vec!["/specversion"]),
        (with(event("1"), json!({ "specversion": 1.0 })), vec!["/specversion"]),
        (with(event("1"), json!({ "id": "" })), vec!["/id"]),
        (with(event("1"), json!({ "id": 1 })), vec!["/id"]),
        (with(event("1"), json!({ "source": null })), vec!["/source"]),
        (with(event("1"), json!({ "time": "yesterday" })), vec!["/time"]),
        (with(event("1"), json!({ "data": 1, "data_base64": "AA==" })), vec!["/data_base64"]),
        (with(event("1"), json!({ "type": "com.example.unknown" })), vec!["/type"]),
    ] {
        let rejected = problem(&structured(&gateway, &tenant, &event), 400, "event-rejected");
        let found: Vec<_> = findings(&rejected).into_iter().map(|(_, pointer)| pointer).collect();
        assert_eq!(found, places, "{event}");
    }
    for (content_type, headers, body, kind) in [
        (
            "application/json",
            binary("1", &[("ce-subject", "%zz")]),
            &b"1"[..],
            "malformed-cloudevent",
        ),
        ("application/json", binary("1", &[("ce-subject", "%ff")]), b"1", "malformed-cloudevent"),
        (
            "application/json",
            binary("1", &[("ce-subject", "a"), ("ce-subject", "b")]),
            b"1",
            "malformed-cloudevent",
        ),
        ("application/json", binary("1", &[("ce-data", "1")]), b"1", "malformed-cloudevent"),
        (
            "application/json",
            binary("1", &[("ce-datacontenttype", "text/plain")]),
            b"1",
            "malformed-cloudevent",
        ),
        ("application/json", binary("1", &[("ce-under_score", "1")]), b"1", "malformed-cloudevent"),
        ("text/plain", binary("1", &[]), b"\xff", "malformed-cloudevent"),
        ("application/json", binary("1", &[]), b"{", "malformed-json"),
        ("application/json", binary("1", &[]), b"1,\"id\":\"2\"", "malformed-json"),
        ("application/json", binary("1", &[]), b"{\"a\":1,\"a\":2}", "malformed-json"),
    ] {
        let shown = format!("{headers:?} {}", String::from_utf8_lossy(body));
        let answer = send(&gateway, &tenant, content_type, &headers, body);
        assert_eq!(answer.status, 400, "{shown}: {}", answer.text());
        problem(&answer, 400, kind);
    }
    assert_quiet(&gateway);
}
