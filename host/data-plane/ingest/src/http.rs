//! The listener around the pipeline: connections, routes, bodies, answers.

mod answer;
mod body;
mod outlive;
mod route;
pub mod serve;

pub use serve::serve;
