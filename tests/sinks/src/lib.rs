//! What tests of sinks share: a reader of topics, and gateways whose tenants send to them. For tests
//! alone: it panics where a test would fail.

#![allow(
    clippy::missing_panics_doc,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a failed step of a test is a panic"
)]

pub mod topic;

pub use topic::{Record, read_topic, set_topic, wait_records, write_record};

use std::time::{Duration, Instant};

use tidegate_testkit::Gateway;

/// How long anything may take.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Waits until something is so.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What a gateway says of one of its sinks.
#[must_use]
pub fn sink_status(gateway: &Gateway, name: &str) -> serde_json::Value {
    let status = gateway.status();
    let sinks = status["sinks"].as_array().expect("a list of sinks");
    sinks.iter().find(|sink| sink["name"] == name).cloned().expect("the sink is there")
}

/// The value of a metric with these labels.
#[must_use]
pub fn metric(gateway: &Gateway, series: &str) -> u64 {
    gateway.metric(series) as u64
}
