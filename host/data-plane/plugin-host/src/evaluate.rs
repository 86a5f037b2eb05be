//! Running rules over batches.
//!
//! `plan` chains the rules of a revision; `rule` runs one of them over its rows, splits what is too
//! large and bisects what fails; `instance` makes one call in one store; `outcome` checks what came
//! back; `together` makes one batch of single events; `pool` keeps stores warm, `registry` knows all of them.

pub(crate) mod instance;
pub(crate) mod outcome;
mod plan;
pub(crate) mod pool;
pub(crate) mod registry;
mod rows;
pub(crate) mod rule;
pub(crate) mod source;
mod together;

pub use plan::{
    EvaluateError, FallbackError, Judgement, Plan, PlanError, PlanRule, Replaced, StandIn, Tables,
};
pub use rows::{Batch, Occurrences, Row};
