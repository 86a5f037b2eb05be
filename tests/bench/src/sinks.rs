//! Events on their way to a sink: the whole gateway with a real Kafka against a server that hands bodies
//! to the same broker unread, and the forwarder as a library.

pub(crate) mod bare;
pub(crate) mod durable;
pub(crate) mod forwarder;
pub(crate) mod kafka;
pub(crate) mod sustained;

use serde_json::{Value, json};
use tidegate_testkit::{Gateway, Tenant};

use crate::http;

/// A gateway whose events go to a topic, with key, schema, two rules and idempotency keys.
pub(crate) fn gateway(bootstrap: &str, topic: &str, ack: &str) -> (Gateway, Tenant) {
    let sinks = format!(
        r#"[{{name="out",topic="{topic}",bootstrap="{bootstrap}"}},{{name="held",topic="{topic}.held",bootstrap="{bootstrap}"}}]"#
    );
    let gateway = Gateway::start_with(&[
        ("DEDUP__MAX_KEYS", "40000000"),
        ("WAL__MAX_BYTES", "16GiB"),
        ("LOG__LEVEL", "warn"),
        ("SINKS__KAFKA", &sinks),
    ]);
    let tenant = Tenant::create(&gateway, "bench");
    tenant.schema(&gateway, "audit", &http::schema());
    tenant.activate(&gateway, &revision(ack));
    (gateway, tenant)
}

/// The revision of the benchmark without sinks, with them: records are spread over partitions.
fn revision(ack: &str) -> Value {
    let mut revision = http::revision();
    if let Some(route) = revision.pointer_mut("/event_types/audit").and_then(Value::as_object_mut) {
        route.insert("ack".to_owned(), ack.into());
        route.insert("sinks".to_owned(), json!([{ "sink": "out", "key": "/actor/id" }]));
        route.insert("quarantine".to_owned(), "held".into());
    }
    revision
}
