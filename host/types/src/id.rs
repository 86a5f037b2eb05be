//! Ids of events and of content.

pub mod digest;
pub mod event_id;
