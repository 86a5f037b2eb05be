//! Admission as tenants and admins meet it: a version is stored at once, a job puts it to the proof,
//! and only what was admitted can judge events, also when the gateway is killed in between.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail the test")]

mod cases;
mod crash;
mod jobs;
mod limited;
mod quotas;

use serde_json::{Value, json};
use tidegate_testkit::{Gateway, Tenant};

const JSON: &str = "application/json";
const STEPS: [&str; 6] = ["scanned", "compiled", "linked", "configured", "self-tested", "costed"];

fn start_with(settings: &[(&str, &str)]) -> (Gateway, Tenant) {
    let gateway = Gateway::start_with(settings);
    let tenant = Tenant::create(&gateway, "acme");
    (gateway, tenant)
}

/// A good component of its own: the built-in rule with one case, which holds this text.
fn component(text: &str) -> Vec<u8> {
    let required = tidegate_plugins::find("required").unwrap().component;
    tidegate_testkit::component::of_its_own(required, text)
}

fn states(job: &Value) -> Vec<&str> {
    job["steps"].as_array().unwrap().iter().map(|step| step["state"].as_str().unwrap()).collect()
}

fn get(gateway: &Gateway, path: &str) -> Value {
    let answer = gateway.admin("GET", path, JSON, b"");
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

/// A revision with one rule of this component.
fn using(reference: &str) -> Value {
    json!({
        "default_type": "event",
        "event_types": { "event": {} },
        "rules": [{ "name": "ids", "component": reference, "config": { "fields": [{ "pointer": "/id" }] } }],
    })
}
