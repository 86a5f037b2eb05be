//! Batches: what is wrong around the events, and what is wrong with one of them.

use serde_json::{Value, json};
use tidegate_e2e::{findings, problem, receipts};

use crate::{assert_unharmed, post, start};

const BATCH: &str = "/v1/events/batch";

fn events(count: usize) -> String {
    let events: Vec<_> = (0..count).map(|n| format!("{{\"n\":{n}}}")).collect();
    events.join(",")
}

/// The envelope has one form; every other is told apart, with its place.
#[test]
fn envelopes() {
    let (gateway, tenant) = start(&[]);
    let many = events(1001);
    for (content_type, body, status, kind, pointer) in [
        ("application/json", "[{}]".to_owned(), 400, "malformed-batch", ""),
        ("application/json", "null".to_owned(), 400, "malformed-batch", ""),
        ("application/json", "{}".to_owned(), 400, "malformed-batch", ""),
        ("application/json", "{\"Events\":[{}]}".to_owned(), 400, "malformed-batch", "/Events"),
        ("application/json", "{\"events\":null}".to_owned(), 400, "malformed-batch", "/events"),
        ("application/json", "{\"events\":{}}".to_owned(), 400, "malformed-batch", "/events"),
        ("application/json", "{\"events\":\"[]\"}".to_owned(), 400, "malformed-batch", "/events"),
        ("application/json", "{\"events\":[]}".to_owned(), 400, "malformed-batch", "/events"),
        (
            "application/json",
            "{\"events\":[{}],\"extra\":1}".to_owned(),
            400,
            "malformed-batch",
            "/extra",
        ),
        (
            "application/json",
            "{\"a/b~\":1,\"events\":[{}]}".to_owned(),
            400,
            "malformed-batch",
            "/a~1b~0",
        ),
        (
            "application/json",
            "{\"events\":[{}],\"events\":[{}]}".to_owned(),
            400,
            "malformed-json",
            "/events",
        ),
        (
            "application/json",
            "{\"events\":[{}],\"\\u0065vents\":[]}".to_owned(),
            400,
            "malformed-json",
            "/events",
        ),
        (
            "application/json",
            "{\"events\":[{\"a\":1},{\"a\":tru}]}".to_owned(),
            400,
            "malformed-json",
            "/events/1/a",
        ),
        (
            "application/json",
            "{\"events\":[{},{\"a\":1}".to_owned(),
            400,
            "malformed-json",
            "/events/1",
        ),
        (
            "application/json",
            "{\"events\":[{}]}{\"events\":[{}]}".to_owned(),
            400,
            "malformed-json",
            "",
        ),
        ("application/json", format!("{{\"events\":[{many}]}}"), 413, "too-large", "/events"),
        ("application/cloudevents-batch+json", "{}".to_owned(), 400, "malformed-batch", ""),
        ("application/cloudevents-batch+json", "[]".to_owned(), 400, "malformed-batch", ""),
        ("application/cloudevents-batch+json", format!("[{many}]"), 413, "too-large", ""),
        ("application/x-ndjson", String::new(), 400, "malformed-batch", ""),
        ("application/x-ndjson", " \n\r\n\n".to_owned(), 400, "malformed-batch", ""),
        ("application/x-ndjson", "{}\n".repeat(1001), 413, "too-large", ""),
    ] {
        let answer = post(&gateway, &tenant, BATCH, content_type, body.as_bytes());
        let problem = problem(&answer, status, kind);
        let shown: String = body.chars().take(80).collect();
        assert_eq!(problem["pointer"], pointer, "{content_type} {shown}: {problem}");
    }
    assert_eq!(gateway.status()["wal"]["durable_lsn"], 0, "nothing of a refused batch is stored");
    let body = format!("{{\"events\":[{}]}}", events(1000));
    assert_eq!(
        receipts(&post(&gateway, &tenant, BATCH, "application/json", body.as_bytes())).len(),
        1000
    );
    assert_unharmed(&gateway, &tenant);
}

