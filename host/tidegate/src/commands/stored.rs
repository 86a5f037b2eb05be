//! Commands about events that are stored: why one was judged as it was, and what is decided about
//! those that rules hold.

pub(super) mod dlq;
pub(super) mod explain;
pub(super) mod quarantine;
