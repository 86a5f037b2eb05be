//! The sink at real sockets: against a fake that fails as it is told, and against servers that others
//! wrote; what CloudWatch is told, against moto.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "in a test a panic is a failure told"
)]

mod cloudwatch;
mod limits;
mod log;
mod order;
mod servers;
mod support;
mod trouble;
