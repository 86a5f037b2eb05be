//! The listener around the pipeline: connections, routes, bodies, answers.

pub(crate) mod access;
mod answer;
mod body;
mod challenge;
mod client;
mod outlive;
pub(crate) mod receipts;
mod route;
pub mod serve;

pub use route::{PUBLIC_ROUTES, PublicRoute};
pub use serve::serve;
