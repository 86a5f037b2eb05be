//! Revisions that tests activate.

use serde_json::{Value, json};

/// One event type, its key at `/key`, and no rule.
#[must_use]
pub fn plain() -> Value {
    json!({ "default_type": "event", "event_types": { "event": { "key": "/key" } } })
}

/// Audit events: four required fields, a soft format, a quality rule, a normalising enricher.
#[must_use]
pub fn audit() -> Value {
    json!({
        "default_type": "audit",
        "event_types": { "audit": { "key": "/key", "time": "/timestamp" } },
        "rules": [
            { "name": "fields", "component": "required", "config": { "fields": [
                { "pointer": "/actor/id", "type": "text", "non_empty": true },
                { "pointer": "/action/name", "type": "text", "non_empty": true },
                { "pointer": "/resource/type", "type": "text", "non_empty": true },
                { "pointer": "/resource/id", "type": "text", "non_empty": true },
                { "pointer": "/timestamp", "type": "text", "format": "date-time", "severity": "soft" },
            ] } },
            { "name": "quality", "component": "expectations", "config": { "expectations": [
                { "name": "score-range", "field": "/score", "expect": { "range": { "min": 0, "max": 1 } }, "severity": "warn" },
            ] } },
            { "name": "tidy", "component": "normalize", "config": { "steps": [
                { "set": "/event_id", "host": "@event_id" },
                { "set": "/received_at", "host": "@received_at" },
                { "set": "/event_date", "date": "/timestamp", "fallback": "@received_at" },
                { "set": "/processing/node", "host": "@node" },
                { "set": "/action/name", "lower": "/action/name" },
            ] } },
        ],
    })
}

/// An event that `audit` accepts.
#[must_use]
pub fn audit_event(key: &str) -> Value {
    json!({
        "key": key,
        "actor": { "id": "u-1" },
        "action": { "name": "Login" },
        "resource": { "type": "app", "id": "7" },
        "timestamp": "2026-11-21T09:00:00Z",
    })
}
