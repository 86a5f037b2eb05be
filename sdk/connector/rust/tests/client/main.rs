//! The client against a server whose every answer a test decides, by the tables that the connectors of
//! all languages are held to; and against the real gateway.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test panics")]

mod exchanges;
mod gateway;
mod server;
mod spooler;
#[cfg(feature = "tls")]
mod tls;
mod waits;
