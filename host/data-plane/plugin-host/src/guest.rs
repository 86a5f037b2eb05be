//! What an instance sees of the host.

pub(crate) mod bindings;
mod cells;
mod imports;
pub(crate) mod log;
pub(crate) mod manifest;
pub(crate) mod meter;
mod pattern;
pub(crate) mod state;
pub(crate) mod wasi;
