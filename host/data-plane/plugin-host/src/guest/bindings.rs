//! The contract's bindings, generated from `wit/v1.0.0`. Exports run on a fibre, so that a long
//! call can yield; imports are plain functions.

#![allow(unreachable_pub, clippy::indexing_slicing, clippy::unwrap_used, reason = "generated code")]

wasmtime::component::bindgen!({
    path: "../../../wit/v1.0.0",
    world: "rule",
    exports: { default: async },
    imports: { default: trappable },
});

pub use exports::tidegate::rules::rules as contract;
pub use tidegate::rules::{batch, kernels, log, tables, types};
