//! The parts of a revision, from the catalog. Reference tables, which may be large, are read on a
//! blocking thread before the revision is built, and shared by content.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tidegate_catalog::{Catalog, TableCells};
use tidegate_ingest::Artifacts;
use tidegate_plugin_host::Table;
use tidegate_plugin_host::table::{Content, TableCache};
use tidegate_types::problem::ProblemPart;
use tidegate_types::revision::{RevisionDocument, TableVersion};
use tidegate_types::{Digest, SinkName, TenantId};

use crate::serve::recovery::sinks::Sinks;

pub(super) struct Parts {
    catalog: Arc<Catalog>,
    tables: HashMap<Digest, Arc<Content>>,
    sinks: Arc<Sinks>,
}

impl Parts {
    /// Reads the tables of a document; the others come when they are asked for.
    ///
    /// # Errors
    /// Each table that cannot be read, by a pointer into the document.
    pub(super) async fn of(
        document: &RevisionDocument,
        catalog: &Arc<Catalog>,
        cache: &Arc<TableCache>,
        sinks: &Arc<Sinks>,
    ) -> Result<Self, Vec<ProblemPart>> {
        let (mut tables, mut problems) = (HashMap::new(), Vec::new());
        for (name, TableVersion { digest, .. }) in &document.tables {
            let (catalog, cache, digest) = (Arc::clone(catalog), Arc::clone(cache), *digest);
            let work = move || cache.get_or_load(&digest, || load(&catalog, &digest));
            let loaded = tokio::task::spawn_blocking(work).await;
            match loaded.unwrap_or_else(|error| Err(error.to_string())) {
                Ok(content) => drop(tables.insert(digest, content)),
                Err(detail) => {
                    problems.push(ProblemPart { pointer: format!("/tables/{name}"), detail });
                }
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Self { catalog: Arc::clone(catalog), tables, sinks: Arc::clone(sinks) })
    }
}

/// The content of a table, with its index. Blocks for as long as it is large.
fn load(catalog: &Catalog, digest: &Digest) -> Result<Content, String> {
    let content = catalog.table_content(digest).map_err(|error| error.to_string())?;
    let TableCells { columns, text, ends } = content.into_cells();
    Content::new(columns, text, ends).map_err(|error| error.to_string())
}

impl Artifacts for Parts {
    fn component(&self, digest: &Digest) -> Result<Bytes, String> {
        self.catalog.content(digest).map(Into::into).map_err(|error| error.to_string())
    }

    fn schema(&self, digest: &Digest) -> Result<Vec<u8>, String> {
        self.catalog.content(digest).map_err(|error| error.to_string())
    }

    fn table(&self, version: &TableVersion) -> Result<Arc<Table>, String> {
        let content = self.tables.get(&version.digest).ok_or("the table was not read")?;
        Ok(Arc::new(Table::of(version.generation, Arc::clone(content))))
    }

    fn sink(&self, tenant: &TenantId, sink: &SinkName) -> Result<(), String> {
        self.sinks.check(tenant, sink)
    }
}
