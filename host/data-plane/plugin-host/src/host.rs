//! The plugin host itself: one engine, one linker, one compiler, the rules that are in use.

pub mod clock;
pub mod logs;
pub mod observe;
pub(crate) mod tenant;

use std::collections::HashMap;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tidegate_telemetry::Page;
use tidegate_types::problem::ProblemPart;
use tidegate_types::revision::OnFault;
use tidegate_types::{Digest, EventType, RuleName, TableName, TenantId};
use wasmtime::Engine;

use crate::compile::{CacheError, CompileError, CompileOptions, Compiled, Compiler, Component};
use crate::engine::Purpose;
use crate::evaluate::instance::{ConfigureError, Fault};
use crate::evaluate::pool::Pool;
use crate::evaluate::registry::{Registry, RuleKey};
use crate::evaluate::rule::lane::{Pace, SlowLane};
use crate::evaluate::rule::{Breaker, Rule};
use crate::evaluate::source::Source;
use crate::evaluate::{PlanRule, Tables};
use crate::guest::contract::{Adapters, Contracts, Prepared};
use crate::guest::manifest::Manifest;
use crate::guest::meter::LongCalls;
use crate::host::clock::Clock;
use crate::host::logs::{Follower, Line, LogFilter};
use crate::host::observe::{Observations, RuleObservation};
use crate::host::tenant::Tenants;
use crate::limits::{CallLimits, Limits, TenantLimits};

const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// How the host is set up.
#[derive(Clone, Debug)]
pub struct HostOptions {
    pub compile: CompileOptions,
    pub limits: Limits,
    /// Threads that evaluate; each keeps stores of its own.
    pub workers: usize,
}

/// The host cannot start.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    #[error("the WebAssembly engine cannot start: {0}")]
    Engine(String),
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error("a thread cannot start: {0}")]
    Thread(std::io::Error),
}

/// A rule that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdmitError {
    /// The component refuses its configuration, asks for more than it may, or faults.
    #[error("the rule cannot be used")]
    Problems(Vec<ProblemPart>),
    #[error("there is no room for another instance of a rule")]
    Exhausted,
}

/// Runs rule components. Cheap to share behind an `Arc`.
pub struct PluginHost {
    pub(crate) engine: Engine,
    pub(crate) adapters: Adapters,
    pub(crate) compiler: Compiler,
    pub(crate) limits: arc_swap::ArcSwap<Limits>,
    workers: usize,
    rules: Arc<Registry>,
    /// Turns for calls that are longer than a slice: half of the workers are left to short ones.
    long_calls: Arc<LongCalls>,
    slow_lane: Arc<SlowLane>,
    tenants: Tenants,
    observations: Observations,
    /// One change of limits at a time.
    changing: Mutex<()>,
    clock: Clock,
    /// Ends the sweeping thread when the host is gone.
    _sweeping: SyncSender<()>,
}

impl std::fmt::Debug for PluginHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PluginHost").field("workers", &self.workers).finish_non_exhaustive()
    }
}

impl PluginHost {
    /// Starts the engine and the thread that advances its epoch.
    ///
    /// # Errors
    /// Where the engine, the cache of compiled code or the thread cannot be set up.
    pub fn new(options: HostOptions) -> Result<Self, HostError> {
        Self::with(Contracts::released(), options, Clock::System)
    }

    /// The same, for these versions of the contract.
    ///
    /// # Errors
    /// As for `new`.
    pub fn speaking(contracts: Contracts, options: HostOptions) -> Result<Self, HostError> {
        Self::with(contracts, options, Clock::System)
    }

    /// As `new`, by a clock of the caller's.
    ///
    /// # Errors
    /// As for `new`.
    pub fn with_clock(options: HostOptions, clock: Clock) -> Result<Self, HostError> {
        Self::with(Contracts::released(), options, clock)
    }

    fn with(contracts: Contracts, options: HostOptions, clock: Clock) -> Result<Self, HostError> {
        let HostOptions { compile, limits, workers } = options;
        let fail = |error: wasmtime::Error| HostError::Engine(format!("{error:#}"));
        let engine = crate::engine::running(&limits).map_err(fail)?;
        let adapters = Adapters::new(contracts, &engine).map_err(fail)?;
        let compiler = Compiler::new(compile)?;
        tick(&engine, limits.epoch_tick).map_err(HostError::Thread)?;
        let limits = arc_swap::ArcSwap::from_pointee(limits);
        let turns = workers.div_ceil(2);
        let (long_calls, slow_lane) =
            (Arc::new(LongCalls::new(turns)), Arc::new(SlowLane::new(turns)));
        let rules = Arc::<Registry>::default();
        rules.memory.set_budget(limits.load().warm_memory_bytes);
        let _sweeping = sweep(Arc::clone(&rules), clock.clone()).map_err(HostError::Thread)?;
        let (tenants, changing) =
            (Tenants::new(clock.clone(), workers, &limits.load()), Mutex::default());
        Ok(Self {
            engine,
            adapters,
            compiler,
            limits,
            workers,
            rules,
            long_calls,
            slow_lane,
            tenants,
            observations: Observations::default(),
            changing,
            clock,
            _sweeping,
        })
    }

