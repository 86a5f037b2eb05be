//! What nodes share in Redis. The one crate that speaks to it.
//!
//! [`connection`] keeps one connection to a server that is fit to be used, and says why where there
//! is none; [`dedup`] keeps idempotency keys there, [`buckets`] what quotas have left. Only commands and
//! scripts of one key are used.

pub mod buckets;
pub mod connection;
pub mod dedup;

pub use buckets::RedisBuckets;
pub use connection::{Link, RedisOptions};
pub use dedup::{RedisKeys, RedisKeysOptions};
