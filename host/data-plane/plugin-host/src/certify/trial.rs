//! One rule under trial: a configured component, an instance of it at a time, and batches for it.

use std::sync::Arc;

use tidegate_types::TenantId;
use tidegate_types::problem::ProblemPart;

use super::report::Trouble;
use crate::evaluate::instance::{ConfigureError, Fault, Instance};
use crate::evaluate::outcome::Checked;
use crate::evaluate::rule::split;
use crate::evaluate::source::Source;
use crate::evaluate::{Batch, Row};
use crate::guest::manifest::{Manifest, Source as FieldSource};
use crate::guest::state::Call;
use crate::limits::Limits;
use crate::table::Table;

/// A component that took a configuration.
pub(super) struct Configured {
    pub(super) config: String,
    pub(super) source: Source,
    pub(super) manifest: Arc<Manifest>,
}

/// Why a component cannot be used with a configuration.
pub(super) enum Refusal {
    /// The component says what is wrong with the configuration.
    Config(Vec<ProblemPart>),
    /// The host refuses the manifest.
    Manifest(Vec<ProblemPart>),
    /// The component failed.
    Fault(String),
}

/// Configures a component; answers its instance too.
///
/// # Errors
/// Where the host has no room.
pub(super) async fn configure(
    source: Source,
    limits: &Limits,
) -> Result<Result<Configured, Refusal>, Trouble> {
    let given = match source.start(limits, u32::MAX).await {
        Ok((_, given)) => given,
        Err(ConfigureError::Problems(problems)) => return Ok(Err(Refusal::Config(problems))),
        Err(ConfigureError::Fault(fault)) => return Ok(Err(Refusal::Fault(blame(fault)?))),
    };
    Ok(match Manifest::admit(given) {
        Ok(manifest) => {
            Ok(Configured { config: source.config.clone(), source, manifest: Arc::new(manifest) })
        }
        Err(problems) => Err(Refusal::Manifest(problems)),
    })
}

/// The reason of a fault.
fn blame(fault: Fault) -> Result<String, Trouble> {
    match fault {
        Fault::Transient(_, why) | Fault::Permanent(_, why) => Ok(why),
        Fault::Exhausted => Err(no_room()),
    }
}

fn no_room() -> Trouble {
    Trouble("the host has no room for another instance of a rule".into())
}

/// Events for a rule, with its tables.
#[derive(Clone)]
pub(super) struct Work {
    pub(super) batch: Arc<Batch>,
    pub(super) tables: Arc<[Arc<Table>]>,
}

impl Work {
    pub(super) fn new(
        tenant: &TenantId,
        rows: Vec<Row>,
        given: Option<Arc<[tidegate_event::Document]>>,
        tables: Arc<[Arc<Table>]>,
        manifest: &Manifest,
    ) -> Self {
        let mut batch = Batch::new(tenant.clone(), "certification".into(), rows);
        batch.given = given;
        for field in &manifest.reads {
            if let FieldSource::Occurrence(pointer) = &field.source {
                batch.count_occurrences(&field.text, pointer.as_ref());
            }
        }
        Self { batch: Arc::new(batch), tables }
    }

    pub(super) fn all_rows(&self) -> Vec<u32> {
        (0u32..).take(self.batch.rows.len()).collect()
    }
}

/// Instances of a rule, one after the other: one that faulted is not used again.
pub(super) struct Trial<'c> {
    source: &'c Source,
    manifest: Arc<Manifest>,
    limits: &'c Limits,
    instance: Option<Instance>,
    peak_memory: usize,
}

impl<'c> Trial<'c> {
    pub(super) fn new(configured: &'c Configured, limits: &'c Limits) -> Self {
        Self::of(&configured.source, &configured.manifest, limits)
    }

    /// The same rule made from another source.
    pub(super) fn of(source: &'c Source, manifest: &Arc<Manifest>, limits: &'c Limits) -> Self {
        let manifest = Arc::clone(manifest);
        Self { source, manifest, limits, instance: None, peak_memory: 0 }
    }

    /// Makes an instance, in place of the one that there is.
    pub(super) async fn start(&mut self) -> Result<Result<(), String>, Trouble> {
        self.instance = None;
        match self.source.start(self.limits, u32::MAX).await {
            Ok((mut instance, _)) => {
                instance.admit(Arc::clone(&self.manifest));
                self.peak_memory = self.peak_memory.max(instance.memory_bytes());
                self.instance = Some(instance);
                Ok(Ok(()))
            }
            Err(ConfigureError::Problems(_)) => {
                Ok(Err("the component refuses a configuration that it took before".into()))
            }
            Err(ConfigureError::Fault(fault)) => Ok(Err(blame(fault)?)),
        }
    }

    /// Judges some rows, cut into calls as the host cuts them; rows of the answer are rows of the
    /// batch. Answers the fuel too, which only an engine that counts it uses.
    pub(super) async fn judge(
        &mut self,
        work: &Work,
        rows: &[u32],
    ) -> Result<Result<(Checked, u64), String>, Trouble> {
        let factor = self.manifest.reads.len().max(1);
        let mut said = (Checked::default(), 0);
        for part in split(&work.batch, rows, factor, self.limits.call_input_bytes) {
            let (checked, fuel) = match self.call(work, part).await? {
                Ok(answer) => answer,
                Err(why) => return Ok(Err(why)),
            };
            let row_of = |at: u32| part.get(at as usize).copied().unwrap_or_default();
            for mut finding in checked.findings {
                finding.row = row_of(finding.row);
                said.0.findings.push(finding);
            }
            for mut patch in checked.patches {
                patch.row = row_of(patch.row);
                said.0.patches.push(patch);
            }
            said.1 += fuel;
        }
        Ok(Ok(said))
    }

    async fn call(
        &mut self,
        work: &Work,
        rows: &[u32],
    ) -> Result<Result<(Checked, u64), String>, Trouble> {
        if self.instance.is_none()
            && let Err(why) = self.start().await?
        {
            return Ok(Err(why));
        }
        let Some(mut instance) = self.instance.take() else { return Err(no_room()) };
        let call = Call {
            batch: Arc::clone(&work.batch),
            rows: rows.to_vec(),
            tables: Arc::clone(&work.tables),
        };
        let answer = instance.evaluate_counted(call, self.limits).await;
        self.peak_memory = self.peak_memory.max(instance.memory_bytes());
        match answer {
            Ok(answer) => {
                self.instance = Some(instance);
                Ok(Ok(answer))
            }
            Err(fault) => Ok(Err(blame(fault)?)),
        }
    }

    /// The most linear memory that an instance had, in bytes.
    pub(super) fn peak_memory(&self) -> usize {
        self.peak_memory
    }
}
