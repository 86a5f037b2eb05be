//! Bodies that are made to cost much: time, memory, or the strictness that others rely on.

use std::time::{Duration, Instant};

use tidegate_e2e::{problem, receipts};

use crate::encoding::peak_memory;
use crate::{assert_unharmed, post, start};

/// A body of the greatest size is read in a fraction of this.
const LONG: Duration = Duration::from_secs(10);

fn members(count: usize, repeated: usize) -> String {
    let mut out: Vec<_> = (0..count).map(|n| format!("\"{n}\":0")).collect();
    out.extend(std::iter::repeat_n(format!("\"{}\":0", count - 1), repeated));
    format!("{{{}}}", out.join(","))
}

/// Names that come twice are found in time that grows with the body, not with its square.
#[test]
fn repeated_names_cost_no_more_than_others() {
    let (gateway, tenant) = start(&[]);
    for body in [members(200_000, 0), members(200_000, 150_000)] {
        let begun = Instant::now();
        let answer = post(&gateway, &tenant, "/v1/events", "application/json", body.as_bytes());
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(begun.elapsed() < LONG, "{:?} for {} bytes", begun.elapsed(), body.len());
    }
    assert_unharmed(&gateway, &tenant);
}

/// What is told of a wrong event takes no more memory than the event.
#[test]
fn places_of_faults_cost_little_memory() {
    let (gateway, tenant) = start(&[]);
    let long = "n".repeat(32 << 10);
    let body = format!("{{\"events\":[{{\"{long}\":{}}}]}}", members(1, 10_000));
    let before = peak_memory(&gateway);
    let answer = post(&gateway, &tenant, "/v1/events/batch", "application/json", body.as_bytes());
    assert_eq!(receipts(&answer)[0]["status"], "rejected");
    let grown = peak_memory(&gateway) - before;
    assert!(grown < 64 << 20, "{grown} bytes of memory for a body of {}", body.len());
    assert_unharmed(&gateway, &tenant);
}

/// However much is wrong with one event, what is wrong with the next is still seen.
#[test]
fn a_very_wrong_event_does_not_hide_the_next() {
    let (gateway, tenant) = start(&[]);
    let body = format!("{{\"events\":[{},{{\"a\":1,\"a\":2}},{{\"a\":1}}]}}", members(1, 12_000));
    let answer = post(&gateway, &tenant, "/v1/events/batch", "application/json", body.as_bytes());
    let statuses: Vec<_> =
        receipts(&answer).iter().map(|receipt| receipt["status"].clone()).collect();
    assert_eq!(statuses, ["rejected", "rejected", "accepted"]);
    assert_unharmed(&gateway, &tenant);
}

/// Findings are bounded, however many places of an event break its schema.
#[test]
fn findings_are_bounded() {
    let (gateway, tenant) = start(&[]);
    tenant.schema(
        &gateway,
        "texts",
        &serde_json::json!({ "properties": { "list": { "items": { "type": "string" } } } }),
    );
    tenant.activate(
        &gateway,
        &serde_json::json!({ "default_type": "t", "event_types": { "t": { "schema": "texts" } } }),
    );
    let body = format!("{{\"list\":[{}]}}", vec!["1"; 100_000].join(","));
    let answer = post(&gateway, &tenant, "/v1/events", "application/json", body.as_bytes());
    let rejected = problem(&answer, 400, "event-rejected");
    let findings = rejected["findings"].as_array().unwrap();
    assert!((1..=64).contains(&findings.len()), "{} findings", findings.len());
    assert_eq!(findings[0]["pointer"], "/list/0");
    tidegate_e2e::assert_quiet(&gateway);
}
