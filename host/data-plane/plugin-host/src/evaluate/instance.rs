//! One warm store: made, configured, called, measured.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tidegate_types::problem::ProblemPart;
use wasmtime::{Store, UpdateDeadline};

use super::outcome::{self, Checked};
use super::pool::held::Held;
use super::source::Source;
use crate::guest::bindings::contract;
use crate::guest::contract::Guest;
use crate::guest::log::Level;
use crate::guest::manifest::Manifest;
use crate::guest::meter::Meter;
use crate::guest::state::{Call, State};
use crate::host::observe::counters::Meters;
use crate::limits::Limits;

/// What a fault was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FaultKind {
    Trap,
    /// It used more CPU time than it may.
    Timeout,
    /// It wanted more memory than it may have.
    Memory,
    /// What it returned breaks the contract.
    BadAnswer,
    /// Its manifest differs from the admitted one.
    Manifest,
    /// It says itself that it cannot do it.
    Refused,
}

/// Why a call brought no outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Another try alone may help: time, memory, or the guest said so.
    Transient(FaultKind, String),
    /// The guest trapped, or returned what it may not.
    Permanent(FaultKind, String),
    /// Not the guest's doing: the host has no room for another instance, or no time for this one.
    Exhausted,
}

/// Why an instance could not be configured.
#[derive(Debug)]
pub(crate) enum ConfigureError {
    Problems(Vec<ProblemPart>),
    Fault(Fault),
}

/// A store with its instance.
pub(crate) struct Instance {
    store: Store<State>,
    guest: Box<dyn Guest>,
    calls_left: u32,
    /// Is the engine one that counts fuel?
    fuelled: bool,
    held: Held,
}

impl Instance {
    /// Makes an instance and configures it.
    pub(super) async fn start(
        source: &Source,
        limits: &Limits,
        calls: u32,
    ) -> Result<(Self, contract::Manifest), ConfigureError> {
        let state = State::new(limits, &source.long_calls, source.tenant.number);
        let mut store = Store::new(&source.engine, state);
        store.limiter(|state| &mut state.memory);
        store.epoch_deadline_callback(|context| Ok(at_deadline(&context.data().meter)));
        // Only an engine that counts fuel lets it be set.
        let fuelled = store.set_fuel(u64::MAX).is_ok();
        begin(&mut store, limits);
        let meter = Arc::clone(&store.data().meter);
        let start = source.prepared.start(&mut store);
        let started = Instant::now();
        let guest = metered(&meter, limits.call_wall, start).await;
        charge(source, &meter, started, limits);
        let guest = settle(guest, &store)?;
        let held = Held::new(&source.rules.memory);
        let instance = Self { store, guest, calls_left: calls, fuelled, held };
        instance.configure(source, limits).await
    }

    async fn configure(
        mut self,
        source: &Source,
        limits: &Limits,
    ) -> Result<(Self, contract::Manifest), ConfigureError> {
        begin(&mut self.store, limits);
        let meter = Arc::clone(&self.store.data().meter);
        let started = Instant::now();
        let call = self.guest.configure(&mut self.store, &source.config);
        let result = metered(&meter, limits.call_wall, call).await;
        charge(source, &meter, started, limits);
        self.held.grown_to(self.store.data().memory.held);
        match settle(result, &self.store)? {
            Ok(manifest) => Ok((self, manifest)),
            Err(problems) => Err(ConfigureError::Problems(
                problems
                    .into_iter()
                    .take(64)
                    .map(|problem| ProblemPart {
                        pointer: clipped(problem.pointer),
                        detail: clipped(problem.message),
                    })
                    .collect(),
            )),
        }
    }

    pub(crate) fn admit(&mut self, manifest: Arc<Manifest>) {
        self.store.data_mut().manifest = Some(manifest);
    }

    /// Runs one call. After a fault the store must not be used again.
    pub(crate) async fn evaluate(&mut self, call: Call, limits: &Limits) -> Result<Checked, Fault> {
        let rows = call.rows.len();
        begin(&mut self.store, limits);
        self.store.data_mut().call = Some(call);
        let meter = Arc::clone(&self.store.data().meter);
        let running = self.guest.evaluate(&mut self.store);
        let result = metered(&meter, limits.call_wall, running).await;
        self.held.grown_to(self.store.data().memory.held);
        self.store.data_mut().call = None;
        self.calls_left = self.calls_left.saturating_sub(1);
        let manifest = self.store.data().manifest.clone();
        let manifest = manifest.ok_or_else(|| {
            Fault::Permanent(FaultKind::Manifest, "the rule has no manifest".into())
        })?;
        match settle_fault(result, &self.store)? {
            Ok(outcome) => {
                let checked = outcome::check(outcome, rows, &manifest, limits);
                checked.map_err(|why| Fault::Permanent(FaultKind::BadAnswer, why))
            }
            Err(contract::Fault::Transient(message)) => {
                Err(Fault::Transient(FaultKind::Refused, clipped(message)))
            }
            Err(contract::Fault::Permanent(message)) => {
                Err(Fault::Permanent(FaultKind::Refused, clipped(message)))
            }
        }
    }

