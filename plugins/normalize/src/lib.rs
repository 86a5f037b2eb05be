//! The rule component `normalize`: sets, defaults and normalises fields, step by step. A field
//! that already is as wanted is not touched. The configuration is described in the README beside
//! it.

mod config;
mod slot;
mod step;

use slot::{Changes, Slots};
use step::Step;
use tidegate_sdk::{Batch, Config, Invalid, Manifest, Outcome, Role, Row, Rule};

/// A row's changes are searched in order, which is fast for so many.
const MOST_STEPS: usize = 64;

/// A list of steps.
#[derive(Debug)]
pub struct Normalize {
    slots: Slots,
    steps: Vec<Step>,
}

impl Rule for Normalize {
    const NAME: &'static str = concat!("normalize/", env!("CARGO_PKG_VERSION"));
    const ROLE: Role = Role::Enricher;

    fn configure(config: &Config<'_>, manifest: &mut Manifest) -> Result<Self, Invalid> {
        let mut slots = Slots::default();
        let steps = config.object(&["steps"])?.required("steps")?;
        let steps = steps.each(MOST_STEPS, |step| config::read(step, &mut slots, manifest))?;
        Ok(Self { slots, steps })
    }

    fn evaluate(&self, row: &Row<'_>, out: &mut Outcome) {
        let mut changes = Changes::new(&self.slots, *row);
        self.run(&mut changes, out);
    }

    // One list of changes serves all rows, so that few rows allocate.
    fn evaluate_batch(&self, batch: &Batch<'_>, out: &mut Outcome) {
        let mut changes: Option<Changes<'_>> = None;
        for row in batch.rows() {
            out.start_row(&row);
            let changes = changes.get_or_insert_with(|| Changes::new(&self.slots, row));
            changes.start_row(row);
            self.run(changes, out);
        }
    }
}

impl Normalize {
    fn run<'a>(&'a self, changes: &mut Changes<'a>, out: &mut Outcome) {
        for step in &self.steps {
            step.run(changes);
        }
        changes.patch(out);
    }
}

tidegate_sdk::export!(Normalize);
