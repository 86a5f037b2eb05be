//! The rule component `required`: fields that must be there, with their type, content and format.
//! Its configuration is described in the README beside it.

mod field;
mod format;

use field::Requirement;
use tidegate_sdk::{Batch, Config, Invalid, Manifest, Outcome, Role, Row, Rule};

/// Each field has at most one finding, and hosts bound the findings of a row.
const MOST_FIELDS: usize = 64;

/// A validator of required fields.
#[derive(Debug)]
pub struct Required {
    requirements: Vec<Requirement>,
}

impl Rule for Required {
    const NAME: &'static str = concat!("required/", env!("CARGO_PKG_VERSION"));
    const ROLE: Role = Role::Validator;

    fn configure(config: &Config<'_>, manifest: &mut Manifest) -> Result<Self, Invalid> {
        let fields = config.object(&["fields"])?.required("fields")?;
        let requirements =
            fields.each(MOST_FIELDS, |field| Requirement::configure(field, manifest))?;
        Ok(Self { requirements })
    }

    fn evaluate(&self, row: &Row<'_>, out: &mut Outcome) {
        for requirement in &self.requirements {
            requirement.evaluate(row, out);
        }
    }

    fn evaluate_batch(&self, batch: &Batch<'_>, out: &mut Outcome) {
        let broken = |it: &&Requirement| !it.is_met_by_all(batch);
        let broken: Vec<_> = self.requirements.iter().filter(broken).collect();
        if broken.is_empty() {
            return;
        }
        for row in batch.rows() {
            out.start_row(&row);
            broken.iter().for_each(|requirement| requirement.evaluate(&row, out));
        }
    }
}

tidegate_sdk::export!(Required);
