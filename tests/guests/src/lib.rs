//! The components that the tests run.

/// The component that misbehaves as its configuration says: see `programs/hostile`.
pub const HOSTILE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hostile.wasm"));

/// The component that uses every function of the newest contract: see `programs/golden`.
pub const GOLDEN: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/golden.wasm"));

/// A component of the draft of the next major: see `programs/preview`.
pub const PREVIEW: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/preview.wasm"));
