//! The data plane as the control plane sees it: checks what is about to be stored, and publishes
//! snapshots of what is.

mod active;
mod admission;
mod artifacts;
pub(super) mod limits;
mod metrics;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use serde_json::{Map, Value, json};
use tidegate_admin_api::{
    ActiveRule, BoxFuture, Certified, DataPlane, FailingRevision, LogRequest, ParquetLimits,
    ReplayProgress, ReplayRequest, Workbench,
};
use tidegate_catalog::{CasePolicy, Catalog, CatalogError, TableCells};
use tidegate_event::{Schema, SchemaLimits};
use tidegate_ingest::{Gateway, Revision};
use tidegate_plugin_host::PluginHost;
use tidegate_plugin_host::table::TableCache;
use tidegate_storage::{Storage, TableFile, TableLimits};
use tidegate_telemetry::Page;
use tidegate_types::problem::ProblemPart;
use tidegate_types::quota::Quotas;
use tidegate_types::revision::RevisionDocument;
use tidegate_types::rollout::Stage;
use tidegate_types::{EventId, Lsn, Problem, ProblemType, Status, TenantId};
use tidegate_wal::Wal;
use tokio::sync::mpsc;

use super::in_force::failing::Failing;
use super::listeners::telemetry::Telemetry;
use super::recovery::redis::Link;
use super::recovery::sinks::Sinks;
use super::warm::Warm;
use artifacts::Parts;

/// This node.
pub(super) struct Node {
    pub(super) catalog: Arc<Catalog>,
    pub(super) plugins: Arc<PluginHost>,
    pub(super) gateway: Arc<Gateway>,
    pub(super) storage: Arc<Storage>,
    wal: Wal,
    /// To the Redis that nodes share.
    link: Option<Link>,
    telemetry: Telemetry,
    pub(super) sinks: Arc<Sinks>,
    schemas: SchemaLimits,
    /// Of tenants that have none of their own.
    pub(super) default_quotas: Quotas,
    /// Revisions that run.
    pub(super) warm: Warm,
    /// Revisions that cannot run here.
    pub(super) failing: Failing,
    /// What tenants and revisions share.
    tables: Arc<TableCache>,
    /// The version of the desired state that is in force.
    pub(super) applied: AtomicU64,
    /// Held while a snapshot is made, so that an older one never replaces a newer one. Who has limits
    /// of their own.
    publishing: tokio::sync::Mutex<Vec<limits::Owner>>,
}

impl Node {
    pub(super) fn new(
        catalog: &Arc<Catalog>,
        plugins: Arc<PluginHost>,
        gateway: &Arc<Gateway>,
        (storage, wal, link, sinks): (Arc<Storage>, Wal, Option<Link>, Arc<Sinks>),
        (schemas, default_quotas): (SchemaLimits, Quotas),
        telemetry: Telemetry,
    ) -> Self {
        let (catalog, gateway) = (Arc::clone(catalog), Arc::clone(gateway));
        Self {
            catalog,
            plugins,
            gateway,
            storage,
            wal,
            link,
            telemetry,
            sinks,
            schemas,
            default_quotas,
            warm: Warm::default(),
            failing: Failing::default(),
            tables: Arc::default(),
            applied: AtomicU64::new(0),
            publishing: tokio::sync::Mutex::default(),
        }
    }

    pub(super) async fn build(
        &self,
        tenant: &TenantId,
        document: &RevisionDocument,
        earlier: Option<&RevisionDocument>,
    ) -> Result<Revision, Vec<ProblemPart>> {
        let artifacts = Parts::of(document, &self.catalog, &self.tables, &self.sinks).await?;
        Revision::build(tenant, document, earlier, &self.plugins, &artifacts, &self.schemas).await
    }

    pub(super) fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// The position after everything that is durable.
    pub(super) fn log_end(&self) -> Lsn {
        self.wal.durable_end()
    }

    /// Calls the catalog on a blocking thread.
    pub(super) async fn ask<T, F>(&self, work: F) -> anyhow::Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Catalog) -> Result<T, CatalogError> + Send + 'static,
    {
        let catalog = Arc::clone(&self.catalog);
        Ok(tokio::task::spawn_blocking(move || work(&catalog)).await??)
    }
}

pub(super) fn told(problems: &[ProblemPart]) -> String {
    let parts: Vec<_> =
        problems.iter().map(|part| format!("{}: {}", part.pointer, part.detail)).collect();
    parts.join("; ")
}

