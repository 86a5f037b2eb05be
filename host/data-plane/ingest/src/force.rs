//! What is in force: the immutable state that requests read through one pointer.

pub mod keys;
pub mod revision;
pub mod rollout;
pub mod snapshot;
pub mod stats;