    /// The versions of the contract that it speaks.
    #[must_use]
    pub fn contracts(&self) -> &Contracts {
        self.adapters.contracts()
    }

    /// Drops instances that nobody has used for long: a thread does so twice a minute. Answers how
    /// many.
    pub fn sweep(&self) -> usize {
        self.rules.sweep(self.clock.millis())
    }

    /// What every rule has cost and said so far, the oldest rule first.
    #[must_use]
    pub fn observe(&self) -> Vec<RuleObservation> {
        let (mut rules, _) = self.observations.read();
        self.add_gauges(&mut rules);
        rules
    }

    /// Tells the same, and how often tenants were held up: about `most_series` series at most, beyond
    /// which rules, the newest, are summed up under `other`.
    pub fn report(&self, most_series: usize, page: &mut Page) {
        let (mut rules, retired) = self.observations.read();
        self.add_gauges(&mut rules);
        observe::report(&rules, &retired, &self.tenants.held_up(), most_series, page);
    }

    fn add_gauges(&self, observed: &mut [RuleObservation]) {
        let mut gauges: HashMap<(TenantId, Digest), (u64, u64)> = HashMap::new();
        for rule in self.rules.all() {
            let key = (rule.source.tenant.id.clone(), rule.component);
            let (warm, open) = gauges.entry(key).or_default();
            *warm += rule.pool.idle_count() as u64;
            *open += u64::from(rule.breaker.is_open());
        }
        for rule in observed {
            let gauge = gauges.get(&(rule.tenant.clone(), rule.component));
            (rule.totals.warm_instances, rule.totals.breakers_open) =
                gauge.copied().unwrap_or_default();
        }
    }

    /// The last lines that the tenant's rules logged, the oldest first, and those that will come.
    #[must_use]
    pub fn logs(&self, tenant: &TenantId, filter: LogFilter) -> (Vec<Line>, Follower) {
        Follower::new(self.tenants.get(tenant, &self.limits.load()), filter)
    }

