//! The listener around the pipeline: connections, routes, bodies, answers.

pub(crate) mod access;
pub(crate) mod anonymous;
mod answer;
mod body;
mod client;
mod outlive;
pub(crate) mod receipts;
mod route;
pub mod serve;

pub use route::{PUBLIC_ROUTES, PublicRoute};
pub use serve::serve;
