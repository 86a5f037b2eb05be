//! What an instance sees of the host.

mod cells;
pub mod contract;
mod imports;
pub(crate) mod log;
pub(crate) mod manifest;
pub(crate) mod meter;
mod pattern;
pub(crate) mod state;
pub(crate) mod wasi;

pub(crate) use contract::bindings;
