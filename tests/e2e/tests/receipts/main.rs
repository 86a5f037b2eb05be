//! What senders are told: one receipt per event, in order, in every form that events come in; who
//! may send; and what a listener exposes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail the test")]

mod cloudevents;
mod http2;

use std::io::Write as _;

use serde_json::{Value, json};
use tidegate_e2e::answer::check_receipt;
use tidegate_e2e::{assert_quiet, findings, problem, receipts, request, revision, statuses};
use tidegate_testkit::{Gateway, Tenant};

fn start() -> (Gateway, Tenant) {
    let gateway = Gateway::start();
    let tenant = Tenant::create(&gateway, "acme");
    (gateway, tenant)
}

/// D1, D2: a single event is 202 with its id and time of receipt; a replay says so.
#[test]
fn single_events() {
    let (gateway, tenant) = start();
    tenant.activate(&gateway, &revision::audit());
    let answer = tenant.post(&gateway, &revision::audit_event("k-1"));
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (202, Some("application/json")),
        "{}",
        answer.text()
    );
    assert_eq!(answer.header("idempotency-replayed"), None);
    assert_eq!(answer.header("idempotency-key"), Some("k-1"));
    let receipt = answer.json();
    check_receipt(&receipt);
    assert_eq!(receipt["status"], "accepted");
    assert_eq!(receipt.as_object().unwrap().len(), 3, "{receipt}");

    let answer = tenant.post(&gateway, &revision::audit_event("k-1"));
    assert_eq!((answer.status, answer.header("idempotency-replayed")), (202, Some("true")));
    assert_eq!(answer.header("idempotency-key"), Some("k-1"));
    let replay = answer.json();
    assert_eq!(
        replay,
        json!({
            "event_id": receipt["event_id"], "received_at": receipt["received_at"], "status": "duplicate", "first_status": "accepted",
        })
    );

    let mut other = revision::audit_event("k-1");
    other["actor"]["id"] = json!("u-2");
    let conflict = problem(&tenant.post(&gateway, &other), 422, "key-conflict");
    assert_eq!(conflict["event_status"], "conflict");

    let mut soft = revision::audit_event("k-2");
    soft["timestamp"] = json!("yesterday");
    soft["score"] = json!(2);
    let answer = tenant.post(&gateway, &soft);
    assert_eq!(answer.status, 202, "{}", answer.text());
    let receipt = answer.json();
    assert_eq!(receipt["status"], "quarantined");
    let expected = [
        ("bad-format".to_owned(), "/timestamp".to_owned()),
        ("score-range".to_owned(), "/score".to_owned()),
    ];
    assert_eq!(findings(&receipt), expected);
    let severities: Vec<_> = receipt["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|f| (&f["rule"], &f["severity"]))
        .collect();
    assert_eq!(
        severities,
        [(&json!("fields"), &json!("soft")), (&json!("quality"), &json!("warn"))]
    );
    assert_quiet(&gateway);
}

