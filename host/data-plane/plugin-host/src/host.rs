//! The plugin host itself: one engine, one linker, one compiler, the rules that are in use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tidegate_types::problem::ProblemPart;
use tidegate_types::revision::OnFault;
use tidegate_types::{Digest, EventType, RuleName, TableName, TenantId};
use tokio::sync::Semaphore;
use wasmtime::Engine;

use crate::compile::{CacheError, CompileError, CompileOptions, Compiled, Compiler, Component};
use crate::engine::Purpose;
use crate::evaluate::instance::{ConfigureError, Fault};
use crate::evaluate::pool::Pool;
use crate::evaluate::registry::{Registry, RuleKey};
use crate::evaluate::rule::Rule;
use crate::evaluate::source::Source;
use crate::evaluate::{PlanRule, Tables};
use crate::guest::contract::{Adapters, Contracts, Prepared};
use crate::guest::manifest::Manifest;
use crate::limits::Limits;

/// Limits that can be changed while the host runs.
pub(crate) type SharedLimits = Arc<arc_swap::ArcSwap<Limits>>;

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
    #[error("the epoch thread cannot start: {0}")]
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
    pub(crate) limits: SharedLimits,
    workers: usize,
    rules: Arc<Registry>,
    /// Turns for calls that are longer than a slice: half of the workers are left to short ones.
    long_calls: Arc<Semaphore>,
    turns: Mutex<HashMap<TenantId, Arc<Semaphore>>>,
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
        Self::speaking(Contracts::released(), options)
    }

    /// The same, for these versions of the contract.
    ///
    /// # Errors
    /// As for `new`.
    pub fn speaking(contracts: Contracts, options: HostOptions) -> Result<Self, HostError> {
        let HostOptions { compile, limits, workers } = options;
        let fail = |error: wasmtime::Error| HostError::Engine(format!("{error:#}"));
        let engine = crate::engine::running(&limits).map_err(fail)?;
        let adapters = Adapters::new(contracts, &engine).map_err(fail)?;
        let compiler = Compiler::new(compile)?;
        tick(&engine, limits.epoch_tick).map_err(HostError::Thread)?;
        let limits = Arc::new(arc_swap::ArcSwap::from_pointee(limits));
        let long_calls = Arc::new(Semaphore::new(workers.div_ceil(2).max(1)));
        let (rules, turns) = (Arc::default(), Mutex::default());
        Ok(Self { engine, adapters, compiler, limits, workers, long_calls, rules, turns })
    }

    /// Changes the limits from the next call on.
    pub fn set_limits(&self, limits: Limits) {
        self.limits.store(Arc::new(limits));
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
        Ok(PlanRule::new(name, rule, tables, on_fault, event_types))
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
        let limits = self.limits.load();
        let started = source.start(&limits, limits.retire_after_calls).await;
        let (mut instance, given) = started.map_err(|error| match error {
            ConfigureError::Problems(problems) => AdmitError::Problems(problems),
            ConfigureError::Fault(Fault::Exhausted) => AdmitError::Exhausted,
            ConfigureError::Fault(Fault::Transient(why) | Fault::Permanent(why)) => {
                broken(format!("the component could not be configured: {why}"))
            }
        })?;
        let manifest = Arc::new(Manifest::admit(given).map_err(AdmitError::Problems)?);
        instance.admit(Arc::clone(&manifest));
        let rule = Arc::new(Rule {
            component: component.digest,
            contract,
            source,
            manifest,
            pool: Pool::new(self.workers),
            limits: Arc::clone(&self.limits),
            turns: self.turns_of(tenant, limits.max_calls_per_tenant),
        });
        rule.pool.put(instance);
        self.rules.put(key, &rule);
        Ok(rule)
    }

    /// What instances of a component are made from.
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
        Source { engine, prepared, config, long_calls, rules }
    }

    fn turns_of(&self, tenant: &TenantId, calls: usize) -> Arc<Semaphore> {
        let fresh = || Arc::new(Semaphore::new(calls.max(1)));
        match self.turns.lock() {
            Ok(mut turns) => Arc::clone(turns.entry(tenant.clone()).or_insert_with(fresh)),
            Err(_) => fresh(),
        }
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
