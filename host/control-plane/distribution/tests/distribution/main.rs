//! Pulling and publishing against a real registry, and against registries that misbehave.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test panics")]

mod played;
mod real;
mod refused;
mod support;
