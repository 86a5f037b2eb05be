//! The immutable state that the data plane reads through one atomic pointer: who may send, and
//! what decides each tenant's events. A request reads it once and ends on what it read.

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_types::quota::Quotas;
use tidegate_types::{Digest, TenantId};

use super::keys::{ApiKey, Keys};
use super::rollout::InForce;

/// Everything that a request needs to know.
#[derive(Debug, Default)]
pub struct Snapshot {
    keys: Keys,
    /// Those of tenants that have their own.
    quotas: HashMap<TenantId, Quotas, ahash::RandomState>,
    /// Those of all others.
    default_quotas: Quotas,
    /// Those that have an active revision.
    tenants: HashMap<TenantId, Arc<InForce>, ahash::RandomState>,
    /// Those that have one which cannot run on this node, and had none before that can.
    stuck: HashMap<TenantId, Digest, ahash::RandomState>,
}

impl Snapshot {
    #[must_use]
    pub fn new(
        keys: impl IntoIterator<Item = ApiKey>,
        tenants: impl IntoIterator<Item = (TenantId, Arc<InForce>)>,
    ) -> Self {
        Self { keys: Keys::new(keys), tenants: tenants.into_iter().collect(), ..Self::default() }
    }

    /// The same with tenants whose active revision cannot run on this node: their events are put off.
    #[must_use]
    pub fn with_stuck(self, stuck: impl IntoIterator<Item = (TenantId, Digest)>) -> Self {
        Self { stuck: stuck.into_iter().collect(), ..self }
    }

    /// The same with quotas: those of tenants that have their own, and those of all others.
    #[must_use]
    pub fn with_quotas(
        self,
        own: impl IntoIterator<Item = (TenantId, Quotas)>,
        default_quotas: Quotas,
    ) -> Self {
        Self { quotas: own.into_iter().collect(), default_quotas, ..self }
    }

    /// How much a tenant may send.
    #[must_use]
    pub fn quotas(&self, tenant: &TenantId) -> Quotas {
        self.quotas.get(tenant).copied().unwrap_or(self.default_quotas)
    }

    /// The active revision of a tenant, where it cannot run on this node and none is in force.
    #[must_use]
    pub fn stuck(&self, id: &TenantId) -> Option<&Digest> {
        self.stuck.get(id)
    }

    /// The key that a text is.
    pub(crate) fn key(&self, text: &str) -> Option<&Arc<ApiKey>> {
        self.keys.find(text)
    }

    /// A key by its name in the catalog.
    #[must_use]
    pub fn key_by_id(&self, id: &str) -> Option<&Arc<ApiKey>> {
        self.keys.by_id(id)
    }

    /// All keys, also those that open nothing any more.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<ApiKey>> {
        self.keys.all()
    }

    /// What decides a tenant's events; `None` where nothing does yet.
    #[must_use]
    pub fn in_force(&self, id: &TenantId) -> Option<&Arc<InForce>> {
        self.tenants.get(id)
    }

    /// All tenants that have an active revision.
    pub fn tenants(&self) -> impl Iterator<Item = (&TenantId, &Arc<InForce>)> {
        self.tenants.iter()
    }
}
