//! Gateways that send to a real Kafka: what arrives, what is answered while the broker does not work,
//! and what survives (B6, C3, D6, D7, E8).

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test: a panic is its failure, and its output is read by people"
)]

mod arrives;
mod killed;
mod notices;
mod outage;
mod redriven;
mod refused;

use serde_json::{Value, json};
use tidegate_testkit::{Gateway, Tenant, kafka};

/// Topics and sinks of one test, whose name they have.
struct Rig {
    gateway: Gateway,
    tenant: Tenant,
    bootstrap: String,
    topic: String,
}

impl Rig {
    /// A gateway with the sinks `audit` and `held`, whose tenant is named after the test.
    fn start(name: &str, more: &[(&str, &str)]) -> Self {
        Self::start_by(name, kafka::shared().bootstrap(), "", more)
    }

    /// The same with another way to the broker, and more settings of the sink `audit`.
    fn start_by(name: &str, bootstrap: String, of_audit: &str, more: &[(&str, &str)]) -> Self {
        let topic = format!("{name}.events");
        let sinks = format!(
            r#"[{{name="audit",topic="{topic}",bootstrap="{bootstrap}"{of_audit}}},
                {{name="held",topic="{name}.held",bootstrap="{bootstrap}"}}]"#
        );
        let mut settings = vec![("SINKS__KAFKA", sinks.as_str())];
        settings.extend_from_slice(more);
        let gateway = Gateway::start_with(&settings);
        let tenant = Tenant::create(&gateway, name);
        Self { gateway, tenant, bootstrap, topic }
    }

    /// Events of one type go to `audit` by their user, and are known by their id.
    fn activate(&self, ack: &str) {
        self.tenant.activate(&self.gateway, &revision(ack, &json!([])));
    }
}

fn revision(ack: &str, rules: &Value) -> Value {
    json!({
        "default_type": "audit",
        "event_types": {
            "audit": {
                "key": "/id", "time": "/at", "source": "/app", "ack": ack,
                "sinks": [{ "sink": "audit", "key": "/user" }],
                "quarantine": "held",
            },
        },
        "rules": rules,
    })
}

fn event(id: &str, user: &str) -> Value {
    json!({ "id": id, "user": user, "at": "2026-01-02T03:04:05Z", "app": "/shop" })
}
