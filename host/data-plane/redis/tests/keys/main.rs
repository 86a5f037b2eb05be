//! Idempotency keys behind their one interface: the same suite over the store in the process and over
//! a real Redis, and what is Redis's alone: trouble with the server, and catching up from the log.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "in a test a panic is a failure told"
)]

mod catch_up;
mod model;
mod suite;
mod support;
mod trouble;
