//! The native test harness: runs a rule's golden cases without Wasm and without a host.
//!
//! ```no_run
//! # use tidegate_sdk::{Config, Invalid, Manifest, Outcome, Role, Row, Rule};
//! # struct MyRule;
//! # impl Rule for MyRule {
//! #     const NAME: &'static str = "my-rule";
//! #     const ROLE: Role = Role::Validator;
//! #     fn configure(_: &Config<'_>, _: &mut Manifest) -> Result<Self, Invalid> { Ok(Self) }
//! #     fn evaluate(&self, _: &Row<'_>, _: &mut Outcome) {}
//! # }
//! fn golden_cases() {
//!     tidegate_sdk::testing::run_cases::<MyRule>("cases");
//! }
//! ```
//!
//! # Golden cases
//! A case is one JSON file; its name says what it shows. Unknown keys are refused.
//!
//! | key | what it holds |
//! |---|---|
//! | `config` | the rule's configuration, an object |
//! | `tables` | `{NAME: [ROW, …]}`; a row is `{COLUMN: TEXT or null}`, its **first** member the key |
//! | `events` | the batch: an array of JSON objects, judged as they stand, numbers as written |
//! | `host` | for each event its host columns, `{"@event_id": …, "@received_at": …}`; may be left out. `@occurrence` columns that are not given are counted over the case's events |
//! | `expect` | `{"findings": […], "patches": […]}`, each complete and in order of rows, and within a row in the rule's order; a list that is left out is empty |
//! | `expect_problems` | in place of `events` and `expect`: the problems of the configuration, `[{"pointer", "message"}]`, in order; `message` is a part of the whole |
//!
//! A finding is `{"row", "code", "severity", "pointer"?, "detail"?}`: `row` counts from 0, `severity`
//! is `info`, `warn`, `soft` or `hard`, `pointer` is left out where the finding is about no field,
//! and `detail` is compared only where it is given. A patch is `{"row", "op", "pointer", "value"}`:
//! `op` is `set` or `remove`, and `value` (none for a removal) is compared as JSON.
//!
//! Each case is judged as one batch and again row by row: both must say the same, since a host may
//! split and join batches. What the contract demands of a manifest and an outcome is checked too.

use std::path::Path;

use crate::rule::Rule;

mod case;
mod contract;
mod run;

/// Runs every `*.json` file of a folder as a golden case.
///
/// # Panics
/// Where a case is not met, or there is none, with what was expected and what came.
pub fn run_cases<R: Rule>(folder: impl AsRef<Path>) {
    let folder = folder.as_ref();
    let entries = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("the folder {} cannot be read: {error}", folder.display()));
    let mut cases: Vec<_> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    assert!(!cases.is_empty(), "{} holds no case", folder.display());
    cases.sort();
    let mut failures = String::new();
    for path in cases {
        let checked = std::fs::read_to_string(&path)
            .map_err(|error| error.to_string())
            .and_then(|text| check_case::<R>(&text));
        if let Err(failure) = checked {
            failures += &format!("\n{}: {failure}\n", path.display());
        }
    }
    assert!(failures.is_empty(), "{failures}");
}

/// Checks one golden case.
///
/// # Errors
/// What is wrong with the case, or what was expected and what came, for people.
pub fn check_case<R: Rule>(case: &str) -> Result<(), String> {
    run::check::<R>(case::Case::parse(case)?)
}
