//! The admin API over real sockets, with a catalog on disk and a data plane that records.

mod access;
mod bad_requests;
mod failures;
mod harness;
mod journey;
mod lifetime;
mod tables;
