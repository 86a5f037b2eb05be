//! What was acknowledged is in the topic, as it must be.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidegate_sink_tests::{read_topic, sink_status, wait_records, wait_until};
use tidegate_testkit::redis;

use crate::{Rig, event};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[test]
fn durable_events_are_forwarded_with_their_envelope_and_in_the_order_of_their_keys() {
    let rig = Rig::start("forwarded", &[]);
    rig.activate("durable");
    let mut ids = BTreeMap::new();
    for round in 0..5 {
        let events: Vec<Value> = (0..40)
            .map(|number| event(&format!("{round}-{number:02}"), &format!("user-{}", number % 7)))
            .collect();
        let answer = rig.tenant.post_batch(&rig.gateway, &events);
        assert_eq!(answer.status, 202, "{}", answer.text());
        let body = answer.json();
        for (event, receipt) in events.iter().zip(body["receipts"].as_array().unwrap()) {
            ids.insert(receipt["event_id"].as_str().unwrap().to_owned(), event.clone());
        }
    }
    let records = wait_records(&rig.bootstrap, &rig.topic, 200);
    assert_eq!(records.len(), 200);
    let mut orders: BTreeMap<&str, (i32, Vec<String>)> = BTreeMap::new();
    for record in &records {
        let event = ids.remove(record.event_id()).expect("each once, under its receipt's id");
        assert_eq!(record.json(), event);
        assert_eq!(record.key, event["user"].as_str().unwrap());
        let header = |name: &str| record.headers.get(name).map(String::as_str);
        for (name, expected) in [
            ("content-type", Some("application/json")),
            ("ce_specversion", Some("1.0")),
            ("ce_id", Some(record.event_id())),
            ("ce_type", Some("audit")),
            ("ce_source", Some("/shop")),
            ("ce_time", Some("2026-01-02T03:04:05.000Z")),
            ("tidegate-tenant", Some("forwarded")),
            ("traceparent", None),
        ] {
            assert_eq!(header(name), expected, "{name}");
        }
        assert!(header("tidegate-revision").is_some_and(|text| text.starts_with("sha256:")));
        let order = orders.entry(&record.key).or_insert((record.partition, Vec::new()));
        assert_eq!(order.0, record.partition, "a key has one partition");
        order.1.push(event["id"].as_str().unwrap().to_owned());
    }
    for (key, (_, order)) in orders {
        assert!(order.is_sorted(), "{key}: {order:?}");
    }
    wait_until("the sink has all", || sink_status(&rig.gateway, "audit")["lag"] == 0);
}