    /// Bytes of memory that all instances hold together.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.rules.memory.bytes()
    }

    /// Changes the limits from the next call on.
    pub fn set_limits(&self, limits: Limits) {
        self.change(|| {
            self.rules.memory.set_budget(limits.warm_memory_bytes);
            self.limits.store(Arc::new(limits));
            self.tenants.refresh(&self.limits.load());
        });
        self.rules.keep_budget();
    }

    /// Gives a tenant limits of its own from the next call on, in place of those it had.
    pub fn set_tenant_limits(&self, tenant: &TenantId, limits: TenantLimits) {
        self.change(|| self.tenants.set(tenant, limits, &self.limits.load()));
    }

    /// Gives a component of a tenant limits of its own from the next call on, in place of those it
    /// had. They go before the tenant's.
    pub fn set_plugin_limits(&self, tenant: &TenantId, component: Digest, limits: CallLimits) {
        self.change(|| self.tenants.set_plugin(tenant, component, limits, &self.limits.load()));
    }

    /// The limits in force for the calls of a tenant's component.
    pub(crate) fn limits_of(&self, tenant: &TenantId, component: &Digest) -> Limits {
        let host = self.limits.load();
        self.tenants.get(tenant, &host).limits_of(component, &host)
    }

    fn change(&self, change: impl FnOnce()) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        change();
        self.rules.all().iter().for_each(|rule| self.renew_limits(rule));
    }

    fn renew_limits(&self, rule: &Rule) {
        let limits = rule.source.tenant.limits_of(&rule.component, &self.limits.load());
        rule.limits.store(Arc::new(limits));
    }

    /// Compiles a component, or takes its code from the cache, and checks that it fits the contract.
    ///
    /// # Errors
    /// Says whether the component or the host is to blame.
    pub async fn compile(&self, bytes: Bytes) -> Result<Compiled, CompileError> {
        let compiled = self.compiler.compile(&self.engine, Purpose::Run, bytes).await?;
        self.adapters.link(&compiled.component)?;
        Ok(compiled)
    }

    /// As `compile`, of bytes that must have this digest.
    ///
    /// # Errors
    /// As for `compile`, and where they are other bytes: nothing is compiled then.
    pub async fn compile_as(&self, wanted: Digest, bytes: Bytes) -> Result<Compiled, CompileError> {
        let found = Digest::of(&bytes);
        if found != wanted {
            return Err(CompileError::Digest { wanted, found });
        }
        self.compile(bytes).await
    }

    /// Configures a component for a tenant and puts it in its place in a plan. Stores of the same
    /// rule in an earlier revision stay warm.
    ///
    /// # Errors
    /// Every problem that the component or the host finds.
    #[allow(clippy::too_many_arguments, reason = "a rule in its place has just these parts")]
    pub async fn admit(
        &self,
        tenant: &TenantId,
        name: RuleName,
        component: &Component,
        config: &serde_json::Value,
        on_fault: OnFault,
        event_types: Option<Vec<EventType>>,
        tables: &Tables,
    ) -> Result<PlanRule, AdmitError> {
        let config = config.to_string();
        let key = (tenant.clone(), component.digest, Digest::of(config.as_bytes()));
        let rule = match self.rules.get(&key) {
            Some(rule) => rule,
            None => self.configure(tenant, key, component, config).await?,
        };
        let tables = resolve_tables(&rule.manifest, tables)?;
        let key = (tenant.clone(), component.digest, name.clone());
        let meters = self.observations.meters(key, &rule.manifest, self.workers);
        Ok(PlanRule::new(name, rule, tables, on_fault, event_types, meters))
    }

    async fn configure(
        &self,
        tenant: &TenantId,
        key: RuleKey,
        component: &Component,
        config: String,
    ) -> Result<Arc<Rule>, AdmitError> {
        let broken = |detail: String| {
            AdmitError::Problems(vec![ProblemPart { pointer: String::new(), detail }])
        };
        let source = self.source(component, config).map_err(broken)?;
        let contract = component.contract().map_err(|error| broken(error.to_string()))?;
        let tenant = self.tenants.get(tenant, &self.limits.load());
        let source = Source { tenant, ..source };
        let limits = source.tenant.limits_of(&component.digest, &self.limits.load());
        let started = source.start(&limits, limits.retire_after_calls).await;
        let (mut instance, given) = started.map_err(|error| match error {
            ConfigureError::Problems(problems) => AdmitError::Problems(problems),
            ConfigureError::Fault(Fault::Exhausted) => AdmitError::Exhausted,
            ConfigureError::Fault(Fault::Transient(_, why) | Fault::Permanent(_, why)) => {
                broken(format!("the component could not be configured: {why}"))
            }
        })?;
        let manifest = Arc::new(Manifest::admit(given).map_err(AdmitError::Problems)?);
        instance.admit(Arc::clone(&manifest));
        let rule = Arc::new(Rule {
            component: component.digest,
            contract,
            config: key.2,
            source,
            manifest,
            pool: Pool::new(self.workers),
            pace: Pace::default(),
            limits: arc_swap::ArcSwap::from_pointee(limits),
            breaker: Breaker::default(),
        });
        rule.put(instance);
        let changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        self.rules.put(key, &rule);
        // The limits may have changed while it was started.
        self.renew_limits(&rule);
        drop(changing);
        Ok(rule)
    }

    /// What instances of a component are made from that no tenant pays for.
    ///
    /// # Errors
    /// Where it does not fit the contract.
    pub(crate) fn source(&self, component: &Component, config: String) -> Result<Source, String> {
        let prepared = self.adapters.link(component).map_err(|error| error.to_string())?;
        Ok(self.source_in(self.engine.clone(), prepared, config))
    }

    /// The same in another engine.
    pub(crate) fn source_in(
        &self,
        engine: Engine,
        prepared: Box<dyn Prepared>,
        config: String,
    ) -> Source {
        let (long_calls, rules) = (Arc::clone(&self.long_calls), Arc::clone(&self.rules));
        let (tenant, slow_lane) = (self.tenants.nobody(), Arc::clone(&self.slow_lane));
        Source { engine, prepared, config, long_calls, slow_lane, tenant, rules }
    }
}

/// The tables of a manifest, in its order.
fn resolve_tables(
    manifest: &Manifest,
    tables: &Tables,
) -> Result<Arc<[Arc<crate::table::Table>]>, AdmitError> {
    let mut problems = Vec::new();
    let mut out = Vec::with_capacity(manifest.tables.len());
    for wanted in &manifest.tables {
        let name = TableName::new(&wanted.name).ok();
        let Some(table) = name.and_then(|name| tables.get(&name)) else {
            let detail = format!(
                "the rule needs the table `{}`, which the revision does not have",
                wanted.name
            );
            problems.push(ProblemPart { pointer: "/tables".into(), detail });
            continue;
        };
        for (column, _) in &wanted.columns {
            if table.column(column).is_none() {
                let detail =
                    format!("the rule needs the column `{column}` of table `{}`", wanted.name);
                problems.push(ProblemPart { pointer: "/tables".into(), detail });
            }
        }
        out.push(Arc::clone(table));
    }
    if problems.is_empty() { Ok(out.into()) } else { Err(AdmitError::Problems(problems)) }
}

/// Sweeps idle stores twice a minute, until what it answers is dropped.
fn sweep(rules: Arc<Registry>, clock: Clock) -> std::io::Result<SyncSender<()>> {
    let (sweeping, ended) = sync_channel::<()>(0);
    std::thread::Builder::new().name("sweep".into()).spawn(move || {
        while ended.recv_timeout(SWEEP_EVERY) == Err(RecvTimeoutError::Timeout) {
            rules.sweep(clock.millis());
        }
    })?;
    Ok(sweeping)
}

/// Advances the epoch from a thread of its own, until the engine is gone.
pub(crate) fn tick(engine: &Engine, every: Duration) -> std::io::Result<()> {
    let engine = engine.weak();
    std::thread::Builder::new().name("epoch".into()).spawn(move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(every);
        }
    })?;
    Ok(())
}
