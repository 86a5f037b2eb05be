//! The plugin platform in running gateways: what swaps, many tenants and bad neighbours cost those
//! who post, and how long a swap takes.

#![allow(clippy::indexing_slicing, reason = "an index into JSON gives null where there is none")]

pub(crate) mod fleet;
mod load;
pub(crate) mod neighbours;
pub(crate) mod nodes;
mod stored;
pub(crate) mod swaps;

use serde_json::{Value, json};
use tidegate_testkit::{Connection, Gateway, Tenant};

/// Room for all that a run sends; only warnings in the log.
const SETTINGS: [(&str, &str); 3] =
    [("DEDUP__MAX_KEYS", "40000000"), ("WAL__MAX_BYTES", "16GiB"), ("LOG__LEVEL", "warn")];

/// Rules of three kinds; each event gets a finding whose code is `name`. `components` stand for
/// `required`, `expectations` and `normalize`.
fn revision(name: &str, components: [&str; 3]) -> Value {
    let [required, expectations, normalize] = components;
    json!({
        "default_type": "thing",
        "event_types": { "thing": { "key": "/id" } },
        "rules": [
            { "name": "present", "component": required, "config": { "fields": [{ "pointer": "/id", "type": "text" }] } },
            { "name": "seen", "component": expectations, "config": { "expectations": [
                { "name": name, "field": "/id", "expect": { "set": ["none"] }, "severity": "warn" }] } },
            { "name": "mark", "component": normalize, "config": { "steps": [{ "set": "/judge", "constant": name }] } }
        ]
    })
}

/// The components that every gateway has.
const BUILT_IN: [&str; 3] = ["required", "expectations", "normalize"];

/// Stores a revision; answers its digest.
fn draft(gateway: &Gateway, tenant: &Tenant, document: &Value) -> anyhow::Result<String> {
    let stored = tenant.revision(gateway, document);
    let digest = stored.json()["digest"].as_str().map(str::to_owned);
    digest.ok_or_else(|| anyhow::anyhow!("{} {}", stored.status, stored.text()))
}

/// Posts one event; answers whether `name` judged it.
fn is_judged_by(
    connection: &mut Connection,
    tenant: &Tenant,
    id: &str,
    name: &str,
) -> anyhow::Result<bool> {
    let answer = tenant.post_batch_on(connection, &[json!({ "id": id })])?;
    anyhow::ensure!(answer.status == 202, "{} {}", answer.status, answer.text());
    let body = answer.json();
    let findings = body.pointer("/receipts/0/findings").and_then(Value::as_array);
    Ok(findings.is_some_and(|all| all.iter().any(|finding| finding["code"] == name)))
}
