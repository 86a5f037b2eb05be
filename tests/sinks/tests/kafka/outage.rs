//! The broker stands still, is gone, or was never there: what is answered meanwhile, and that
//! everything goes on by itself afterwards (C3, D7).

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_sink_tests::{metric, read_topic, sink_status, wait_until};
use tidegate_testkit::{Gateway, Kafka, Tenant};

use crate::{Rig, event};

/// Answers wait for sinks this long, and a sink without a delivery for as long is taken for dead.
const HASTE: [(&str, &str); 2] = [("SINKS__DELIVERY_TIMEOUT", "1s"), ("SINKS__STALL_AFTER", "1s")];

#[test]
fn delivered_events_are_put_off_while_the_broker_stands_still_and_are_there_once_afterwards() {
    let broker = Kafka::start();
    let rig = Rig::start_by("frozen", broker.bootstrap(), "", &HASTE);
    rig.activate("delivered");
    assert_eq!(rig.tenant.post(&rig.gateway, &event("before", "ann")).status, 202);
    broker.freeze();
    let late = rig.tenant.post(&rig.gateway, &event("late", "ann"));
    assert_eq!(late.status, 503, "{}", late.text());
    assert_eq!(late.json()["type"], "urn:tidegate:problem:sink-unavailable", "{}", late.text());
    assert!(late.header("retry-after").is_some());
    // By then nobody waits for the sink any more.
    let begun = Instant::now();
    let shed: Vec<_> = (0..20)
        .map(|number| rig.tenant.post(&rig.gateway, &event(&format!("shed-{number}"), "ann")))
        .collect();
    assert!(shed.iter().all(|answer| answer.status == 503));
    assert!(begun.elapsed() < Duration::from_secs(10), "each would wait a second");
    assert_eq!(metric(&rig.gateway, "tidegate_sink_breaker_open{sink=\"audit\"}"), 1);
    assert!(sink_status(&rig.gateway, "audit")["stalled_ms"].as_u64().unwrap() >= 1000);
    broker.thaw();
    // The first one got there in the end; its retry learns that it did.
    let mut again = late;
    wait_until("the retry is answered", || {
        again = rig.tenant.post(&rig.gateway, &event("late", "ann"));
        again.status == 202
    });
    assert_eq!(again.json()["status"], "duplicate", "{}", again.text());
    for number in 0..20 {
        wait_until("it is taken", || {
            rig.tenant.post(&rig.gateway, &event(&format!("shed-{number}"), "ann")).status == 202
        });
    }
    let mut ids: Vec<String> = read_topic(&rig.bootstrap, &rig.topic)
        .iter()
        .map(|record| record.json()["id"].as_str().unwrap().to_owned())
        .collect();
    ids.sort_unstable();
    let unique: BTreeSet<&String> = ids.iter().collect();
    assert_eq!((ids.len(), unique.len()), (22, 22), "{ids:?}");
    let dropped = metric(&rig.gateway, "tidegate_sink_events_dropped_total{sink=\"audit\"}");
    let received = metric(&rig.gateway, "tidegate_sink_events_received_total{sink=\"audit\"}");
    assert!(dropped >= 21 && received >= dropped + 21, "{dropped} of {received}");
}

