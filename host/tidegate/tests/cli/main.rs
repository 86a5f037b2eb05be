//! The command line as people and scripts use it: the real binary, against servers that a test
//! plays over real sockets.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test panics")]

mod admin;
mod admission;
mod distribution;
mod errors;
mod pack;
mod post;
mod server;
mod support;
