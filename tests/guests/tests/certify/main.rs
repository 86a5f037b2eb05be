//! Components put to the proof: what passes, where each bad one fails, with which place and hint,
//! and what the host does when it is itself unable.

#![allow(clippy::indexing_slicing, reason = "a failed step of a test is a panic")]

mod bad;
mod differences;
mod good;
mod hostile;
mod limited;
mod support;
mod trouble;
