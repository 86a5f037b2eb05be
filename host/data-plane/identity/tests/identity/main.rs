//! Tokens against keys as they come from outside: published vectors, attacks, and servers that play
//! an issuer well or badly.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail the test")]

mod attacks;
mod fetching;
mod served;
mod support;
mod trust;
mod wycheproof;