impl DataPlane for Node {
    fn admission_steps(&self) -> &'static [&'static str] {
        admission::STEPS
    }

    fn certify(
        &self,
        tenant: &TenantId,
        component: Bytes,
        cases: CasePolicy,
        done: mpsc::Sender<Value>,
    ) -> BoxFuture<'_, Certified> {
        Box::pin(admission::certify(&self.plugins, tenant.clone(), component, cases, done))
    }

    fn check_schema(&self, bytes: &[u8]) -> Result<(), Vec<ProblemPart>> {
        Schema::compile(bytes, &self.schemas)
            .map(drop)
            .map_err(|error| vec![ProblemPart { pointer: error.pointer, detail: error.message }])
    }

    fn read_parquet(&self, file: Bytes, limits: &ParquetLimits) -> Result<TableCells, String> {
        let ParquetLimits { rows, columns, cells, bytes } = *limits;
        let limits = TableLimits { rows, columns, cells, bytes };
        let table =
            tidegate_storage::read_table(file, &limits).map_err(|error| error.to_string())?;
        let TableFile { columns, text, ends } = table;
        Ok(TableCells { columns, text, ends })
    }

    fn check_revision(
        &self,
        tenant: &TenantId,
        document: &RevisionDocument,
    ) -> BoxFuture<'_, Result<(), Vec<ProblemPart>>> {
        let (tenant, document) = (tenant.clone(), document.clone());
        Box::pin(async move { self.build(&tenant, &document, None).await.map(drop) })
    }

    fn publish<'a>(&'a self, whose: Option<&'a TenantId>) -> BoxFuture<'a, Result<(), Problem>> {
        Box::pin(async move {
            let mut limited = self.publishing.lock().await;
            if let Some(tenant) = whose {
                self.failing.forget_all(tenant);
            }
            let made = self.snapshot(&mut limited).await;
            let internal = |detail| Problem::new(ProblemType::Internal, detail);
            let (snapshot, version) = made.map_err(|error| internal(format!("{error:#}")))?;
            self.gateway.publish(snapshot);
            self.applied.store(version, Ordering::Release);
            match whose.and_then(|tenant| self.failing_of(tenant)) {
                Some(reason) => Err(internal(format!("cannot run on this node: {reason}"))),
                None => Ok(()),
            }
        })
    }

    fn failing(&self) -> Vec<FailingRevision> {
        self.failing.list()
    }

    fn check_limits(&self, of_component: bool, limits: &Value) -> Result<(), String> {
        limits::check(of_component, limits)
    }

    fn plugin_log(&self, tenant: &TenantId, wanted: &LogRequest) -> Vec<Value> {
        limits::lines(&self.plugins, tenant, wanted)
    }

    fn page(&self) -> Page {
        Page::of(|page| self.report(page))
    }

    fn observe_rollout(&self, tenant: &TenantId, id: u64) -> Option<Map<String, Value>> {
        let snapshot = self.gateway.snapshot();
        let in_force = snapshot.in_force(tenant)?;
        let rollout = in_force.rollout.as_ref().filter(|rollout| rollout.id == id)?;
        let mut out = Map::new();
        if rollout.stage == Stage::Shadow {
            let diff = serde_json::to_value(rollout.diff.report());
            out.insert("diff".to_owned(), diff.unwrap_or_default());
        } else {
            let counts = json!({
                "active": in_force.revision.stats.tally(),
                "candidate": rollout.candidate.stats.tally(),
            });
            out.insert("counts".to_owned(), counts);
        }
        Some(out)
    }

    fn replay<'a>(
        &'a self,
        tenant: &'a TenantId,
        request: &'a ReplayRequest,
        progress: &'a ReplayProgress,
    ) -> BoxFuture<'a, Result<Value, Problem>> {
        Box::pin(self.replay_stored(tenant, request, progress))
    }

    fn explain<'a>(
        &'a self,
        tenant: &'a TenantId,
        event_id: EventId,
    ) -> BoxFuture<'a, Result<Value, Problem>> {
        Box::pin(self.explain_stored(tenant, event_id))
    }

    fn workbench(&self) -> &dyn Workbench {
        self
    }

    fn active_rules(&self, tenant: &TenantId) -> Vec<ActiveRule> {
        active::rules(&self.gateway.snapshot(), tenant)
    }

    fn status(&self) -> serde_json::Map<String, serde_json::Value> {
        let (storage, wal) = (self.storage.stats(), self.wal.stats());
        let events: serde_json::Map<_, _> = Status::ALL
            .into_iter()
            .map(|status| (status.as_str().to_owned(), self.gateway.events(status).into()))
            .collect();
        let status = serde_json::json!({
            "ready": self.gateway.health.is_ready(),
            "events": events,
            "active_rules": active::by_contract(&self.plugins, &self.gateway.snapshot()),
            "wal": {
                "durable_lsn": self.wal.durable_end(),
                "segments": wal.segments,
                "segment_bytes": wal.segment_bytes,
                "torn_files": wal.torn_files,
            },
            "sinks": self.sinks.status(),
            "dedup": { "failing": self.gateway.keys().failing() },
            "storage": {
                "published_lsn": storage.published_end,
                "files": storage.files,
                "rows": storage.rows,
                "lag": storage.lag,
                "failing": storage.failing,
            },
        });
        match status {
            serde_json::Value::Object(members) => members,
            _ => serde_json::Map::new(),
        }
    }
}
