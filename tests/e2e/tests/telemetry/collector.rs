//! Traces and metrics that go to a collector (C5, E8).

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::json;
use tidegate_e2e::assert_quiet;
use tidegate_testkit::{Connection, Gateway, Response, Tenant};

use crate::collector_fake::{Collector, text};
use crate::{eventually, start};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn post(gateway: &Gateway, tenant: &Tenant, key: &str, traceparent: Option<&str>) -> Response {
    let mut headers = tenant.headers().to_vec();
    headers.extend(traceparent.map(|value| ("traceparent", value)));
    let event = json!({ "key": key, "name": "n", "age": 1 }).to_string();
    gateway.request("POST", "/v1/events", &headers, event.as_bytes())
}

/// Starts a gateway that tells a collector.
fn told(collector: &Collector, settings: &[(&str, &str)]) -> (Gateway, Tenant) {
    let mut all = vec![
        ("TELEMETRY__OTLP_ENDPOINT", collector.endpoint.as_str()),
        ("TELEMETRY__OTLP_METRICS_INTERVAL", "200ms"),
        ("TELEMETRY__SERVICE_NAME", "shop"),
        ("NODE__NAME", "node-7"),
    ];
    all.extend_from_slice(settings);
    start(&all)
}

/// The spans of the trace by their names, when the request's own is there.
fn spans_of(collector: &Collector, trace: &str) -> BTreeMap<String, Span> {
    let of = || collector.spans().into_iter().map(|(span, _)| span);
    let is_there = || of().any(|span| hex(&span.trace_id) == trace && span.kind == 2);
    eventually("the span of the request", is_there);
    eventually("the spans of its stages", || {
        of().filter(|span| hex(&span.trace_id) == trace).count() >= 12
    });
    let of_trace = of().filter(|span| hex(&span.trace_id) == trace);
    of_trace.map(|span| (span.name.clone(), span)).collect()
}

/// E8: the request's span is a child of the sender's, its stages are children of it.
#[test]
fn a_request_is_a_span_with_its_stages() {
    let collector = Collector::start();
    let (gateway, tenant) = told(&collector, &[("TELEMETRY__OTLP_HEADERS", "x-team=blue")]);
    let answer = post(&gateway, &tenant, "a", Some(&format!("00-{TRACE}-{PARENT}-01")));
    assert_eq!(answer.status, 202);
    let spans = spans_of(&collector, TRACE);
    let request = &spans["POST /v1/events"];
    assert_eq!(hex(&request.parent_span_id), PARENT);
    assert_eq!(text(&request.attributes, "http.route"), Some("/v1/events"));
    assert_eq!(text(&request.attributes, "tidegate.tenant"), Some("acme"));
    let stages = [
        "authenticate", "receive", "admit", "decode", "meter", "identify", "claim", "validate",
        "evaluate", "deliver", "acknowledge",
    ];
    for name in stages {
        let stage = &spans[name];
        assert_eq!(stage.parent_span_id, request.span_id, "{name}");
        let within = request.start_time_unix_nano <= stage.start_time_unix_nano + 1_000_000
            && stage.end_time_unix_nano <= request.end_time_unix_nano + 1_000_000;
        assert!(within && stage.start_time_unix_nano <= stage.end_time_unix_nano, "{name}");
    }
    assert_eq!(spans.len(), 1 + stages.len());
    let (_, who) = collector.spans().remove(0);
    assert_eq!(text(&who, "service.name"), Some("shop"));
    assert_eq!(text(&who, "service.instance.id"), Some("node-7"));
    assert!(collector.headers().iter().all(|headers| headers["x-team"] == "blue"));
    // Exemplars lead from a slow answer to its trace.
    let accept = [("accept", "application/openmetrics-text")];
    let open = Connection::open(&gateway.metrics).unwrap();
    let open = { open }.request("GET", "/metrics", &accept, b"").unwrap().text();
    let exemplar = format!("# {{trace_id=\"{TRACE}\",span_id=\"{}\"}}", hex(&request.span_id));
    for metric in
        ["tidegate_ack_duration_seconds_bucket", "http_server_request_duration_seconds_bucket"]
    {
        let mut lines = open.lines().filter(|line| line.starts_with(metric));
        assert!(lines.any(|line| line.contains(&exemplar)), "{metric}: {exemplar}");
    }
    assert_quiet(&gateway);
}

/// Who does not trace is not traced, and who brings no trace begins one, now and then.
#[test]
fn the_sender_decides_whether_it_is_traced() {
    let collector = Collector::start();
    let (gateway, tenant) = told(&collector, &[("TELEMETRY__TRACES_PER_THOUSAND", "0")]);
    assert_eq!(post(&gateway, &tenant, "a", None).status, 202);
    let untraced = TRACE.replace('4', "5");
    let not_sampled = format!("00-{untraced}-{PARENT}-00");
    assert_eq!(post(&gateway, &tenant, "b", Some(&not_sampled)).status, 202);
    assert_eq!(post(&gateway, &tenant, "c", Some(&format!("00-{TRACE}-{PARENT}-01"))).status, 202);
    spans_of(&collector, TRACE);
    assert!(collector.spans().iter().all(|(span, _)| hex(&span.trace_id) == TRACE));
    drop(gateway);

    let collector = Collector::start();
    let (gateway, tenant) = told(&collector, &[]);
    assert_eq!(post(&gateway, &tenant, "a", None).status, 202);
    eventually("a trace of its own", || {
        collector.spans().iter().any(|(span, _)| span.kind == 2 && span.parent_span_id.is_empty())
    });
}

