//! What an author implements, and the instance that runs it.

use std::cell::RefCell;

use crate::batch::{Batch, Plan, Row};
use crate::boundary::Declared;
use crate::outcome::Outcome;

pub(crate) mod config;
pub(crate) mod manifest;

use config::{Config, Invalid, Problem};
use manifest::Manifest;

/// What a rule is for. Rules run in this order; every rule sees every row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Is the event well formed for its purpose?
    Validator,
    /// Is the event plausible?
    Quality,
    /// Adds or changes fields. Only an enricher may declare writes.
    Enricher,
}

/// A rule: configured once, then asked about row after row.
///
/// What it says of a row may depend on that row's fields, the configuration and the reference
/// tables alone: the host splits, joins and repeats batches as it likes.
pub trait Rule: Sized + 'static {
    /// What the component is, as `name` or `name/version`; for people.
    const NAME: &'static str;
    /// What it is for.
    const ROLE: Role;

    /// Reads the configuration and declares every field, table, pattern and code that the rule
    /// will use. Must declare the same for the same configuration, always.
    ///
    /// # Errors
    /// [`Invalid`] stands for a problem that was reported through [`Config::problem`]. Read on
    /// after the first one where that is possible: authors of configurations get all problems.
    fn configure(config: &Config<'_>, manifest: &mut Manifest) -> Result<Self, Invalid>;

    /// Judges one row: adds its findings and patches to `out`.
    fn evaluate(&self, row: &Row<'_>, out: &mut Outcome);

    /// Judges a batch. Override it where whole columns are needed at once, or where a look at them
    /// spares the rows: see [`Batch::all_present`].
    fn evaluate_batch(&self, batch: &Batch<'_>, out: &mut Outcome) {
        for row in batch.rows() {
            out.start_row(&row);
            self.evaluate(&row, out);
        }
    }
}

/// A configured rule with the plan of what it pulls from the host.
#[allow(unreachable_pub, reason = "public on Wasm, where a component's exports hold it")]
pub struct Instance<R> {
    rule: R,
    plan: Plan,
}

impl<R: Rule> Instance<R> {
    pub(crate) fn configure(config: &str) -> Result<(Self, Declared), Vec<Problem>> {
        let value = serde_json::from_str(config).map_err(|error| {
            let message = format!("the configuration must be JSON: {error}");
            vec![Problem { pointer: String::new(), message }]
        })?;
        let problems = RefCell::new(Vec::new());
        let mut manifest = Manifest::default();
        let made = R::configure(&Config::root(&value, &problems), &mut manifest);
        let problems = problems.into_inner();
        match made {
            Ok(rule) if problems.is_empty() => {
                let (declared, plan) = manifest.finish();
                Ok((Self { rule, plan }, declared))
            }
            _ => Err(problems),
        }
    }

    pub(crate) fn evaluate(&self) -> Outcome {
        let batch = Batch::pull(&self.plan);
        let mut out = Outcome::default();
        self.rule.evaluate_batch(&batch, &mut out);
        out
    }
}
