//! The admin API over real sockets, with a catalog on disk and a data plane that records.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail the test")]

mod access;
mod admission;
mod bad_requests;
mod failures;
mod harness;
mod journey;
mod lifetime;
mod tables;
