//! The whole gateway over HTTP against a bare server that reads the same bodies: key, schema,
//! `required`, `normalize`, dedup, and a log that is synced before the answer.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use serde_json::json;
use tidegate_testkit::{Connection, Gateway, Tenant};

use crate::report::Row;
use crate::wrk::{self, CONNECTIONS};

const SECONDS: u32 = 4;
pub(crate) const BATCH: usize = 100;

/// The 416-byte audit event, with a key of its own in each request.
pub(crate) fn event(suffix: &str) -> String {
    let event = include_str!("../data/event.json").trim();
    event.replace("\"id\":\"user-7\",\"type\"", &format!("\"id\":\"{{key}}{suffix}\",\"type\""))
}

/// A batch of them, with keys of their own.
pub(crate) fn batch() -> String {
    let events: Vec<String> = (0..BATCH).map(|place| event(&format!("-{place}"))).collect();
    format!("{{\"events\":[{}]}}", events.join(","))
}

/// A server of this program's, as a process of its own.
pub(crate) struct Bare {
    child: Child,
    pub(crate) address: String,
}

impl Bare {
    /// Starts one: its name and what follows the address.
    pub(crate) fn start(name: &str, more: &[&str]) -> anyhow::Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let child = Command::new(std::env::current_exe()?)
            .args([name, &address])
            .args(more)
            .stdin(Stdio::null())
            .spawn()?;
        let bare = Self { child, address };
        while Connection::open(&bare.address).is_err() {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        Ok(bare)
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub(crate) fn revision() -> serde_json::Value {
    json!({
        "default_type": "audit",
        "event_types": { "audit": { "schema": "audit", "key": "/actor/id", "time": "/timestamp" } },
        "rules": [
            { "name": "required", "component": "required", "config": { "fields": [
                { "pointer": "/actor/id", "type": "text", "non_empty": true },
                { "pointer": "/action/name", "type": "text", "non_empty": true },
                { "pointer": "/resource/type", "type": "text", "non_empty": true },
                { "pointer": "/resource/id", "type": "text", "non_empty": true } ] } },
            { "name": "normalize", "component": "normalize", "config": { "steps": [
                { "set": "/action/name", "lower": "/action/name" },
                { "set": "/event_date", "date": "/timestamp", "fallback": "@received_at" },
                { "set": "/event_id", "host": "@event_id" },
                { "set": "/received_at", "host": "@received_at" },
                { "set": "/processing/node", "host": "@node" } ] } }
        ]
    })
}

pub(crate) fn schema() -> serde_json::Value {
    json!({
        "type": "object",
        "required": ["actor", "action", "resource", "timestamp"],
        "properties": {
            "actor": { "type": "object", "required": ["id"], "properties": { "id": { "type": "string", "minLength": 1 }, "type": { "type": "string" }, "email": { "type": "string" } } },
            "action": { "type": "object", "required": ["name"], "properties": { "name": { "type": "string", "minLength": 1 } } },
            "resource": { "type": "object", "required": ["type", "id"], "properties": { "type": { "type": "string" }, "id": { "type": "string" } } },
            "timestamp": { "type": "string" },
            "result": { "type": "object", "properties": { "success": { "type": "boolean" }, "code": { "type": "integer" } } },
            "metadata": { "type": "object" }
        }
    })
}

/// Measures single events and batches, the two servers in turn.
pub(crate) fn run(rounds: usize) -> anyhow::Result<Vec<Row>> {
    let bare = Bare::start("bare", &[])?;
    // Threads as cores; the store of keys must hold what the runs send.
    let gateway = Gateway::start_with(&[
        ("DEDUP__MAX_KEYS", "40000000"),
        ("WAL__MAX_BYTES", "16GiB"),
        ("LOG__LEVEL", "warn"),
    ]);
    let tenant = Tenant::create(&gateway, "bench");
    tenant.schema(&gateway, "audit", &schema());
    tenant.activate(&gateway, &revision());
    let single = event("");
    let batch = batch();
    let mut rows = Vec::new();
    for (case, path, template, factor) in [
        ("single event", "/v1/events", &single, 1.0),
        ("batches of 100", "/v1/events/batch", &batch, BATCH as f64),
    ] {
        let (mut rates, mut tails) = (Vec::new(), Vec::new());
        let headers = tenant.headers();
        // The first round warms both up and does not count.
        for round in 0..=rounds {
            let reference = wrk::run(&bare.address, path, template, &headers, SECONDS)?;
            let value = wrk::run(&gateway.ingress, path, template, &headers, SECONDS)?;
            if round > 0 {
                rates.push((
                    value.requests_per_second * factor,
                    reference.requests_per_second * factor,
                ));
                tails.push((value.p99_ms, reference.p99_ms));
            }
        }
        let case = format!("{case}, {CONNECTIONS} connections, 2 server threads");
        rows.push(Row::of("http", case.clone(), "events/s", &rates));
        rows.push(Row::of("http", format!("{case}, p99"), "ms", &tails));
    }
    Ok(rows)
}
