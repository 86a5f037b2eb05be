//! A rule: an admitted component with its configuration, run over rows.
//!
//! A batch that is too large for one call is split. A batch that fails is bisected, so that one
//! poison event costs itself alone: at most 2·⌈log2(n)⌉+2 tries, and what is left then takes the
//! rule's policy. Single events that were joined are judged one by one instead. A single row that ran out of time or memory is tried once more on a fresh store.

mod breaker;
pub(crate) mod lane;
mod watch;

use std::ops::Deref;
use std::sync::Arc;

use tidegate_types::{Digest, UnixMillis};

pub(crate) use breaker::Breaker;
use breaker::{Entry, Thresholds};
use lane::Pace;
pub(crate) use watch::Cost;
use watch::Watch;

use super::instance::{ConfigureError, Fault, FaultKind, Instance};
use super::outcome::{Checked, RowFinding, RowPatch};
use super::pool::Pool;
use super::rows::Batch;
use super::source::Source;
use crate::guest::contract::ContractVersion;
use crate::guest::manifest::Manifest;
use crate::guest::state::Call;
use crate::host::logs;
use crate::host::observe::counters::Meters;
use crate::host::tenant::Busy;
use crate::limits::Limits;
use crate::table::Table;

/// What a rule said of its rows; rows are indexes into the batch.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) findings: Vec<RowFinding>,
    pub(crate) patches: Vec<RowPatch>,
    /// Rows that the rule could not judge, and why.
    pub(crate) faults: Vec<(u32, Arc<str>)>,
    /// Rows that the rule was not asked about, since it faults too often.
    pub(crate) refused: Vec<u32>,
    /// Until when it is not asked.
    pub(crate) open_until: UnixMillis,
}

/// What a rule is run over, and what counts it.
#[derive(Clone, Copy)]
pub(crate) struct Work<'w> {
    pub(crate) batch: &'w Arc<Batch>,
    pub(crate) tables: &'w Arc<[Arc<Table>]>,
    pub(crate) meters: &'w Meters,
}

/// An admitted component with its configuration.
pub(crate) struct Rule {
    pub(crate) component: Digest,
    pub(crate) contract: ContractVersion,
    pub(crate) config: Digest,
    pub(crate) source: Source,
    pub(crate) manifest: Arc<Manifest>,
    pub(crate) pool: Pool,
    pub(crate) pace: Pace,
    /// Of this tenant and component; they change while the rule runs.
    pub(crate) limits: arc_swap::ArcSwap<Limits>,
    pub(crate) breaker: Breaker,
}

/// A call that was run.
struct Ran {
    instance: Instance,
    result: Result<Checked, Fault>,
    /// Where it is known.
    cost: Option<Cost>,
}

/// Runs a call, on whatever thread this is polled.
async fn run(mut instance: Instance, call: Call, limits: impl Deref<Target = Limits>) -> Ran {
    let watch = Watch::start();
    let result = instance.evaluate(call, &limits).await;
    let cost = watch.stop(instance.spent(&limits));
    Ran { instance, result, cost }
}

/// A fault of one call.
struct Failed {
    /// May another try help?
    transient: bool,
    kind: FaultKind,
    why: String,
}

/// The call was not run, and that is not the rule's fault.
#[derive(Debug)]
pub(crate) enum NotRun {
    /// The host has no room for it.
    Exhausted,
    /// The tenant has as many calls under way, and waiting, as it may.
    Busy,
}

impl From<Busy> for NotRun {
    fn from(Busy: Busy) -> Self {
        Self::Busy
    }
}

impl Rule {
    /// Keeps an instance for the next call, where there is room for it.
    pub(crate) fn put(&self, instance: Instance) {
        self.pool.put(instance, self.now());
        self.source.rules.keep_budget();
    }

    fn now(&self) -> u64 {
        self.source.tenant.clock.millis()
    }

    /// Runs the rule over some rows of a batch.
    pub(crate) async fn run(&self, work: Work<'_>, rows: &[u32]) -> Result<Said, NotRun> {
        let mut said = Said::default();
        let limit = self.limits.load().call_input_bytes;
        for part in split(work.batch, rows, self.bytes_factor(), limit) {
            let entry = match work.batch.asks_breakers() {
                true => self.breaker.enter(self.now()),
                false => Entry::Closed,
            };
            match entry {
                Entry::Closed => self.bisect(work, part, &mut said).await?,
                Entry::Open { for_ms } => refuse(&mut said, part, for_ms),
                Entry::Trial(trial) => match self.call(work, part, false).await? {
                    Ok(checked) => {
                        trial.good(self.now());
                        tracing::info!(tenant = work.batch.tenant.as_str(), component = %self.component, "rule's breaker closed");
                        collect(&mut said, part, checked);
                    }
                    Err(_) => {
                        let for_ms = trial.faulted(self.now());
                        refuse(&mut said, part, for_ms);
                    }
                },
            }
        }
        work.meters.refused(said.refused.len());
        Ok(said)
    }

