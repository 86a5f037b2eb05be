//! Posting to a gateway that a test plays: over real sockets, with every fault that a network and a
//! busy server have.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test panics")]

mod chaos;
mod input;
mod retry;
mod server;
mod support;