    /// The same, and the fuel that the call used: nothing where the engine does not count it.
    pub(crate) async fn evaluate_counted(
        &mut self,
        call: Call,
        limits: &Limits,
    ) -> Result<(Checked, u64), Fault> {
        if self.fuelled {
            // The engine counts fuel, so it can be set.
            drop(self.store.set_fuel(u64::MAX));
        }
        let checked = self.evaluate(call, limits).await?;
        Ok((checked, u64::MAX - self.store.get_fuel().unwrap_or(u64::MAX)))
    }

    /// Linear memory that the instance has, in bytes. It never shrinks.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.store.data().memory.held
    }

    /// What the last call logged, and how many lines more it would have. Counts what it counted.
    pub(crate) fn spoken(&mut self, meters: &Meters) -> Option<(Vec<(Level, String)>, u64)> {
        let State { log, counts, .. } = self.store.data_mut();
        meters.counted(counts);
        counts.fill(0);
        log.lock().ok()?.take()
    }

    /// CPU time of the last call, where it was longer than a slice.
    pub(crate) fn spent(&self, limits: &Limits) -> Option<Duration> {
        self.store.data().meter.spent(limits.slice)
    }

    /// All memory that counts for it.
    pub(crate) fn bytes(&self) -> usize {
        self.held.bytes()
    }

    /// Has it made as many calls as it may?
    pub(crate) fn retired(&self) -> bool {
        self.calls_left == 0
    }
}

/// Accounts for the start of an instance, which is rare, and so measured each time.
fn charge(source: &Source, meter: &Meter, started: Instant, limits: &Limits) {
    source.tenant.charge(meter.spent(limits.slice).unwrap_or_else(|| started.elapsed()));
}

fn clipped(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(512));
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A call that was cut off by its wall time.
#[derive(Debug, thiserror::Error)]
#[error("the call waited longer than it may")]
struct WallTime;

/// A call that used up its CPU time.
#[derive(Debug, thiserror::Error)]
#[error("the call used more CPU time than it may")]
struct CpuTime;

/// A call begins, under the limits of now.
fn begin(store: &mut Store<State>, limits: &Limits) {
    store.set_hostcall_fuel(limits.hostcall_bytes);
    store.set_max_component_handles(limits.max_handles);
    store.set_epoch_deadline(limits.slice_ticks());
    store.data_mut().begin(limits);
}

/// Runs at the end of each slice: yields, or ends a call whose budget is used up. By the clock, a
/// first slice, which is not measured, is no longer than the others.
fn at_deadline(meter: &Arc<Meter>) -> UpdateDeadline {
    if meter.exhausted() {
        return UpdateDeadline::Interrupt;
    }
    UpdateDeadline::YieldCustom(meter.slice(), Box::pin(Arc::clone(meter).take_turn()))
}

/// Polls a call and accounts for its CPU time; a call that waits gets a wall-clock limit.
async fn metered<T>(
    meter: &Meter,
    wall: Duration,
    call: impl Future<Output = wasmtime::Result<T>>,
) -> wasmtime::Result<T> {
    let call = std::pin::pin!(call);
    let result = Metered { meter, wall, call, limit: None }.await;
    meter.end_turn();
    result
}

struct Metered<'m, F> {
    meter: &'m Meter,
    wall: Duration,
    call: Pin<&'m mut F>,
    limit: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl<T, F: Future<Output = wasmtime::Result<T>>> Future for Metered<'_, F> {
    type Output = wasmtime::Result<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.meter.resume();
        let polled = self.call.as_mut().poll(context);
        self.meter.pause();
        if polled.is_ready() {
            return polled;
        }
        let wall = self.wall;
        let limit = self.limit.get_or_insert_with(|| Box::pin(tokio::time::sleep(wall)));
        limit.as_mut().poll(context).map(|()| Err(WallTime.into()))
    }
}

fn settle<T>(result: wasmtime::Result<T>, store: &Store<State>) -> Result<T, ConfigureError> {
    settle_fault(result, store).map_err(ConfigureError::Fault)
}

fn settle_fault<T>(result: wasmtime::Result<T>, store: &Store<State>) -> Result<T, Fault> {
    result.map_err(|error| match fault(&error, store.data().memory.denied) {
        ConfigureError::Fault(fault) => fault,
        ConfigureError::Problems(_) => {
            Fault::Permanent(FaultKind::Refused, "the component could not be started".into())
        }
    })
}

/// What an error of wasmtime means.
fn fault(error: &wasmtime::Error, memory_denied: bool) -> ConfigureError {
    ConfigureError::Fault(
        if error.is::<wasmtime::PoolConcurrencyLimitError>() || error.is::<WallTime>() {
            Fault::Exhausted
        } else if matches!(error.downcast_ref(), Some(wasmtime::Trap::Interrupt)) {
            Fault::Transient(FaultKind::Timeout, CpuTime.to_string())
        } else if memory_denied {
            let why = "the guest wanted more memory than it may have";
            Fault::Transient(FaultKind::Memory, why.into())
        } else {
            Fault::Permanent(FaultKind::Trap, clipped(format!("{error:#}")))
        },
    )
}
