//! What the end-to-end tests share: revisions, requests as bytes, and reading of answers. For tests
//! alone: it panics where a test would fail.

#![allow(
    clippy::missing_panics_doc,
    clippy::indexing_slicing,
    reason = "a failed step of a test is a panic"
)]

pub mod answer;
pub mod request;
pub mod revision;

pub use answer::{findings, problem, receipts, statuses};
pub use request::bytes;

use tidegate_testkit::Gateway;

/// The gateway has logged nothing that an operator must look at.
pub fn assert_quiet(gateway: &Gateway) {
    let log = gateway.log();
    let loud: Vec<_> =
        log.lines().filter(|line| line.contains(" WARN ") || line.contains(" ERROR ")).collect();
    assert!(loud.is_empty(), "logged:\n{}", loud.join("\n"));
}