/// D4: `actor.id`, `action.name`, `resource.type`, `resource.id` are required and typed; a 400 says
/// which of them are wrong, all at once, and why.
#[test]
fn required_fields() {
    let (gateway, tenant) = start();
    tenant.activate(&gateway, &revision::audit());
    let event = json!({ "actor": { "id": "" }, "action": { "name": null }, "resource": { "type": 7 }, "timestamp": 5 });
    let rejected = problem(&tenant.post(&gateway, &event), 400, "event-rejected");
    let expected = [
        ("empty", "/actor/id"),
        ("null", "/action/name"),
        ("wrong-type", "/resource/type"),
        ("missing", "/resource/id"),
    ];
    let hard: Vec<_> = rejected["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["severity"] == "hard")
        .collect();
    for ((code, pointer), finding) in expected.into_iter().zip(&hard) {
        assert_eq!(
            (&finding["code"], &finding["pointer"]),
            (&json!(code), &json!(pointer)),
            "{rejected}"
        );
        assert!(
            finding["detail"].as_str().is_some_and(|detail| detail.contains("must ")),
            "{finding}"
        );
    }
    assert_eq!(hard.len(), expected.len(), "{rejected}");
    for (event, pointers) in [
        (json!({}), vec!["/actor/id", "/action/name", "/resource/type", "/resource/id"]),
        (
            json!({ "actor": "u-1", "action": [], "resource": 1 }),
            vec!["/actor/id", "/action/name", "/resource/type", "/resource/id"],
        ),
        (
            json!({ "actor": { "id": 1 }, "action": { "name": "x" }, "resource": { "type": "a", "id": "b" } }),
            vec!["/actor/id"],
        ),
    ] {
        let rejected = problem(&tenant.post(&gateway, &event), 400, "event-rejected");
        let hard = rejected["findings"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|finding| finding["severity"] == "hard");
        let places: Vec<_> = hard.map(|finding| finding["pointer"].as_str().unwrap()).collect();
        assert_eq!(places, pointers, "{event}");
    }
    assert_quiet(&gateway);
}

/// D1, P1: a batch is answered with one receipt per event in its order, whatever became of each;
/// the tally, the receipts and the node's counters agree.
#[test]
fn batches() {
    let (gateway, tenant) = start();
    tenant.activate(&gateway, &revision::audit());
    let first = tenant.post(&gateway, &revision::audit_event("k-0")).json();
    let mut soft = revision::audit_event("k-2");
    soft["timestamp"] = json!("?");
    let mut other = revision::audit_event("k-0");
    other["more"] = json!(1);
    let mut without = revision::audit_event("");
    without.as_object_mut().unwrap().remove("key");
    let events = [
        revision::audit_event("k-1"),
        soft.clone(),
        json!({ "key": "k-3" }),
        revision::audit_event("k-0"),
        other,
        revision::audit_event("k-1"),
        json!(5),
        without.clone(),
        soft,
        json!({ "key": "k-3" }),
        without,
    ];
    let answer = tenant.post_batch(&gateway, &events);
    let answered = receipts(&answer);
    let expected = [
        "accepted", "quarantined", "rejected", "duplicate", "conflict", "duplicate", "rejected",
        "accepted", "duplicate", "rejected", "accepted",
    ];
    assert_eq!(statuses(&answer), expected);
    assert_eq!(answered[3]["event_id"], first["event_id"]);
    assert_eq!(answered[5]["event_id"], answered[0]["event_id"]);
    assert_eq!(
        (&answered[5]["first_status"], &answered[8]["first_status"]),
        (&json!("accepted"), &json!("quarantined"))
    );
    assert_eq!(
        answered[9]["findings"], answered[2]["findings"],
        "a copy of what was rejected is rejected for the same reasons"
    );
    let mut ids: Vec<_> =
        answered.iter().map(|receipt| receipt["event_id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(
        ids.len(),
        events.len() - 2,
        "events have ids of their own, replays that of the first"
    );
    let counted = &gateway.status()["events"];
    assert_eq!(
        counted,
        &json!({ "accepted": 4, "quarantined": 1, "duplicate": 3, "rejected": 3, "conflict": 1, "retry": 0 })
    );
    assert_quiet(&gateway);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Every form of several events takes every encoding, on both endpoints, and gives the same
/// verdicts.
#[test]
fn forms_and_encodings_agree() {
    let (gateway, tenant) = start();
    tenant.activate(&gateway, &revision::audit());
    let events = |run: usize| {
        let mut events: Vec<Value> =
            (0..50).map(|n| revision::audit_event(&format!("{run}-{n}"))).collect();
        for (place, event) in events.iter_mut().enumerate() {
            match place % 5 {
                1 => event["timestamp"] = json!("?"),
                2 => event["actor"] = json!({}),
                3 => event["key"] = json!(format!("{run}-{}", place - 3)),
                _ => {}
            }
        }
        events
    };
    let mut results = Vec::new();
    for (run, (path, is_lines, encoding)) in [
        ("/v1/events/batch", false, ""),
        ("/v1/events/batch", false, "gzip"),
        ("/v1/events/batch", false, "zstd"),
        ("/v1/events/batch", true, ""),
        ("/v1/events/batch", true, "zstd"),
        ("/v1/events", true, "gzip"),
        ("/v1/events", true, "identity"),
    ]
    .into_iter()
    .enumerate()
    {
        let events = events(run);
        let lines: Vec<_> = events.iter().map(Value::to_string).collect();
        let body =
            if is_lines { lines.join("\n") } else { json!({ "events": events }).to_string() };
        let body = match encoding {
            "gzip" => gzip(body.as_bytes()),
            "zstd" => zstd::stream::encode_all(body.as_bytes(), 3).unwrap(),
            _ => body.into_bytes(),
        };
        let content_type = if is_lines { "application/x-ndjson" } else { "application/json" };
        let more = [("content-encoding", encoding)];
        let headers =
            request::headers(&tenant, content_type, if encoding.is_empty() { &[] } else { &more });
        let answer = gateway.request("POST", path, &headers, &body);
        let told: Vec<_> = receipts(&answer)
            .iter()
            .map(|receipt| (receipt["status"].clone(), findings(receipt)))
            .collect();
        results.push(told);
    }
    assert!(results.iter().all(|result| *result == results[0]));
    let count = |status: &str| results[0].iter().filter(|(told, _)| told == status).count();
    assert_eq!(
        (count("accepted"), count("quarantined"), count("rejected"), count("duplicate")),
        (20, 10, 10, 10)
    );
    assert_quiet(&gateway);
}

/// P1: the size of the batches that events come in changes no verdict.
#[test]
fn sizes_of_batches_change_no_verdict() {
    let (gateway, tenant) = start();
    tenant.activate(&gateway, &revision::audit());
    let events: Vec<Value> = (0..1000)
        .map(|n| {
            let mut event = revision::audit_event("");
            event["key"] = Value::Null;
            match n % 7 {
                1 => event["timestamp"] = json!(format!("no time {n}")),
                2 => event["resource"]["id"] = json!(n),
                3 => event["score"] = json!(n),
                _ => {}
            }
            event
        })
        .collect();
    let mut results = Vec::new();
    for size in [1, 7, 100, 1000] {
        let mut connection = gateway.connect();
        let mut told = Vec::new();
        for batch in events.chunks(size) {
            let answer = tenant.post_batch_on(&mut connection, batch).unwrap();
            told.extend(
                receipts(&answer)
                    .iter()
                    .map(|receipt| (receipt["status"].clone(), receipt["findings"].clone())),
            );
        }
        assert_eq!(told.len(), events.len());
        results.push(told);
    }
    assert!(results.iter().all(|result| *result == results[0]));
    assert_quiet(&gateway);
}

/// A1: a listener exposes what its configuration names; the rest does not exist there.
#[test]
fn endpoints_are_configured() {
    let gateway = Gateway::start_with(&[("INGRESS__ENDPOINTS", "events,ping,readyz")]);
    let tenant = Tenant::create(&gateway, "acme");
    tenant.activate(&gateway, &revision::plain());
    assert_eq!(tenant.post(&gateway, &json!({})).status, 202);
    let ping = gateway.request("GET", "/v1/ping", &[], b"");
    assert_eq!((ping.status, ping.json()), (200, json!({ "status": "ok" })));
    problem(&tenant.post_batch(&gateway, &[json!({})]), 404, "not-found");
    for path in ["/health", "/livez"] {
        problem(&gateway.request("GET", path, &[], b""), 404, "not-found");
    }
    assert_quiet(&gateway);
}
