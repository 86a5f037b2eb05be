//! Which typed columns the stored events of a type have: read from the schema that the event's
//! revision cites.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tidegate_catalog::{Catalog, Selector};
use tidegate_storage::{Layout, Layouts};
use tidegate_types::{Digest, TenantId};

/// Layouts that are remembered; revisions in use are few.
const REMEMBERED: usize = 4096;

pub(in crate::serve) struct CatalogLayouts {
    catalog: Arc<Catalog>,
    known: Mutex<HashMap<(String, String, Digest), Arc<Layout>>>,
}

impl CatalogLayouts {
    pub(in crate::serve) fn new(catalog: Arc<Catalog>) -> Self {
        Self { catalog, known: Mutex::default() }
    }

    /// An event whose revision cannot be read is stored without typed columns rather than not at
    /// all: its original is complete.
    fn read(&self, tenant: &str, event_type: &str, revision: &Digest) -> anyhow::Result<Layout> {
        let stored =
            self.catalog.revision(&TenantId::new(tenant)?, &Selector::Digest(*revision))?;
        let Some(schema) =
            stored.document.event_types.get(event_type).and_then(|route| route.schema)
        else {
            return Ok(Layout::default());
        };
        let text = self.catalog.content(&schema)?;
        Ok(Layout::from_json_schema(&serde_json::from_slice(&text)?))
    }
}

impl Layouts for CatalogLayouts {
    fn layout(&self, tenant: &str, event_type: &str, revision: &Digest) -> Arc<Layout> {
        let key = (tenant.to_owned(), event_type.to_owned(), *revision);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(layout) = known.get(&key) {
            return Arc::clone(layout);
        }
        let layout = self.read(tenant, event_type, revision).unwrap_or_else(|error| {
            tracing::warn!(tenant, event_type, %revision, %error, "typed columns cannot be read from the revision");
            Layout::default()
        });
        let layout = Arc::new(layout);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(key, Arc::clone(&layout));
        layout
    }
}