#[test]
fn durable_events_fill_the_log_while_the_broker_is_gone_and_are_all_there_afterwards() {
    let broker = Kafka::start();
    let small = [
        ("WAL__SEGMENT_BYTES", "256KiB"),
        ("WAL__GROUP_BYTES", "64KiB"),
        ("WAL__MAX_BYTES", "1MiB"),
        ("INGRESS__MAX_BODY_BYTES", "64KiB"),
        ("INGRESS__MAX_EVENT_BYTES", "32KiB"),
        ("STORAGE__FLUSH_AFTER", "50ms"),
        ("WAL__LOW_WATER_BYTES", "0"),
    ];
    let rig = Rig::start_by("outage", broker.bootstrap(), "", &small);
    rig.activate("durable");
    let mut taken: Vec<String> = Vec::new();
    let mut post = |round: usize| {
        let events: Vec<Value> = (0..20)
            .map(|number| {
                let mut event =
                    event(&format!("{round:04}-{number:02}"), &format!("u{}", number % 3));
                event["more"] = "x".repeat(500).into();
                event
            })
            .collect();
        let answer = rig.tenant.post_batch(&rig.gateway, &events);
        if answer.status == 202 {
            assert_eq!(answer.json()["accepted"], 20, "{}", answer.text());
            taken.extend(events.iter().map(|event| event["id"].as_str().unwrap().to_owned()));
        }
        answer
    };
    assert_eq!(post(0).status, 202);
    broker.kill();
    let mut round = 1;
    let full = loop {
        let answer = post(round);
        round += 1;
        if answer.status != 202 {
            break answer;
        }
        assert!(round < 500, "the log does not fill");
    };
    assert_eq!(full.status, 503, "{}", full.text());
    assert_eq!(full.json()["type"], "urn:tidegate:problem:storage-full", "{}", full.text());
    assert!(full.header("retry-after").is_some());
    assert!(sink_status(&rig.gateway, "audit")["lag"].as_u64().unwrap() > 20);
    broker.restart();
    wait_until("there is room again", || {
        round += 1;
        post(round).status == 202
    });
    wait_until("the sink has all", || sink_status(&rig.gateway, "audit")["lag"] == 0);
    check(&rig, &taken);
}

/// Everything that was acknowledged is there, in the order of its key; twice at most where the producer
/// could not know.
fn check(rig: &Rig, taken: &[String]) {
    let records = read_topic(&rig.bootstrap, &rig.topic);
    let mut there: BTreeMap<String, usize> = BTreeMap::new();
    let mut orders: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for record in &records {
        let id = record.json()["id"].as_str().unwrap().to_owned();
        let count = there.entry(id.clone()).or_default();
        *count += 1;
        if *count == 1 {
            orders.entry(record.key.clone()).or_default().push(id);
        }
    }
    let missing: Vec<_> = taken.iter().filter(|id| !there.contains_key(*id)).take(5).collect();
    assert!(missing.is_empty(), "acknowledged and not there: {missing:?}");
    for (key, order) in &orders {
        assert!(order.is_sorted(), "{key} is out of order");
    }
    let twice = there.values().filter(|count| **count > 1).count() as u64;
    let unknown = metric(&rig.gateway, "tidegate_sink_messages_unknown_total{sink=\"audit\"}");
    assert!(twice <= unknown, "{twice} are there twice, {unknown} may be");
}

#[test]
fn an_optional_sink_that_is_dead_costs_nobody_an_answer() {
    let broker = tidegate_testkit::kafka::shared();
    let sinks = format!(
        r#"[{{name="audit",topic="optional.events",bootstrap="{}"}},
            {{name="dead",topic="t",bootstrap="127.0.0.1:1",queue_messages=10}}]"#,
        broker.bootstrap()
    );
    let gateway = Gateway::start_with(&[("SINKS__KAFKA", &sinks)]);
    let tenant = Tenant::create(&gateway, "optional");
    let document = json!({ "default_type": "a", "event_types": { "a": {
        "key": "/id", "ack": "delivered", "quarantine": "audit",
        "sinks": [{ "sink": "audit" }, { "sink": "dead", "required": false }],
    } } });
    tenant.activate(&gateway, &document);
    for number in 0..30 {
        let answer = tenant.post(&gateway, &event(&number.to_string(), "ann"));
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
    assert_eq!(read_topic(&broker.bootstrap(), "optional.events").len(), 30);
    assert_eq!(metric(&gateway, "tidegate_sink_messages_errored_total{sink=\"dead\"}"), 20);
    // A required one that is dead is told, and settles nothing.
    let mut required = document;
    required["event_types"]["a"]["sinks"][1]["required"] = true.into();
    tenant.activate(&gateway, &required);
    let answer = tenant.post(&gateway, &event("more", "ann"));
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert!(answer.json()["detail"].as_str().unwrap().contains("`dead`"), "{}", answer.text());
}
