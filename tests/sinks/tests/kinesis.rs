//! Gateways that send to streams of Kinesis, in the way of stateless nodes: what arrives, what is
//! answered while the stream is throttled, and what CloudWatch is told (A5, A8, A9, A11).

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test: a panic is its failure")]

use serde_json::{Value, json};
use tidegate_sink_tests::{metric, wait_until};
use tidegate_testkit::kinesis_fake::{Outcome, Reply};
use tidegate_testkit::{Gateway, KinesisFake, Tenant};

const STREAM: &str = "events-raw";

fn start(fake: &KinesisFake) -> (Gateway, Tenant) {
    let endpoint = fake.endpoint();
    let sinks = format!(
        r#"[{{name="raw",stream="{STREAM}",endpoint="{endpoint}",region="us-east-1",linger="5ms",
             access_key_id="test",secret_access_key="test",envelope="event"}}]"#
    );
    let gateway = Gateway::start_with(&[
        ("SINKS__KINESIS", &sinks),
        ("SINKS__DELIVERY_TIMEOUT", "1s"),
        ("SINKS__STALL_AFTER", "10s"),
    ]);
    let tenant = Tenant::create(&gateway, "stateless");
    let revision = json!({ "default_type": "raw", "event_types": { "raw": {
        "key": "/idempotencyKey", "ack": "delivered",
        "sinks": [{ "sink": "raw", "key": "/source" }],
    } } });
    tenant.activate(&gateway, &revision);
    (gateway, tenant)
}

fn event(key: &str) -> Value {
    json!({ "idempotencyKey": key, "source": "bucket-1", "n": 1 })
}

#[test]
fn delivered_events_are_in_the_stream_with_their_tenant_and_in_the_order_of_their_keys() {
    let fake = KinesisFake::start(&[STREAM]);
    let (gateway, tenant) = start(&fake);
    let events: Vec<Value> = (0..40)
        .map(|number| {
            let mut event = event(&format!("k{number:02}"));
            event["source"] = format!("bucket-{}", number % 3).into();
            event
        })
        .collect();
    let answer = tenant.post_batch(&gateway, &events);
    assert_eq!(answer.json()["accepted"], 40, "{}", answer.text());
    let stored = fake.stored_by_key(STREAM);
    assert_eq!(stored.keys().collect::<Vec<_>>(), ["bucket-0", "bucket-1", "bucket-2"]);
    for records in stored.values() {
        let records: Vec<Value> =
            records.iter().map(|record| serde_json::from_slice(record).unwrap()).collect();
        assert!(records.iter().all(|record| record["tenantId"] == "stateless"), "{records:?}");
        assert!(
            records
                .is_sorted_by_key(|record| record["idempotencyKey"].as_str().unwrap().to_owned())
        );
    }
    assert_eq!(gateway.status()["wal"]["durable_lsn"], 0, "the node keeps nothing");
    let again = tenant.post(&gateway, &events[7]);
    assert_eq!((again.status, again.json()["status"].as_str()), (202, Some("duplicate")));
}

#[test]
fn a_throttled_stream_is_answered_503_with_when_to_try_again_and_the_retry_goes_through() {
    let fake = KinesisFake::start(&[STREAM]);
    let (gateway, tenant) = start(&fake);
    fake.script(|call| Reply::Entries(vec![Outcome::Throttle; call.entries.len()]));
    let refused = tenant.post(&gateway, &event("one"));
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert_eq!(refused.json()["type"], "urn:tidegate:problem:sink-unavailable");
    assert!(refused.header("retry-after").is_some());
    assert_eq!(metric(&gateway, "tidegate_sink_events_dropped_total{sink=\"raw\"}"), 1);
    assert_eq!(metric(&gateway, "tidegate_sink_events_received_total{sink=\"raw\"}"), 1);
    assert!(gateway.log().contains("events put off"), "A9 asks for a warning");
    fake.script(|_| Reply::Store);
    // Its key is free: it is no duplicate of itself.
    let mut taken = refused;
    wait_until("it is taken", || {
        taken = tenant.post(&gateway, &event("one"));
        taken.status == 202
    });
    assert_eq!(taken.json()["status"], "accepted", "{}", taken.text());
    assert_eq!(fake.stored(STREAM).len(), 1);
}

#[test]
fn of_a_batch_that_fails_in_part_the_sender_learns_which_and_no_event_is_stored_twice() {
    let fake = KinesisFake::start(&[STREAM]);
    let (gateway, tenant) = start(&fake);
    let mut calls = 0;
    fake.script(move |call| {
        calls += 1;
        let fails = |at: usize| calls == 1 && at.is_multiple_of(2);
        let outcome = |at| if fails(at) { Outcome::Fail } else { Outcome::Store };
        Reply::Entries((0..call.entries.len()).map(outcome).collect())
    });
    let events: Vec<Value> = (0..30)
        .map(|number| {
            let mut event = event(&format!("p{number}"));
            event["source"] = format!("b{number}").into();
            event
        })
        .collect();
    let answer = tenant.post_batch(&gateway, &events);
    assert_eq!((answer.status, &answer.json()["accepted"]), (202, &json!(30)), "{}", answer.text());
    let stored = fake.stored_by_key(STREAM);
    assert_eq!(stored.len(), 30);
    assert!(stored.values().all(|records| records.len() == 1), "{stored:?}");
}