/// What is wrong with each bad event: its text, the finding's code and its place in the event.
fn bad_events() -> Vec<(String, &'static str, String)> {
    let deep =
        |depth: usize| format!("{{\"d\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
    let deepest = format!("/d{}", "/0".repeat(63));
    let mut cases: Vec<(String, &'static str, String)> = [
        ("{\"a\":1,\"a\":2}", "malformed-json", "/a"),
        ("{\"x\":[{\"a\":1,\"\\u0061\":2}]}", "malformed-json", "/x/0/a"),
        ("{\"a\":1,\"a\":2,\"b\":{\"c\":1,\"c\":1}}", "malformed-json", "/a"),
        ("7", "not-an-object", ""),
        ("[]", "not-an-object", ""),
        ("null", "not-an-object", ""),
        ("{\"key\":{}}", "key", "/key"),
        ("{\"key\":\"\"}", "key", "/key"),
        ("{\"key\":true}", "key", "/key"),
    ]
    .into_iter()
    .map(|(text, code, pointer)| (text.to_owned(), code, pointer.to_owned()))
    .collect();
    cases.push((deep(65), "malformed-json", deepest.clone()));
    cases.push((deep(150), "malformed-json", deepest));
    cases.push((format!("{{\"key\":\"{}\"}}", "k".repeat(256)), "key", "/key".to_owned()));
    cases.push((
        format!("{{\"a\":\"{}\"}}", "x".repeat(256 << 10)),
        "event-too-large",
        String::new(),
    ));
    cases
}

fn check_between_good(answered: &[Value], cases: &[(&'static str, String)]) {
    assert_eq!(answered.len(), cases.len() * 2 + 1);
    for (place, (code, pointer)) in cases.iter().enumerate() {
        let (before, bad) = (&answered[place * 2], &answered[place * 2 + 1]);
        assert_eq!(before["status"], "accepted", "before {place}: {before}");
        assert_eq!(bad["status"], "rejected", "{place}: {bad}");
        assert_eq!(findings(bad), [((*code).to_owned(), pointer.clone())], "{place}: {bad}");
    }
    assert_eq!(answered[cases.len() * 2]["status"], "accepted");
}

/// D1: a bad event never costs the others of its batch, and its receipt says where it is wrong.
#[test]
fn bad_events_between_good_ones() {
    let (gateway, tenant) = start(&[]);
    let cases = bad_events();
    let mut texts = vec!["{\"good\":true}".to_owned()];
    for (text, ..) in &cases {
        texts.extend([text.clone(), "{\"good\":true}".to_owned()]);
    }
    let expected: Vec<_> = cases.into_iter().map(|(_, code, pointer)| (code, pointer)).collect();
    let body = format!("{{\"events\":[{}]}}", texts.join(","));
    check_between_good(
        &receipts(&post(&gateway, &tenant, BATCH, "application/json", body.as_bytes())),
        &expected,
    );
    let lines = texts.join("\n");
    check_between_good(
        &receipts(&post(&gateway, &tenant, "/v1/events", "application/x-ndjson", lines.as_bytes())),
        &expected,
    );
    assert_unharmed(&gateway, &tenant);
}

/// Events that are nested very deeply are bad ones too, however deep they go.
#[test]
fn a_very_deep_event_costs_itself_alone() {
    let (gateway, tenant) = start(&[]);
    for depth in [250, 300, 5000] {
        let deep = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let body = format!("{{\"events\":[{{\"n\":1}},{{\"d\":{deep}}},{{\"n\":2}}]}}");
        let answered =
            receipts(&post(&gateway, &tenant, BATCH, "application/json", body.as_bytes()));
        let statuses: Vec<_> =
            answered.iter().map(|receipt| receipt["status"].as_str().unwrap()).collect();
        assert_eq!(statuses, ["accepted", "rejected", "accepted"], "{depth}");
    }
    assert_unharmed(&gateway, &tenant);
}

/// A number of very many digits is valid JSON: the event may be refused, and no other one with it.
#[test]
fn a_very_long_number_costs_itself_alone() {
    let (gateway, tenant) = start(&[]);
    for digits in [4300, 5000, 100_000] {
        let number = "9".repeat(digits);
        let body = format!("{{\"events\":[{{\"n\":1}},{{\"n\":{number}}},{{\"n\":2}}]}}");
        let answered =
            receipts(&post(&gateway, &tenant, BATCH, "application/json", body.as_bytes()));
        assert_eq!(
            (&answered[0]["status"], &answered[2]["status"]),
            (&json!("accepted"), &json!("accepted")),
            "{digits}"
        );
    }
    assert_unharmed(&gateway, &tenant);
}

/// In NDJSON a line ends whatever is wrong in it.
#[test]
fn lines_that_are_no_json() {
    let (gateway, tenant) = start(&[]);
    let lines = [
        ("{\"a\":", "/a"),
        ("{\"a\":tru}", "/a"),
        ("}", ""),
        ("{\"a\":1} {\"b\":2}", ""),
        ("{\"a\":\"\\ud800\"}", "/a"),
        ("nonsense", ""),
        ("{\"a\":[1,2", "/a/1"),
        ("\u{feff}{}", ""),
        ("{\"a\":01}", "/a"),
        ("\u{b}", ""),
        ("{\"a\":\"", "/a"),
    ];
    let mut texts = vec!["{\"good\":true}"];
    for (text, _) in &lines {
        texts.extend([text, "  ", "{\"good\":true}\r"]);
    }
    let expected: Vec<_> =
        lines.iter().map(|(_, pointer)| ("malformed-json", (*pointer).to_owned())).collect();
    let answer =
        post(&gateway, &tenant, BATCH, "application/x-ndjson", texts.join("\n").as_bytes());
    check_between_good(&receipts(&answer), &expected);
    // Bytes that are no UTF-8 could end a line or not: nothing of such a body is taken.
    let answer = post(&gateway, &tenant, BATCH, "application/x-ndjson", b"{}\n{\"a\":\"\xff\"}\n");
    problem(&answer, 400, "malformed-json");
    assert_unharmed(&gateway, &tenant);
}

/// The type of an event says what becomes of it; what says none, or an unknown one, is rejected.
#[test]
fn event_types() {
    let (gateway, tenant) = start(&[]);
    tenant.activate(
        &gateway,
        &json!({
            "type_pointer": "/meta/type",
            "event_types": { "a": {}, "b": { "tenant": "/tenant" } },
        }),
    );
    for (event, code, pointer) in [
        (json!({}), "event-type", "/meta/type"),
        (json!({ "meta": "a" }), "event-type", "/meta/type"),
        (json!({ "meta": { "type": "c" } }), "event-type", "/meta/type"),
        (json!({ "meta": { "type": "" } }), "event-type", "/meta/type"),
        (json!({ "meta": { "type": 7 } }), "event-type", "/meta/type"),
        (json!({ "meta": { "type": "x".repeat(201) } }), "event-type", "/meta/type"),
        (json!({ "meta": { "type": "b" } }), "tenant", "/tenant"),
        (json!({ "meta": { "type": "b" }, "tenant": null }), "tenant", "/tenant"),
    ] {
        let rejected = problem(&tenant.post(&gateway, &event), 400, "event-rejected");
        assert_eq!(findings(&rejected), [(code.to_owned(), pointer.to_owned())], "{event}");
    }
    assert_eq!(
        tenant.post(&gateway, &json!({ "meta": { "type": "b" }, "tenant": "acme" })).status,
        202
    );
    tidegate_e2e::assert_quiet(&gateway);
}
