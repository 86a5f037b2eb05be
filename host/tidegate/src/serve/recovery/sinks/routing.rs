//! The routes of events in the log, from the catalog: revisions are kept as long as events cite them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tidegate_catalog::{Catalog, Selector};
use tidegate_sinks::{Routing, Targets};
use tidegate_types::{Digest, TenantId};

/// Routes that are remembered; revisions in use are few.
const REMEMBERED: usize = 4096;

type Key = (String, String, Digest);

pub(super) struct CatalogRouting {
    catalog: Arc<Catalog>,
    known: Mutex<HashMap<Key, Arc<Targets>>>,
}

impl CatalogRouting {
    pub(super) fn new(catalog: Arc<Catalog>) -> Self {
        Self { catalog, known: Mutex::default() }
    }
}

impl Routing for CatalogRouting {
    fn targets(
        &self,
        tenant: &str,
        event_type: &str,
        revision: &Digest,
    ) -> Result<Arc<Targets>, String> {
        let key = (tenant.to_owned(), event_type.to_owned(), *revision);
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(targets) = known().get(&key) {
            return Ok(Arc::clone(targets));
        }
        let tenant = TenantId::new(tenant).map_err(|error| error.to_string())?;
        let stored = self.catalog.revision(&tenant, &Selector::Digest(*revision));
        let stored = stored.map_err(|error| error.to_string())?;
        let targets = Arc::new(Targets::stored(&stored.document, event_type));
        let mut known = known();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(key, Arc::clone(&targets));
        Ok(targets)
    }
}
