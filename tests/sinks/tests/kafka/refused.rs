//! What the broker or a rule does not let pass.

use serde_json::json;
use tidegate_sink_tests::{metric, read_topic, wait_records};
use tidegate_testkit::kafka;

use crate::{Rig, event};

#[test]
fn what_is_too_large_for_a_record_is_a_dead_letter_and_others_pass() {
    let small = ",max_message_bytes=2000";
    let rig = Rig::start_by("too-large", kafka::shared().bootstrap(), small, &[]);
    rig.activate("durable");
    let mut large = event("large", "ann");
    large["more"] = "x".repeat(5000).into();
    for event in [&event("a", "ann"), &large, &event("b", "ann")] {
        assert_eq!(rig.tenant.post(&rig.gateway, event).status, 202);
    }
    let records = wait_records(&rig.bootstrap, &rig.topic, 2);
    let ids: Vec<_> = records.iter().map(|record| record.json()["id"].clone()).collect();
    assert_eq!(ids, ["a", "b"]);
    let letters = wait_records(&rig.bootstrap, &format!("{}.dlq", rig.topic), 1);
    let [letter] = letters.as_slice() else { panic!("{letters:?}") };
    assert_eq!(letter.headers["tidegate-dead-code"], "too-large");
    assert_eq!(letter.headers["tidegate-dead-sink"], "audit");
    assert_eq!(letter.headers["tidegate-tenant"], "too-large");
    assert!(letter.value.is_empty(), "as large as the event, it would be refused as well");
    assert_eq!(metric(&rig.gateway, "tidegate_sink_messages_rejected_total{sink=\"audit\"}"), 2);
}

#[test]
fn with_the_ack_level_delivered_the_sender_learns_that_its_event_is_too_large() {
    let small = ",max_message_bytes=2000";
    let rig = Rig::start_by("refused", kafka::shared().bootstrap(), small, &[]);
    rig.activate("delivered");
    let mut large = event("large", "ann");
    large["more"] = "x".repeat(5000).into();
    let answer = rig.tenant.post(&rig.gateway, &large);
    assert_eq!(answer.status, 400, "{}", answer.text());
    let findings = &answer.json()["findings"];
    assert_eq!(findings[0]["code"], "sink-rejected", "{findings}");
    let batch = [event("a", "ann"), large.clone(), event("b", "ann")];
    let answer = rig.tenant.post_batch(&rig.gateway, &batch);
    let body = answer.json();
    assert_eq!((answer.status, &body["accepted"]), (202, &json!(2)), "{}", answer.text());
    let statuses: Vec<_> =
        body["receipts"].as_array().unwrap().iter().map(|one| one["status"].clone()).collect();
    assert_eq!(statuses, ["accepted", "rejected", "accepted"]);
    // Its key is free: mended, it passes.
    let mended = rig.tenant.post(&rig.gateway, &event("large", "ann"));
    assert_eq!(mended.status, 202, "{}", mended.text());
    assert_eq!(read_topic(&rig.bootstrap, &rig.topic).len(), 3);
}

#[test]
fn what_a_rule_holds_goes_to_the_quarantine_sink() {
    for (name, ack) in [("held-durable", "durable"), ("held-delivered", "delivered")] {
        let rig = Rig::start(name, &[]);
        let rule = json!({
            "name": "who", "component": "required",
            "config": { "fields": [{ "pointer": "/user", "severity": "soft" }] },
        });
        let document = crate::revision(ack, &json!([rule]));
        rig.tenant.activate(&rig.gateway, &document);
        let anonymous = json!({ "id": "x", "at": "2026-01-02T03:04:05Z" });
        let answer = rig.tenant.post_batch(&rig.gateway, &[event("a", "ann"), anonymous.clone()]);
        let body = answer.json();
        assert_eq!(body["receipts"][1]["status"], "quarantined", "{}", answer.text());
        let held = wait_records(&rig.bootstrap, &format!("{name}.held"), 1);
        let [held] = held.as_slice() else { panic!("{held:?}") };
        assert_eq!(held.json(), anonymous);
        let findings: serde_json::Value =
            serde_json::from_str(&held.headers["tidegate-findings"]).unwrap();
        assert_eq!(findings[0]["pointer"], "/user", "{findings}");
        assert_eq!(wait_records(&rig.bootstrap, &rig.topic, 1).len(), 1);
    }
}

#[test]
fn a_revision_that_names_what_is_not_there_is_refused_with_the_place() {
    let rig = Rig::start("unknown", &[]);
    let document = json!({ "default_type": "a", "event_types": { "a": {
        "ack": "delivered", "sinks": [{ "sink": "nowhere" }, { "sink": "audit", "required": false }],
    } } });
    let answer = rig.tenant.revision(&rig.gateway, &document);
    assert_eq!(answer.status, 400, "{}", answer.text());
    let body = answer.json();
    let errors = body["errors"].as_array().unwrap();
    assert_eq!(errors[0]["pointer"], "/event_types/a/sinks/0/sink");
    assert!(errors[0]["detail"].as_str().unwrap().contains("there are `audit`, `held`"), "{body}");
}
