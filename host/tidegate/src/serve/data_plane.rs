//! The data plane as the control plane sees it: checks what is about to be stored, and publishes
//! snapshots of what is.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use tidegate_admin_api::{BoxFuture, DataPlane, Inspection};
use tidegate_catalog::{Catalog, Scope};
use tidegate_event::{Schema, SchemaLimits};
use tidegate_ingest::revision::Artifacts;
use tidegate_ingest::{ApiKey, Gateway, KeyState, Revision, Scopes, Snapshot, Tenant};
use tidegate_plugin_host::{PluginHost, Table};
use tidegate_storage::Storage;
use tidegate_types::problem::ProblemPart;
use tidegate_types::revision::{RevisionDocument, TableVersion};
use tidegate_types::{Digest, Problem, ProblemType, Status, TenantId};
use tidegate_wal::Wal;

/// This node.
pub(super) struct Node {
    catalog: Arc<Catalog>,
    plugins: Arc<PluginHost>,
    gateway: Arc<Gateway>,
    storage: Arc<Storage>,
    wal: Wal,
    schemas: SchemaLimits,
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
        Self { catalog, plugins, gateway, storage, wal: wal.clone(), schemas }
    }

    async fn build(
        &self,
        tenant: &TenantId,
        document: &RevisionDocument,
    ) -> Result<Revision, Vec<ProblemPart>> {
        let artifacts = FromCatalog(&self.catalog);
        Revision::build(tenant, document, &self.plugins, &artifacts, &self.schemas).await
    }

    async fn snapshot(&self) -> anyhow::Result<Snapshot> {
        let mut revisions = HashMap::new();
        let before = self.gateway.snapshot();
        let catalog = Arc::clone(&self.catalog);
        let reading = move || {
            Ok::<_, tidegate_catalog::CatalogError>((
                catalog.active_revisions()?,
                catalog.all_keys()?,
            ))
        };
        let (active_revisions, keys) = tokio::task::spawn_blocking(reading).await??;
        for active in active_revisions {
            let unchanged = before
                .revision(&active.tenant)
                .filter(|known| known.digest == active.revision.digest);
            let revision = match unchanged {
                Some(known) => Arc::clone(known),
                None => {
                    let built = self.build(&active.tenant, &active.revision.document).await;
                    let built = built.map_err(|problems| anyhow::anyhow!("{}", told(&problems)));
                    Arc::new(
                        built
                            .with_context(|| format!("the revision of tenant {}", active.tenant))?,
                    )
                }
            };
            revisions.insert(active.tenant, revision);
        }
        let keys = keys.into_iter().map(|record| {
            let state = if record.is_active { KeyState::Active } else { KeyState::Revoked };
            let scopes =
                Scopes::from_names(record.scopes.iter().map(|scope: &Scope| scope.as_str()));
            (
                record.hash,
                ApiKey { tenant: record.tenant, state, scopes, expires_at: record.expires_at },
            )
        });
        let tenants =
            revisions.into_iter().map(|(id, revision)| Tenant { id, revision: Some(revision) });
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
