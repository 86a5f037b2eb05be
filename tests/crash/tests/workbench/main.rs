//! The quarantine workbench: events that rules hold are found, shown, released once and discarded,
//! one by one and in jobs that survive SIGKILL (P5, D5).

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test: a panic is its failure")]

#[cfg(test)]
mod bench;
#[cfg(test)]
mod decisions;
#[cfg(test)]
mod jobs;
#[cfg(test)]
mod looking;
