//! The hostile component, and a sandbox that tests run it in.

/// The component that misbehaves as its configuration says: see `programs/hostile`.
pub const HOSTILE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hostile.wasm"));
