//! Hostile and odd components in the real plugin host: each is refused or contained.

#![allow(clippy::indexing_slicing, reason = "a failed step of a test is a panic")]

mod breaker;
mod cache;
mod fairness;
mod faults;
mod golden;
mod limits;
mod observed;
mod outcomes;
mod poison;
mod refused;
mod support;
mod warm;
