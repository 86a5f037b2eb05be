//! What a running gateway tells of itself, as those who monitor it read it (B8, C4, C5, D8, E8).

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail the test")]

mod collector;
mod collector_fake;
mod identity;
mod page;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_testkit::{Gateway, Tenant};

/// A tenant whose events need a name; those without an age are held.
fn revision() -> Value {
    json!({
        "default_type": "t",
        "event_types": { "t": { "schema": "t", "key": "/key" } },
        "rules": [{
            "name": "aged", "component": "required",
            "config": { "fields": [{ "pointer": "/age", "type": "integer", "severity": "soft" }] },
        }],
    })
}

fn start(settings: &[(&str, &str)]) -> (Gateway, Tenant) {
    let gateway = Gateway::start_with(settings);
    let tenant = Tenant::create(&gateway, "acme");
    let schema = json!({ "type": "object", "required": ["name"] });
    tenant.schema(&gateway, "t", &schema);
    tenant.activate(&gateway, &revision());
    (gateway, tenant)
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
