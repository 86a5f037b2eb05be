//! The bindings of the newest released contract, generated from `wit/v1.1.0`; a test holds the
//! folder to `SUPPORTED`. They serve every 1.x: a minor only adds functions, and names of one major are
//! one track to wasmtime's linker. Exports run on a fibre, so that a long call can yield; imports
//! are plain functions.

#![allow(unreachable_pub, clippy::indexing_slicing, clippy::unwrap_used, reason = "generated code")]

wasmtime::component::bindgen!({
    path: "../../../wit/v1.1.0",
    world: "rule",
    exports: { default: async },
    imports: { default: trappable },
});

pub use exports::tidegate::rules::rules as contract;
pub use tidegate::rules::{batch, kernels, log, tables, types};
