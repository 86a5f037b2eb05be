//! The data plane as the control plane sees it: checks what is about to be stored, and publishes
//! snapshots of what is.

use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use tidegate_admin_api::{BoxFuture, DataPlane, Inspection};
use tidegate_catalog::{Catalog, Scope, StoredRevision};
use tidegate_event::{Schema, SchemaLimits};
use tidegate_ingest::{ApiKey, Artifacts, Gateway, InForce, KeyState, Revision, Scopes, Snapshot};
use tidegate_plugin_host::{PluginHost, Table};
use tidegate_storage::Storage;
use tidegate_types::problem::ProblemPart;
use tidegate_types::revision::{RevisionDocument, TableVersion};
use tidegate_types::{Digest, Problem, ProblemType, Status, TenantId};
use tidegate_wal::Wal;

use super::warm::Warm;

/// This node.
pub(super) struct Node {
    catalog: Arc<Catalog>,
    plugins: Arc<PluginHost>,
    gateway: Arc<Gateway>,
    storage: Arc<Storage>,
    wal: Wal,
    schemas: SchemaLimits,
    /// Revisions that run.
    warm: Warm,
}

impl Node {
    pub(super) fn new(
        catalog: &Arc<Catalog>,
        plugins: Arc<PluginHost>,
        gateway: &Arc<Gateway>,
        storage: &Arc<Storage>,
        wal: &Wal,
        schemas: SchemaLimits,
    ) -> Self {
        let (catalog, gateway, storage) =
            (Arc::clone(catalog), Arc::clone(gateway), Arc::clone(storage));
        Self {
            catalog,
            plugins,
            gateway,
            storage,
            wal: wal.clone(),
            schemas,
            warm: Warm::default(),
        }
    }

    async fn build(
        &self,
        tenant: &TenantId,
        document: &RevisionDocument,
    ) -> Result<Revision, Vec<ProblemPart>> {
        let artifacts = FromCatalog(&self.catalog);
        Revision::build(tenant, document, &self.plugins, &artifacts, &self.schemas).await
    }

    /// A revision that runs: the one that is in force or was not long ago, or else a new one.
    async fn running(
        &self,
        tenant: &TenantId,
        stored: &StoredRevision,
    ) -> anyhow::Result<Arc<Revision>> {
        if let Some(known) = self.warm.get(tenant, &stored.digest) {
            return Ok(known);
        }
        let built = self.build(tenant, &stored.document).await;
        let built = built.map_err(|problems| anyhow::anyhow!("{}", told(&problems)));
        let revision = Arc::new(built.with_context(|| format!("the revision of tenant {tenant}"))?);
        self.warm.keep(tenant, &revision);
        Ok(revision)
    }

    async fn snapshot(&self) -> anyhow::Result<Snapshot> {
        let mut tenants = Vec::new();
        let before = self.gateway.snapshot();
        for active in self.catalog.active_revisions()? {
            let revision = self.running(&active.tenant, &active.revision).await?;
            let unchanged = before
                .in_force(&active.tenant)
                .filter(|known| Arc::ptr_eq(&known.revision, &revision));
            let in_force = match unchanged {
                Some(known) => Arc::clone(known),
                None => Arc::new(InForce { revision, rollout: None, watch: None }),
            };
            tenants.push((active.tenant, in_force));
        }
        self.warm.retain(tenants.iter().map(|(tenant, in_force)| (tenant, &**in_force)));
        let keys = self.catalog.all_keys()?.into_iter().map(|record| {
            let state = if record.is_active { KeyState::Active } else { KeyState::Revoked };
            let scopes =
                Scopes::from_names(record.scopes.iter().map(|scope: &Scope| scope.as_str()));
            (
                record.hash,
                ApiKey { tenant: record.tenant, state, scopes, expires_at: record.expires_at },
            )
        });
        Ok(Snapshot::new(keys, tenants))
    }
}

fn told(problems: &[ProblemPart]) -> String {
    let parts: Vec<_> =
        problems.iter().map(|part| format!("{}: {}", part.pointer, part.detail)).collect();
    parts.join("; ")
}

impl DataPlane for Node {
    fn inspect(&self, component: Bytes) -> BoxFuture<'_, Result<Inspection, Vec<ProblemPart>>> {
        Box::pin(async move {
            let compiled = self.plugins.compile(component).await.map_err(|error| {
                vec![ProblemPart { pointer: String::new(), detail: error.to_string() }]
            })?;
            Ok(Inspection {
                imports: compiled.imports.into_iter().map(|import| import.0).collect(),
                exports: compiled.exports,
                compile_ms: u64::try_from(compiled.compile_time.as_millis()).unwrap_or(u64::MAX),
                code_bytes: compiled.code_bytes as u64,
                manifest: None,
            })
        })
    }

    fn check_schema(&self, bytes: &[u8]) -> Result<(), Vec<ProblemPart>> {
        Schema::compile(bytes, &self.schemas)
            .map(drop)
            .map_err(|error| vec![ProblemPart { pointer: error.pointer, detail: error.message }])
    }

    fn check_revision(
        &self,
        tenant: &TenantId,
        document: &RevisionDocument,
    ) -> BoxFuture<'_, Result<(), Vec<ProblemPart>>> {
        let (tenant, document) = (tenant.clone(), document.clone());
        Box::pin(async move { self.build(&tenant, &document).await.map(drop) })
    }

    fn publish(&self) -> BoxFuture<'_, Result<(), Problem>> {
        Box::pin(async move {
            match self.snapshot().await {
                Ok(snapshot) => {
                    self.gateway.publish(snapshot);
                    Ok(())
                }
                Err(error) => Err(Problem::new(ProblemType::Internal, format!("{error:#}"))),
            }
        })
    }

    fn status(&self) -> serde_json::Map<String, serde_json::Value> {
        let (storage, wal) = (self.storage.stats(), self.wal.stats());
        let events: serde_json::Map<_, _> = Status::ALL
            .into_iter()
            .map(|status| (status.as_str().to_owned(), self.gateway.counts.get(status).into()))
            .collect();
        let status = serde_json::json!({
            "ready": self.gateway.health.is_ready(),
            "events": events,
            "wal": {
                "durable_lsn": self.wal.durable_end(),
                "segments": wal.segments,
                "segment_bytes": wal.segment_bytes,
                "torn_files": wal.torn_files,
            },
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

/// Parts of revisions, from the catalog.
struct FromCatalog<'c>(&'c Catalog);

impl Artifacts for FromCatalog<'_> {
    fn component(&self, digest: &Digest) -> Result<Bytes, String> {
        self.0.content(digest).map(Into::into).map_err(|error| error.to_string())
    }

    fn schema(&self, digest: &Digest) -> Result<Vec<u8>, String> {
        self.0.content(digest).map_err(|error| error.to_string())
    }

    fn table(&self, version: &TableVersion) -> Result<Arc<Table>, String> {
        let content = self.0.table_content(&version.digest).map_err(|error| error.to_string())?;
        let columns: Vec<String> = content.columns().to_vec();
        let key = columns.first().cloned().unwrap_or_default();
        let rows = (0..content.len()).map(|row| content.row(row).map(str::to_owned).collect());
        let table = Table::new(version.generation, columns, &key, rows);
        table.map(Arc::new).map_err(|error| error.to_string())
    }
}
