//! A rule: an admitted component with its configuration, run over rows.
//!
//! A batch that is too large for one call is split. A batch that fails is bisected, so that one
//! poison event costs itself alone: at most 2·⌈log2(n)⌉+2 tries, and what is left then takes the
//! rule's policy. Single events that were joined are judged one by one instead. A single row that ran out of time or memory is tried once more on a fresh store.

use std::sync::Arc;

use tidegate_types::Digest;

use super::instance::{ConfigureError, Fault, Instance};
use super::outcome::{Checked, RowFinding, RowPatch};
use super::pool::Pool;
use super::rows::Batch;
use super::source::Source;
use crate::guest::contract::ContractVersion;
use crate::guest::manifest::Manifest;
use crate::guest::state::Call;
use crate::host::SharedLimits;
use crate::table::Table;

/// What a rule said of its rows; rows are indexes into the batch.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) findings: Vec<RowFinding>,
    pub(crate) patches: Vec<RowPatch>,
    /// Rows that the rule could not judge, and why.
    pub(crate) faults: Vec<(u32, Arc<str>)>,
}

/// An admitted component with its configuration.
pub(crate) struct Rule {
    pub(crate) component: Digest,
    pub(crate) contract: ContractVersion,
    pub(crate) source: Source,
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) pool: Pool,
    pub(crate) limits: SharedLimits,
    /// Calls of the tenant that may run at once.
    pub(crate) turns: Arc<tokio::sync::Semaphore>,
}

/// The host has no room for the call.
#[derive(Debug)]
pub(crate) struct Exhausted;

impl Rule {
    /// Runs the rule over some rows of a batch.
    pub(crate) async fn run(
        &self,
        batch: &Arc<Batch>,
        rows: &[u32],
        tables: &Arc<[Arc<Table>]>,
    ) -> Result<Said, Exhausted> {
        let mut said = Said::default();
        let limit = self.limits.load().call_input_bytes;
        for part in split(batch, rows, self.bytes_factor(), limit) {
            self.bisect(batch, part, tables, &mut said).await?;
        }
        Ok(said)
    }

    /// How many times an event's bytes can cross, at most: once for each field of variable width.
    fn bytes_factor(&self) -> usize {
        self.manifest.reads.len().max(1)
    }

    async fn bisect(
        &self,
        batch: &Arc<Batch>,
        rows: &[u32],
        tables: &Arc<[Arc<Table>]>,
        said: &mut Said,
    ) -> Result<(), Exhausted> {
        let mut tries_left = if batch.apart { rows.len() + 1 } else { most_tries(rows.len()) };
        let mut waiting = vec![rows];
        while let Some(rows) = waiting.pop() {
            let Some(left) = tries_left.checked_sub(1) else {
                give_up(
                    said,
                    rows,
                    &"the batch failed too often to find out which event is to blame".into(),
                );
                continue;
            };
            tries_left = left;
            let fault = match self.call(batch, rows, tables, false).await? {
                Ok(checked) => {
                    collect(said, rows, checked);
                    continue;
                }
                Err(fault) => fault,
            };
            tracing::info!(tenant = batch.tenant.as_str(), component = %self.component, rows = rows.len(), reason = fault.1, "rule faulted");
            match rows {
                [_] if fault.0 => match Box::pin(self.call(batch, rows, tables, true)).await? {
                    Ok(checked) => collect(said, rows, checked),
                    Err(again) => give_up(said, rows, &again.1.into()),
                },
                [_] => give_up(said, rows, &fault.1.into()),
                // An event must not fare worse for having met others: each gets the call that it would
                // have had alone.
                _ if batch.apart => waiting.extend(rows.chunks(1).rev()),
                _ => {
                    let (first, second) = rows.split_at(rows.len() / 2);
                    waiting.push(second);
                    waiting.push(first);
                }
            }
        }
        Ok(())
    }

    /// One call; a fault is answered as (may another try help, why).
    async fn call(
        &self,
        batch: &Arc<Batch>,
        rows: &[u32],
        tables: &Arc<[Arc<Table>]>,
        fresh: bool,
    ) -> Result<Result<Checked, (bool, String)>, Exhausted> {
        let limits = self.limits.load();
        // The semaphore is never closed.
        let _turn = self.turns.acquire().await.map_err(|_| Exhausted)?;
        let warm = if fresh { None } else { self.pool.take() };
        let started = match warm {
            Some(instance) => Ok(instance),
            // Rare and large: boxed, so that the usual call stays small.
            None => Box::pin(self.start()).await,
        };
        let result = match started {
            Ok(mut instance) => {
                let call = Call {
                    batch: Arc::clone(batch),
                    rows: rows.to_vec(),
                    tables: Arc::clone(tables),
                };
                let result = instance.evaluate(call, &limits).await;
                if result.is_ok() {
                    self.pool.put(instance);
                }
                result
            }
            Err(fault) => Err(fault),
        };
        match result {
            Ok(checked) => Ok(Ok(checked)),
            Err(Fault::Exhausted) => Err(Exhausted),
            Err(Fault::Transient(why)) => Ok(Err((true, why))),
            Err(Fault::Permanent(why)) => Ok(Err((false, why))),
        }
    }

