//! What the tests of this package share: events whose outcome is known by their key, threads that
//! post them, a ledger of what was answered, and a reader of what was stored. For tests alone: it
//! panics where a test would fail.

#![allow(clippy::missing_panics_doc, reason = "a failed step of a test is a panic")]

pub mod answers;
pub mod ledger;
pub mod load;
pub mod log;
pub mod readings;
pub mod segment;
pub mod stored;

pub use ledger::Ledger;
pub use stored::Stored;

/// The seed of a test's random choices: `TIDEGATE_SEED`, or a new one. It is printed, so that a
/// failed run can be tried again.
#[must_use]
pub fn seed() -> u64 {
    let given = std::env::var("TIDEGATE_SEED").ok();
    let seed =
        given.map_or_else(rand::random, |text| text.parse().expect("TIDEGATE_SEED is a number"));
    #[allow(clippy::print_stderr, reason = "the test's runner shows it where the test fails")]
    {
        eprintln!("TIDEGATE_SEED={seed}");
    }
    seed
}