    /// The batch that began to fault counts once for the breaker.
    fn count_fault(&self, batch: &Batch) {
        let limits = self.limits.load();
        let thresholds =
            Thresholds { faults: limits.breaker_faults, percent: limits.breaker_percent };
        if self.breaker.faulted(self.now(), thresholds) {
            tracing::info!(tenant = batch.tenant.as_str(), component = %self.component, "rule faults too often, its breaker opened");
        }
    }

    /// How many times an event's bytes can cross, at most: once for each field of variable width.
    fn bytes_factor(&self) -> usize {
        self.manifest.reads.len().max(1)
    }

    async fn bisect(&self, work: Work<'_>, rows: &[u32], said: &mut Said) -> Result<(), NotRun> {
        let mut tries_left = if work.batch.apart { rows.len() + 1 } else { most_tries(rows.len()) };
        let mut waiting = vec![rows];
        let mut faulted = false;
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
            let fault = match self.call(work, rows, false).await? {
                Ok(checked) => {
                    collect(said, rows, checked);
                    continue;
                }
                Err(fault) => fault,
            };
            if !faulted {
                faulted = true;
                if work.batch.asks_breakers() {
                    self.count_fault(work.batch);
                }
            }
            match rows {
                [_] if fault.transient => match Box::pin(self.call(work, rows, true)).await? {
                    Ok(checked) => collect(said, rows, checked),
                    Err(again) => give_up(said, rows, &again.why.into()),
                },
                [_] => give_up(said, rows, &fault.why.into()),
                // An event must not fare worse for having met others: each gets the call that it would
                // have had alone.
                _ if work.batch.apart => waiting.extend(rows.chunks(1).rev()),
                _ => {
                    let (first, second) = rows.split_at(rows.len() / 2);
                    waiting.push(second);
                    waiting.push(first);
                }
            }
        }
        if !faulted && work.batch.asks_breakers() {
            self.breaker.good(self.now());
        }
        Ok(())
    }

    /// One call.
    async fn call(
        &self,
        work: Work<'_>,
        rows: &[u32],
        fresh: bool,
    ) -> Result<Result<Checked, Failed>, NotRun> {
        let limits = self.limits.load();
        let turns = &self.source.tenant.turns;
        let turn = turns.acquire(limits.max_waiting_per_tenant, limits.call_wall).await?;
        work.meters.call(rows.len(), turn.waited);
        let warm = if fresh { None } else { self.pool.take() };
        let started = match warm {
            Some(instance) => Ok(instance),
            // Rare and large: boxed, so that the usual call stays small.
            None => {
                work.meters.start();
                Box::pin(self.start()).await
            }
        };
        let result = match started {
            Ok(instance) => {
                let call = Call {
                    batch: Arc::clone(work.batch),
                    rows: rows.to_vec(),
                    tables: Arc::clone(work.tables),
                };
                let Ran { mut instance, result, cost } = if self.pace.is_slow() {
                    let running = run(instance, call, Arc::clone(&limits));
                    self.source.slow_lane.run(running).await.ok_or(NotRun::Exhausted)?
                } else {
                    run(instance, call, &**limits).await
                };
                self.pace.note(instance.spent(&limits).is_some() || result.is_err());
                if let Some(cpu) = cost {
                    self.source.tenant.charge(cpu.all());
                    work.meters.cpu(cpu);
                }
                work.meters.memory(instance.memory_bytes());
                if let Some((lines, dropped)) = instance.spoken(work.meters) {
                    logs::emit(&self.source.tenant, &work.meters.observed, lines, dropped);
                }
                if result.is_ok() {
                    self.put(instance);
                }
                result
            }
            Err(fault) => Err(fault),
        };
        let failed = match result {
            Ok(checked) => return Ok(Ok(checked)),
            Err(Fault::Exhausted) => return Err(NotRun::Exhausted),
            Err(Fault::Transient(kind, why)) => Failed { transient: true, kind, why },
            Err(Fault::Permanent(kind, why)) => Failed { transient: false, kind, why },
        };
        work.meters.fault(failed.kind);
        tracing::info!(tenant = work.batch.tenant.as_str(), component = %self.component, rows = rows.len(), kind = ?failed.kind, reason = failed.why, "rule faulted");
        Ok(Err(failed))
    }

    async fn start(&self) -> Result<Instance, Fault> {
        let limits = self.limits.load();
        let calls = jittered(limits.retire_after_calls);
        match self.source.start(&limits, calls).await {
            Ok((mut instance, manifest)) => {
                if !same(&manifest, &self.manifest.given) {
                    return Err(Fault::Permanent(
                        FaultKind::Manifest,
                        "the component gave another manifest than the one that was admitted".into(),
                    ));
                }
                instance.admit(Arc::clone(&self.manifest));
                Ok(instance)
            }
            Err(ConfigureError::Fault(fault)) => Err(fault),
            Err(ConfigureError::Problems(_)) => Err(Fault::Permanent(
                FaultKind::Manifest,
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

/// Rows of a rule that is not called for so long.
fn refuse(said: &mut Said, rows: &[u32], for_ms: u64) {
    said.refused.extend_from_slice(rows);
    said.open_until = said.open_until.max(UnixMillis(UnixMillis::now().0 + for_ms));
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