    async fn start(&self) -> Result<Instance, Fault> {
        let limits = self.limits.load();
        let calls = jittered(limits.retire_after_calls);
        match self.source.start(&limits, calls).await {
            Ok((mut instance, manifest)) => {
                if !same(&manifest, &self.manifest.given) {
                    return Err(Fault::Permanent(
                        "the component gave another manifest than the one that was admitted".into(),
                    ));
                }
                instance.admit(Arc::clone(&self.manifest));
                Ok(instance)
            }
            Err(ConfigureError::Fault(fault)) => Err(fault),
            Err(ConfigureError::Problems(_)) => Err(Fault::Permanent(
                "the component refuses a configuration that it took before".into(),
            )),
        }
    }
}

/// How many calls a failing batch may take: enough to find one poison row among `rows` wherever it
/// stands, and one more.
fn most_tries(rows: usize) -> usize {
    2 * rows.max(1).next_power_of_two().ilog2() as usize + 2
}

/// A quarter more or less, so that stores do not all retire at once.
fn jittered(calls: u32) -> u32 {
    let quarter = calls / 4;
    let random = getrandom::u32().unwrap_or_default();
    calls - quarter + random.checked_rem(2 * quarter + 1).unwrap_or_default()
}

/// Are two manifests of the same component the same?
fn same(
    a: &crate::guest::bindings::contract::Manifest,
    b: &crate::guest::bindings::contract::Manifest,
) -> bool {
    let fields = |list: &[crate::guest::bindings::contract::Field]| -> Vec<(String, u8)> {
        list.iter().map(|field| (field.pointer.clone(), field.cell as u8)).collect()
    };
    let tables =
        |list: &[crate::guest::bindings::contract::TableRef]| -> Vec<(String, Vec<(String, u8)>)> {
            let columns = |table: &crate::guest::bindings::contract::TableRef| {
                table
                    .columns
                    .iter()
                    .map(|column| (column.name.clone(), column.cell as u8))
                    .collect()
            };
            list.iter().map(|table| (table.name.clone(), columns(table))).collect()
        };
    a.name == b.name
        && a.role as u8 == b.role as u8
        && fields(&a.reads) == fields(&b.reads)
        && a.writes == b.writes
        && tables(&a.tables) == tables(&b.tables)
        && a.patterns == b.patterns
        && a.schemas == b.schemas
        && a.codes == b.codes
        && a.metrics == b.metrics
}

fn collect(said: &mut Said, rows: &[u32], checked: Checked) {
    let row_of = |at: u32| rows.get(at as usize).copied().unwrap_or_default();
    said.findings.extend(
        checked
            .findings
            .into_iter()
            .map(|finding| RowFinding { row: row_of(finding.row), ..finding }),
    );
    said.patches.extend(
        checked.patches.into_iter().map(|patch| RowPatch { row: row_of(patch.row), ..patch }),
    );
}

fn give_up(said: &mut Said, rows: &[u32], why: &Arc<str>) {
    said.faults.extend(rows.iter().map(|row| (*row, Arc::clone(why))));
}

/// Cuts rows into parts whose events have at most `limit` bytes; a single row is never cut.
pub(crate) fn split<'r>(
    batch: &Batch,
    rows: &'r [u32],
    factor: usize,
    limit: usize,
) -> Vec<&'r [u32]> {
    let bytes =
        |row: &u32| batch.rows.get(*row as usize).map_or(0, |row| row.root().span().len() * factor);
    let mut parts = Vec::with_capacity(1);
    let (mut start, mut sum) = (0, 0);
    for (at, row) in rows.iter().enumerate() {
        let size = bytes(row);
        if at > start && sum + size > limit {
            parts.extend(rows.get(start..at));
            (start, sum) = (at, 0);
        }
        sum += size;
    }
    parts.extend(rows.get(start..).filter(|rest| !rest.is_empty()));
    parts
}
