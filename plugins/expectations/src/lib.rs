//! The rule component `expectations`: what is expected of fields, as data-quality checks. Each
//! expectation's name is the code of its findings. The configuration is described in the README
//! beside it.

mod config;
mod expectation;
mod key;

use expectation::Expectation;
use tidegate_sdk::{Batch, Config, Invalid, Manifest, Outcome, Role, Row, Rule};

/// Each expectation has at most one finding, and hosts bound the findings of a row.
const MOST_EXPECTATIONS: usize = 64;

/// A list of expectations.
#[derive(Debug)]
pub struct Expectations {
    expectations: Vec<Expectation>,
}

impl Rule for Expectations {
    const NAME: &'static str = concat!("expectations/", env!("CARGO_PKG_VERSION"));
    const ROLE: Role = Role::Quality;

    fn configure(config: &Config<'_>, manifest: &mut Manifest) -> Result<Self, Invalid> {
        let list = config.object(&["expectations"])?.required("expectations")?;
        let mut names = Vec::new();
        let expectations =
            list.each(MOST_EXPECTATIONS, |entry| config::read(entry, &mut names, manifest))?;
        Ok(Self { expectations })
    }

    fn evaluate(&self, row: &Row<'_>, out: &mut Outcome) {
        for expectation in &self.expectations {
            expectation.evaluate(row, out);
        }
    }

    fn evaluate_batch(&self, batch: &Batch<'_>, out: &mut Outcome) {
        let broken = |it: &&Expectation| !it.is_met_by_all(batch);
        let broken: Vec<_> = self.expectations.iter().filter(broken).collect();
        if broken.is_empty() {
            return;
        }
        for row in batch.rows() {
            out.start_row(&row);
            broken.iter().for_each(|expectation| expectation.evaluate(&row, out));
        }
    }
}

tidegate_sdk::export!(Expectations);