/// The same figures as on the page, under the names of OpenTelemetry.
#[test]
fn metrics_go_to_the_collector() {
    let collector = Collector::start();
    let (gateway, tenant) = told(&collector, &[]);
    for key in ["a", "b", "c"] {
        assert_eq!(post(&gateway, &tenant, key, None).status, 202);
    }
    let sum = |name: &str| {
        let metric = collector.metrics().into_iter().find(|metric| metric.name == name)?;
        let Some(Data::Sum(sum)) = metric.data else { panic!("{name} is no sum") };
        assert!(sum.is_monotonic && sum.aggregation_temporality == 2, "{name}");
        let Number::AsInt(value) = sum.data_points.first()?.value? else { panic!("{name}") };
        Some(value)
    };
    eventually("three records", || sum("tidegate.wal_records") == Some(3));
    let metrics = collector.metrics();
    let of = |name: &str| metrics.iter().find(|metric| metric.name == name).unwrap();
    let requests = of("http.server.request.duration");
    assert_eq!(requests.unit, "s");
    let Some(Data::Histogram(histogram)) = &requests.data else { panic!("{requests:?}") };
    let posts = histogram.data_points.iter().find(|point| {
        text(&point.attributes, "http.request.method") == Some("POST")
            && text(&point.attributes, "http.route") == Some("/v1/events")
            && point.count > 0
    });
    let posts = posts.unwrap();
    assert_eq!((posts.count, posts.bucket_counts.iter().sum::<u64>()), (3, 3));
    assert_eq!(posts.bucket_counts.len(), posts.explicit_bounds.len() + 1);
    assert!(matches!(of("tidegate.ingress_ready").data, Some(Data::Gauge(_))));
}

/// C5: a collector that is not there stops neither the start nor the events; what is lost is counted, and
/// the log says so once.
#[test]
fn a_collector_that_is_not_there_hinders_nothing() {
    let collector = Collector::start();
    let address = collector.endpoint.replace("http://", "");
    let endpoint = collector.endpoint.clone();
    drop(collector);
    let settings = [
        ("TELEMETRY__OTLP_ENDPOINT", endpoint.as_str()),
        ("TELEMETRY__OTLP_METRICS_INTERVAL", "100ms"),
        ("TELEMETRY__MAX_WAITING_SPANS", "24"),
    ];
    let (mut gateway, tenant) = start(&settings);
    for number in 0..20 {
        assert_eq!(post(&gateway, &tenant, &number.to_string(), None).status, 202);
    }
    let full = "tidegate_telemetry_lost_total{signal=\"traces\",reason=\"full\"}";
    let gone = "tidegate_telemetry_lost_total{signal=\"metrics\",reason=\"unreachable\"}";
    eventually("what is lost is counted", || {
        gateway.metric(full) >= 200.0 && gateway.metric(gone) > 0.0
    });
    let warnings = |log: String| log.matches("takes nothing").count();
    assert_eq!(warnings(gateway.log()), 1, "{}", gateway.log());
    let collector = Collector::start_at(&address);
    eventually("it is there again", || !collector.metrics().is_empty());
    eventually("the log says so", || gateway.log().contains("takes everything again"));
    assert!(gateway.terminate(), "{}", gateway.log());
}

/// Nobody waits for a collector when the gateway stops.
#[test]
fn a_stop_does_not_wait_for_a_collector_that_is_gone() {
    let collector = Collector::start();
    let (mut gateway, tenant) = told(&collector, &[]);
    eventually("it is told", || !collector.metrics().is_empty());
    drop(collector);
    assert_eq!(post(&gateway, &tenant, "a", None).status, 202);
    let begun = std::time::Instant::now();
    assert!(gateway.terminate(), "{}", gateway.log());
    // Five tries would take half a minute.
    assert!(begun.elapsed().as_secs() < 12, "{:?}", begun.elapsed());
}

/// What the collector will never take is not sent again.
#[test]
fn what_is_refused_is_counted() {
    let collector = Collector::start();
    collector.answer(400);
    let (gateway, tenant) = told(&collector, &[]);
    assert_eq!(post(&gateway, &tenant, "a", None).status, 202);
    let refused = "tidegate_telemetry_lost_total{signal=\"traces\",reason=\"refused\"}";
    eventually("spans are refused", || gateway.metric(refused) >= 12.0);
    collector.answer(200);
    assert_eq!(post(&gateway, &tenant, "b", None).status, 202);
    eventually("the next ones are not", || !collector.spans().is_empty());
}

/// Spans that wait go with the last call when the gateway stops.
#[test]
fn a_stop_sends_what_waits() {
    let collector = Collector::start();
    let (mut gateway, tenant) = told(&collector, &[]);
    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    assert_eq!(post(&gateway, &tenant, "a", Some(&traceparent)).status, 202);
    assert!(gateway.terminate());
    let of_trace = collector.spans().into_iter().filter(|(span, _)| hex(&span.trace_id) == TRACE);
    assert_eq!(of_trace.count(), 12);
}
