//! The ack level `durable` with a sink that is forwarded to, against the same without.

use tidegate_testkit::{Gateway, Tenant, kafka};

use super::gateway;
use crate::http::{self, BATCH, batch, event};
use crate::report::Row;
use crate::wrk::{self, CONNECTIONS};

const SECONDS: u32 = 4;

pub(crate) fn run(rounds: usize) -> anyhow::Result<Vec<Row>> {
    let broker = kafka::shared().bootstrap();
    let (with, tenant) = gateway(&broker, "durable", "durable");
    let without = Gateway::start_with(&[
        ("DEDUP__MAX_KEYS", "40000000"),
        ("WAL__MAX_BYTES", "16GiB"),
        ("LOG__LEVEL", "warn"),
    ]);
    let other = Tenant::create(&without, "bench");
    other.schema(&without, "audit", &http::schema());
    other.activate(&without, &http::revision());
    let (single, batch) = (event(""), batch());
    let mut rows = Vec::new();
    for (case, path, template, factor) in [
        ("single event", "/v1/events", &single, 1.0),
        ("batches of 100", "/v1/events/batch", &batch, BATCH as f64),
    ] {
        let mut rates = Vec::new();
        for round in 0..=rounds {
            let reference = wrk::run(&without.ingress, path, template, &other.headers(), SECONDS)?;
            let value = wrk::run(&with.ingress, path, template, &tenant.headers(), SECONDS)?;
            wait_forwarded(&with);
            if round > 0 {
                rates.push((
                    value.requests_per_second * factor,
                    reference.requests_per_second * factor,
                ));
            }
        }
        let case =
            format!("{case}, {CONNECTIONS} connections, 2 server threads, forwarded to Kafka");
        rows.push(Row::of("sinks/durable", case, "events/s", &rates));
    }
    Ok(rows)
}

/// Waits until the sinks have the whole log, so that no round pays for the one before.
fn wait_forwarded(gateway: &Gateway) {
    let behind = || {
        let status = gateway.status();
        let sinks = status.get("sinks").and_then(serde_json::Value::as_array).cloned();
        sinks.unwrap_or_default().iter().any(|sink| sink.get("lag") != Some(&0.into()))
    };
    while behind() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}
