//! The sixth step: what the rule costs. Fuel, which does not depend on the machine, is counted in a
//! second engine; memory and times are taken in the engine that judges events.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;
use tidegate_types::TenantId;

use super::configure::Rules;
use super::golden::NamedCase;
use super::report::{Place, Step, Trouble};
use super::trial::{Configured, Trial, Work};
use super::{prepare, workload};
use crate::compile::Component;
use crate::engine::{self, Purpose};
use crate::guest::contract::Adapters;
use crate::host::{PluginHost, tick};
use crate::limits::Limits;

/// Rows of a large batch.
const BATCH: usize = 100;
/// Configurations that are measured.
const MAX_LOADS: usize = 8;
/// Events of one configuration that are judged alone.
const MAX_ALONE: usize = 100;
/// Instances that are started to measure that.
const STARTS: usize = 5;
/// Calls over which a time is taken, and how long they may take together.
const CALLS: usize = 50;
const CALLS_TIME: Duration = Duration::from_millis(100);

const MEND: &str = "let the rule judge such events too, within its time and memory";

/// One configuration with events for it.
struct Load<'r> {
    rule: &'r Configured,
    alone: Work,
    /// The same events again and again.
    batch: Work,
    place: Place,
}

/// Measures the rule.
///
/// # Errors
/// Where the host cannot measure.
pub(super) async fn measure(
    host: &PluginHost,
    bytes: &Bytes,
    rules: &Rules,
    cases: &[NamedCase<'_>],
    tenant: &TenantId,
    limits: &Limits,
) -> Result<(Step, Option<()>), Trouble> {
    let mut step = Step::default();
    let (source, loads) = loads(rules, cases, tenant);
    if loads.is_empty() {
        step.skipped("there is no configuration that the component takes, so nothing to measure");
        return Ok(step.with(()));
    }
    step.fact("workload", source);
    step.fact("events", loads.iter().map(|load| load.alone.batch.rows.len()).sum::<usize>());
    let mut times = Times::default();
    for load in &loads {
        if let Err(why) = times.take(load, limits).await? {
            step.problem(why, load.place.clone(), MEND);
            return Ok(step.with(()));
        }
    }
    times.tell(&mut step);
    let Some(metered) = metered(host, bytes, &mut step).await? else {
        return Ok(step.with(()));
    };
    let mut fuel = Fuel::default();
    for load in &loads {
        if let Err(why) = fuel.take(host, &metered, load, limits).await? {
            step.problem(why, load.place.clone(), MEND);
            return Ok(step.with(()));
        }
    }
    fuel.tell(&mut step);
    Ok(step.with(()))
}

/// What to measure with: the golden cases' events; without any, rows made from the declared reads.
fn loads<'r>(
    rules: &'r Rules,
    cases: &[NamedCase<'_>],
    tenant: &TenantId,
) -> (&'static str, Vec<Load<'r>>) {
    let mut out = Vec::new();
    for case in cases.iter().filter(|case| case.case.expect.is_some()) {
        let Some(rule) = rules.find(case.case.config.get()) else { continue };
        // A case that cannot be judged has failed the step before.
        let Ok(alone) = case.work(tenant, rule) else { continue };
        let place = Place { case: Some(case.file.clone()), ..Place::default() };
        out.push(Load { rule, batch: workload::cycled(&alone, rule, tenant, BATCH), alone, place });
        if out.len() == MAX_LOADS {
            break;
        }
    }
    if !out.is_empty() {
        return ("golden cases", out);
    }
    for rule in rules.0.iter().take(MAX_LOADS) {
        let alone = workload::made_up(rule, tenant);
        let batch = workload::cycled(&alone, rule, tenant, BATCH);
        out.push(Load { rule, alone, batch, place: Place::default() });
    }
    ("made from the declared reads", out)
}

/// The engine that counts fuel, with the component's code for it.
struct Metered {
    engine: wasmtime::Engine,
    component: Component,
}

/// Compiles the component for the engine that counts fuel.
async fn metered(
    host: &PluginHost,
    bytes: &Bytes,
    step: &mut Step,
) -> Result<Option<Metered>, Trouble> {
    let cannot = |error: String| Trouble(format!("the engine that counts fuel: {error}"));
    let engine = engine::without_pool(Purpose::Certify).map_err(|e| cannot(format!("{e:#}")))?;
    let tried = host.compiler.compile(&engine, Purpose::Certify, bytes.clone()).await;
    let Some(compiled) = prepare::blame(tried, step)? else { return Ok(None) };
    step.fact("metered_compile_ms", prepare::millis(compiled.compile_time));
    // Ends with the engine.
    tick(&engine, host.limits.load().epoch_tick).map_err(|error| cannot(error.to_string()))?;
    Ok(Some(Metered { engine, component: compiled.component }))
}

/// Memory and times in the engine that judges events.
#[derive(Default)]
struct Times {
    peak_memory: usize,
    starts: Vec<Duration>,
    /// Per event.
    alone: Vec<Duration>,
    batch: Vec<Duration>,
}

impl Times {
    async fn take(
        &mut self,
        load: &Load<'_>,
        limits: &Limits,
    ) -> Result<Result<(), String>, Trouble> {
        let mut trial = Trial::new(load.rule, limits);
        for _ in 0..STARTS {
            let started = Instant::now();
            if let Err(why) = trial.start().await? {
                return Ok(Err(why));
            }
            self.starts.push(started.elapsed());
        }
        let rows = load.alone.all_rows();
        let singles: Vec<&[u32]> = rows.chunks(1).collect();
        let alone = timed(&mut trial, &load.alone, &singles, &mut self.alone).await?;
        let all = load.batch.all_rows();
        let batch = timed(&mut trial, &load.batch, &[&all], &mut self.batch).await?;
        self.peak_memory = self.peak_memory.max(trial.peak_memory());
        Ok(alone.and(batch))
    }

    fn tell(mut self, step: &mut Step) {
        step.fact("peak_memory_bytes", self.peak_memory);
        step.fact("instance_start_us", middle(&mut self.starts).as_micros() as u64);
        let times = json!({
            "batch_1": middle(&mut self.alone).as_nanos() as u64,
            "batch_100": middle(&mut self.batch).as_nanos() as u64,
        });
        step.fact("nanoseconds_per_event", times);
    }
}

/// Takes the time per event of calls, each over one of these lists of rows, in turn.
async fn timed(
    trial: &mut Trial<'_>,
    work: &Work,
    lists: &[&[u32]],
    times: &mut Vec<Duration>,
) -> Result<Result<(), String>, Trouble> {
    let began = Instant::now();
    for rows in lists.iter().cycle().take(CALLS) {
        let started = Instant::now();
        if let Err(why) = trial.judge(work, rows).await? {
            return Ok(Err(why));
        }
        times.push(started.elapsed() / u32::try_from(rows.len()).unwrap_or(1).max(1));
        if began.elapsed() > CALLS_TIME {
            break;
        }
    }
    Ok(Ok(()))
}

/// Fuel in the engine that counts it.
#[derive(Default)]
struct Fuel {
    /// Of each event alone.
    alone: Vec<u64>,
    batch: u64,
    batch_events: u64,
}

impl Fuel {
    async fn take(
        &mut self,
        host: &PluginHost,
        metered: &Metered,
        load: &Load<'_>,
        limits: &Limits,
    ) -> Result<Result<(), String>, Trouble> {
        let adapters = Adapters::new(host.adapters.contracts().clone(), &metered.engine);
        let adapters = adapters.map_err(|error| Trouble(format!("{error:#}")))?;
        let linked = adapters.link(&metered.component);
        let prepared = linked.map_err(|error| Trouble(error.to_string()))?;
        let source = host.source_in(metered.engine.clone(), prepared, load.rule.config.clone());
        let mut trial = Trial::of(&source, &load.rule.manifest, limits);
        for row in load.alone.all_rows().chunks(1).take(MAX_ALONE) {
            match trial.judge(&load.alone, row).await? {
                Ok((_, fuel)) => self.alone.push(fuel),
                Err(why) => return Ok(Err(why)),
            }
        }
        match trial.judge(&load.batch, &load.batch.all_rows()).await? {
            Ok((_, fuel)) => {
                self.batch += fuel;
                self.batch_events += load.batch.batch.rows.len() as u64;
                Ok(Ok(()))
            }
            Err(why) => Ok(Err(why)),
        }
    }

    fn tell(mut self, step: &mut Step) {
        self.alone.sort_unstable();
        let at = |percent: usize| {
            let rank = (self.alone.len() * percent).div_ceil(100).saturating_sub(1);
            self.alone.get(rank).copied().unwrap_or_default()
        };
        let mean = |sum: u64, count: u64| sum.checked_div(count).unwrap_or_default();
        let alone: u64 = self.alone.iter().sum();
        let facts = json!({
            "p50": at(50),
            "p99": at(99),
            "batch_1": mean(alone, self.alone.len() as u64),
            "batch_100": mean(self.batch, self.batch_events),
        });
        step.fact("fuel_per_event", facts);
    }
}

/// The median.
fn middle(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
