//! Gateways that share their keys in a real Redis: killed at each step between claim and answer, cut
//! off from Redis under load, and sent the same events at once (A4, A10, A11).

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test: a panic is its failure, and its output is read by people"
)]

mod fleet;
mod nodes;
mod outage;
mod points;

use std::time::{Duration, Instant};

use tidegate_testkit::Gateway;

const PATIENCE: Duration = Duration::from_secs(60);

/// Settings of a gateway that keeps its keys in Redis, and more.
fn settings<'a>(url: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let own = [("DEDUP__STORE", "redis"), ("REDIS__URL", url)];
    own.into_iter().chain(more.iter().copied()).collect()
}

/// A counter of a gateway's metrics.
fn metric(gateway: &Gateway, name: &str) -> u64 {
    let text = gateway.admin("GET", "/metrics", "text/plain", b"").text();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

/// Events that this process of the gateway found stored before.
fn duplicates(gateway: &Gateway) -> u64 {
    metric(gateway, "tidegate_dedup_duplicates_stored_total")
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
