//! Hostile and odd components in the real plugin host: each is refused or contained.

#![allow(clippy::indexing_slicing, reason = "a failed step of a test is a panic")]

mod cache;
mod faults;
mod golden;
mod outcomes;
mod poison;
mod refused;
mod sharing;
mod support;
