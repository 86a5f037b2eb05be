//! Judging events once more, with no effect on them: a copy of live traffic by a candidate (a
//! shadow), stored events by another revision (a replay), one stored event by its own (an
//! explanation), one in quarantine by the active revision (a release). All of them go through
//! `judge`, and `diff` says what came out differently.

pub mod diff;
pub mod envelope;
pub mod explain;
pub mod judge;
pub mod sample;
pub mod shadow;

pub use crate::event::context::{Context, InvalidContext};
pub use diff::{Diff, DiffReport};
pub use envelope::Facts;
pub use explain::{Explanation, explain};
pub use judge::{Outcome, Recorded, Subject, WhenBusy, compare};