/// E8: where requests are traced, what is stored and sent on belongs to the request's own span.
#[test]
fn the_trace_goes_on_from_the_gateways_span() {
    // Nobody takes the spans.
    let rig = Rig::start("traced", &[("TELEMETRY__OTLP_ENDPOINT", "http://127.0.0.1:9")]);
    for ack in ["delivered", "durable"] {
        rig.activate(ack);
        let headers = [rig.tenant.headers().as_slice(), &[("traceparent", TRACE)]].concat();
        let body = event(ack, "ann").to_string();
        let answer = rig.gateway.request("POST", "/v1/events", &headers, body.as_bytes());
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
    let (trace, parent) = (&TRACE[..36], &TRACE[36..52]);
    wait_until("both are there", || read_topic(&rig.bootstrap, &rig.topic).len() == 2);
    let spans = read_topic(&rig.bootstrap, &rig.topic).into_iter().map(|record| {
        let told = &record.headers["traceparent"];
        assert!(told.starts_with(trace) && told.ends_with("-01"), "{told}");
        told[36..52].to_owned()
    });
    let spans: std::collections::HashSet<String> = spans.collect();
    assert_eq!(spans.len(), 2, "each request has its own");
    assert!(!spans.contains(parent));
}

#[test]
fn delivered_events_are_in_the_topic_when_they_are_acknowledged_and_nowhere_else() {
    let rig = Rig::start("delivered", &[]);
    rig.activate("delivered");
    let headers = [rig.tenant.headers().as_slice(), &[("traceparent", TRACE)]].concat();
    let body = event("one", "ann").to_string();
    let answer = rig.gateway.request("POST", "/v1/events", &headers, body.as_bytes());
    assert_eq!(answer.status, 202, "{}", answer.text());
    let records = read_topic(&rig.bootstrap, &rig.topic);
    let [record] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!(record.event_id(), answer.json()["event_id"].as_str().unwrap());
    assert_eq!(record.headers["traceparent"], TRACE);
    assert_eq!(rig.gateway.status()["wal"]["durable_lsn"], 0, "the node keeps nothing of it");
    // The same once more is a duplicate, and is not sent.
    let again = rig.tenant.post(&rig.gateway, &event("one", "ann"));
    assert_eq!((again.status, again.json()["status"].as_str()), (202, Some("duplicate")));
    assert_eq!(again.json()["event_id"], answer.json()["event_id"]);
    let other = rig.tenant.post(&rig.gateway, &event("one", "bob"));
    assert_eq!(other.status, 422, "{}", other.text());
    let events: Vec<Value> = (0..300).map(|number| event(&format!("b{number}"), "ann")).collect();
    let answer = rig.tenant.post_batch(&rig.gateway, &events);
    assert_eq!(answer.json()["accepted"], 300, "{}", answer.text());
    let records = read_topic(&rig.bootstrap, &rig.topic);
    let order: Vec<String> =
        records.iter().map(|record| record.json()["id"].as_str().unwrap().to_owned()).collect();
    let expected: Vec<String> =
        ["one".to_owned()].into_iter().chain((0..300).map(|number| format!("b{number}"))).collect();
    assert_eq!(order, expected);
}

#[test]
fn a_cloud_event_leaves_as_the_cloud_event_that_it_is() {
    let rig = Rig::start("structured", &[]);
    let revision = json!({ "event_types": { "com.example.x": {
        "ack": "delivered", "sinks": [{ "sink": "audit" }], "quarantine": "held",
    } } });
    rig.tenant.activate(&rig.gateway, &revision);
    let event = json!({
        "specversion": "1.0", "id": "e1", "source": "/s", "type": "com.example.x",
        "datacontenttype": "application/json", "data": { "n": 1.50 },
    });
    let headers = rig.tenant.headers();
    let key = headers.iter().find(|(name, _)| *name != "content-type").copied().unwrap();
    let headers = [key, ("content-type", "application/cloudevents+json")];
    let body = event.to_string();
    let answer = rig.gateway.request("POST", "/v1/events", &headers, body.as_bytes());
    assert_eq!(answer.status, 202, "{}", answer.text());
    let records = read_topic(&rig.bootstrap, &rig.topic);
    let [record] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!(record.json(), event);
    assert!(record.headers["content-type"].starts_with("application/cloudevents+json"));
    assert_eq!(record.event_id(), answer.json()["event_id"].as_str().unwrap());
    assert_eq!((record.key.as_str(), record.headers.get("ce_id")), ("structured", None));
}

#[test]
fn nodes_that_share_redis_and_the_topic_deliver_once() {
    let redis = redis::shared().url();
    let shared = [("DEDUP__STORE", "redis"), ("REDIS__URL", redis.as_str())];
    let first = Rig::start("stateless", &shared);
    let second = Rig::start("stateless", &shared);
    for rig in [&first, &second] {
        rig.activate("delivered");
    }
    let events: Vec<Value> = (0..50).map(|number| event(&format!("e{number}"), "ann")).collect();
    let taken = first.tenant.post_batch(&first.gateway, &events);
    assert_eq!(taken.json()["accepted"], 50, "{}", taken.text());
    let again = second.tenant.post_batch(&second.gateway, &events);
    let (taken, again) = (taken.json(), again.json());
    for (taken, again) in
        taken["receipts"].as_array().unwrap().iter().zip(again["receipts"].as_array().unwrap())
    {
        assert_eq!(again["status"], "duplicate", "{again}");
        assert_eq!(again["event_id"], taken["event_id"]);
    }
    assert_eq!(read_topic(&first.bootstrap, &first.topic).len(), 50);
}
