//! The access log, and what no log ever holds.

use serde_json::{Value, json};
use tidegate_e2e::{problem, revision};

use crate::start_with;

/// D8: JSON lines with the request's id, its trace and its tenant; no key and no payload in any of them.
#[test]
fn requests_have_lines_without_secrets() {
    let settings = [("LOG__FORMAT", "json"), ("LOG__ACCESS", "all"), ("LOG__LEVEL", "debug")];
    let (gateway, tenant) = start_with(&settings);
    tenant.activate(&gateway, &revision::plain());
    let canary = "canary-in-the-payload";
    let body = json!({ "key": canary }).to_string();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let parent = format!("00-{trace}-00f067aa0ba902b7-01");
    let headers = [
        ("x-api-key", tenant.key.as_str()),
        ("content-type", "application/json"),
        ("x-request-id", "mine-1"),
        ("traceparent", parent.as_str()),
    ];
    let answer = gateway.request("POST", "/v1/events", &headers, body.as_bytes());
    assert_eq!((answer.status, answer.header("x-request-id")), (202, Some("mine-1")));
    let refused = [("x-api-key", "canary-of-a-key"), ("authorization", "Bearer canary-of-a-token")];
    let answer = gateway.request("POST", "/v1/events?canary-of-a-query", &refused, b"canary-body");
    problem(&answer, 401, "unauthenticated");
    let minted = answer.header("x-request-id").unwrap().to_owned();
    let lines: Vec<Value> =
        gateway.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let line = |id: &str| {
        let all = lines.iter().filter(|line| line["fields"]["request_id"] == id);
        let all: Vec<_> = all.map(|line| line["fields"].clone()).collect();
        assert_eq!(all.len(), 1, "{id}");
        all[0].clone()
    };
    let taken = line("mine-1");
    assert_eq!(
        (&taken["tenant"], &taken["trace_id"], &taken["route"], &taken["status"]),
        (&json!("acme"), &json!(trace), &json!("/v1/events"), &json!(202))
    );
    let refused = line(&minted);
    assert_eq!((&refused["status"], &refused["tenant"]), (&json!(401), &Value::Null));
    let log = gateway.log();
    for secret in [canary, "canary-", &tenant.key] {
        assert!(!log.contains(secret), "{secret}");
    }
}
