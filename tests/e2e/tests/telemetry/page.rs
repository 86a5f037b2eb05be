//! The page at `/metrics`: its own address, its forms, and what is on it.

use tidegate_testkit::{Connection, Gateway, Response};

use crate::start;

fn get(address: &str, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
    Connection::open(address).unwrap().request(method, path, headers, b"").unwrap()
}

/// C4, D8: in Prometheus's form, or in OpenMetrics where that is asked for.
#[test]
fn metrics_have_an_address_of_their_own() {
    let gateway = Gateway::start();
    let plain = get(&gateway.metrics, "GET", "/metrics", &[]);
    assert_eq!(plain.status, 200);
    assert_eq!(plain.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(
        plain.text().contains("# TYPE tidegate_ingress_ready gauge\ntidegate_ingress_ready 1\n")
    );
    let accept = [("accept", "application/openmetrics-text;version=1.0.0,text/plain;q=0.5")];
    let open = get(&gateway.metrics, "GET", "/metrics", &accept);
    assert!(open.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    assert!(open.text().ends_with("# EOF\n"));
    assert_eq!(get(&gateway.metrics, "GET", "/", &[]).status, 404);
    assert_eq!(get(&gateway.metrics, "POST", "/metrics", &[]).status, 405);
    // Nobody else's listener has it.
    assert_eq!(get(&gateway.ingress, "GET", "/metrics", &[]).status, 404);
    assert_eq!(get(&gateway.admin, "GET", "/metrics", &[]).status, 401);
}

/// C4: on the main listener too, where its settings say so.
#[test]
fn metrics_may_be_on_the_listener_for_events() {
    let gateway = Gateway::start_with(&[("INGRESS__ENDPOINTS", "events,readyz,metrics")]);
    let answer = get(&gateway.ingress, "GET", "/metrics", &[]);
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("\ntidegate_ingress_ready 1\n"));
}

/// C4: requests and how long they took, by the semantic conventions; paths that lead nowhere are one.
#[test]
fn requests_are_measured() {
    let (gateway, tenant) = start(&[]);
    for key in ["a", "b"] {
        let event = serde_json::json!({ "key": key, "name": "n", "age": 1 });
        assert_eq!(tenant.post(&gateway, &event).status, 202);
    }
    for path in ["/nothing/here", "/nothing/there"] {
        assert_eq!(gateway.request("GET", path, &[], b"").status, 404);
    }
    let count = |method: &str, route: &str, status: u16| {
        gateway.metric(&format!(
            "http_server_request_duration_seconds_count{{http_request_method=\"{method}\",\
             url_scheme=\"http\",http_route=\"{route}\",http_response_status_code=\"{status}\",\
             error_type=\"\"}}"
        ))
    };
    assert_eq!(count("POST", "/v1/events", 202), 2.0);
    assert_eq!(count("GET", "", 404), 2.0);
    assert_eq!(gateway.metric("tidegate_ack_duration_seconds_count{ack=\"durable\"}"), 2.0);
    let stage = |name| format!("tidegate_ingress_stage_duration_seconds_count{{stage=\"{name}\"}}");
    for name in ["authenticate", "receive", "decode", "claim", "evaluate", "deliver"] {
        assert_eq!(gateway.metric(&stage(name)), 2.0, "{name}");
    }
    assert_eq!(gateway.metric("tidegate_wal_records_total"), 2.0);
    assert!(gateway.metric("tidegate_wal_sync_duration_seconds_count") >= 1.0);
    assert!(gateway.metric("tidegate_wal_group_size_bytes_sum") > 100.0);
    assert_eq!(gateway.metric("tidegate_dedup_claims_total{outcome=\"new\"}"), 2.0);
    assert!(gateway.metric("process_resident_memory_bytes") > 1e6);
}
