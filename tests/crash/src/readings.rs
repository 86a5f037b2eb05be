//! Readings: events that are made from their key alone, so that they can be sent again whenever,
//! and whose outcome their key tells.
//!
//! A key ends in a number. Of ten in a row the first is rejected, two are quarantined, and the
//! rest accepted; the rules patch all that are stored.

use serde_json::{Value, json};
use tidegate_testkit::{Gateway, Tenant};
use tidegate_types::Status;

/// What must become of a reading the first time that it is judged.
#[must_use]
pub fn expected(key: &str) -> Status {
    match number(key) % 10 {
        0 => Status::Rejected,
        1 | 2 => Status::Quarantined,
        _ => Status::Accepted,
    }
}

fn number(key: &str) -> u64 {
    let number = key.rsplit('-').next().and_then(|text| text.parse().ok());
    number.expect("keys of readings end in a number")
}

/// The reading with this key.
#[must_use]
pub fn reading(key: &str) -> Value {
    let number = number(key);
    let value = if expected(key) == Status::Quarantined { 1000 } else { number % 100 };
    let mut reading = json!({
        "id": key,
        "at": format!("2026-01-{:02}T12:00:00Z", number % 3 + 1),
        "sensor": format!("Roof-{}", number % 7),
        "value": value,
        "note": "x".repeat(usize::try_from(number % 400).unwrap_or(0)),
    });
    if expected(key) == Status::Rejected
        && let Some(members) = reading.as_object_mut()
    {
        members.remove("sensor");
    }
    reading
}

/// The revision that decides readings as [`expected`] says.
#[must_use]
pub fn revision() -> Value {
    json!({
        "default_type": "reading",
        "event_types": { "reading": { "schema": "reading", "key": "/id", "time": "/at" } },
        "rules": [
            { "name": "present", "component": "required", "config": { "fields": [
                { "pointer": "/sensor", "type": "text", "non_empty": true }] } },
            { "name": "plausible", "component": "expectations", "config": { "expectations": [
                { "name": "in-range", "field": "/value", "expect": { "range": { "min": 0, "max": 100 } } }] } },
            { "name": "tidy", "component": "normalize", "config": { "steps": [
                { "set": "/sensor", "lower": "/sensor" },
                { "set": "/unit", "default": "celsius" }] } }
        ]
    })
}

/// A tenant that sends readings.
#[must_use]
pub fn tenant(gateway: &Gateway) -> Tenant {
    let tenant = Tenant::create(gateway, "weather");
    let schema = json!({
        "type": "object",
        "required": ["id"],
        "properties": { "id": { "type": "string" }, "sensor": { "type": "string" }, "value": { "type": "integer" } }
    });
    tenant.schema(gateway, "reading", &schema);
    tenant.activate(gateway, &revision());
    tenant
}

/// The form in which a reading must be stored for delivery.
#[must_use]
pub fn delivered(key: &str) -> Value {
    let mut reading = reading(key);
    if let Some(members) = reading.as_object_mut() {
        let sensor =
            members.get("sensor").and_then(Value::as_str).unwrap_or_default().to_lowercase();
        members.insert("sensor".into(), sensor.into());
        members.insert("unit".into(), "celsius".into());
    }
    reading
}
