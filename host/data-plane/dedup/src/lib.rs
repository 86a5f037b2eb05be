//! Idempotency keys: one answer per key for the length of a window. [`Keys`] is where a node has
//! them, in this process or in a store that it shares with others; [`Dedup`] is the store in this
//! process, and what follows is about it.
//!
//! Dedup has two phases. A request *claims* the keys of its events before it does anything with
//! them, and once the log has answered it *commits* them (the outcome is kept for the window) or
//! *releases* them (the key is free again). A key is in one of these states:
//!
//! | state | entered by | left by | another request's claim is answered |
//! |---|---|---|---|
//! | free | start, release, end of the window | claim | [`Claim::New`] |
//! | claimed | claim | hand-over; release, also by dropping [`Claims`]; takeover after the lease | [`Claim::InFlight`]; `New` once the lease has run out |
//! | handed over | [`Claims::hand_over`] | commit, release, drop of [`HandedOver`] | `InFlight` |
//! | unknown | [`HandedOver`] dropped before the log's answer was known | end of the window | `InFlight` |
//! | committed | commit, [`Dedup::restore`] | end of the window | [`Claim::Committed`], or [`Claim::Conflict`] for another payload |
//!
//! Invariants:
//! - What is handed over to the log is never taken over: the hand-over checks and secures each
//!   claim under its shard's lock, so a request whose lease ran out is told before it appends.
//! - The window runs from the millisecond of the first event's id, also after a restart.
//! - No key is given up early. Where there is no room the answer is [`Claim::Full`], and it is
//!   given only after expired keys in all shards were looked for.
//!
//! The store is an index, the log is the truth: recovery refills it with [`Dedup::restore`].
//! Nothing here reads a clock, waits, or has a thread of its own. A key costs
//! 100 to 200 bytes, depending on how full the tables are.

mod claims;
mod key;
mod keys;
mod shard;
mod stats;
mod store;

pub use claims::{Claims, HandedOver, LeaseLost};
pub use key::{DedupKey, Fingerprint};
pub use keys::{
    AppendToken, BoxFuture, Commit, Found, HeldKeys, Holder, Keys, LoggedKeys, Owner, SentKeys,
    Settling, SharedKeys, Unavailable, Wanted,
};
pub use shard::Claim;
pub use stats::DedupStats;
pub use store::{Dedup, DedupOptions, Moment, Restored, Settled};
