//! The immutable state that the data plane reads through one atomic pointer: who may send, and
//! what decides each tenant's events. A request reads it once and ends on what it read.

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_types::{Digest, TenantId, UnixMillis};

use crate::revision::Revision;

/// Everything that a request needs to know.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// By the SHA-256 of the whole key.
    keys: HashMap<Digest, ApiKey, ahash::RandomState>,
    tenants: HashMap<TenantId, Arc<Tenant>, ahash::RandomState>,
}

/// A tenant as it is now.
#[derive(Debug)]
pub struct Tenant {
    pub id: TenantId,
    /// The active revision.
    pub revision: Option<Arc<Revision>>,
}

/// An API key, without the key.
#[derive(Clone, Debug)]
pub struct ApiKey {
    pub tenant: TenantId,
    pub state: KeyState,
    pub scopes: Scopes,
    pub expires_at: Option<UnixMillis>,
}

/// Can the key be used at all?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    Active,
    Revoked,
}

/// What a key may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scopes {
    /// `events:write`
    pub write: bool,
    /// `events:read`
    pub read: bool,
}

impl Scopes {
    /// Reads the names of scopes; others are of no concern here.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut scopes = Self::default();
        for name in names {
            scopes.write |= name == "events:write";
            scopes.read |= name == "events:read";
        }
        scopes
    }
}

impl Snapshot {
    #[must_use]
    pub fn new(
        keys: impl IntoIterator<Item = (Digest, ApiKey)>,
        tenants: impl IntoIterator<Item = Tenant>,
    ) -> Self {
        let tenants = tenants.into_iter().map(|tenant| (tenant.id.clone(), Arc::new(tenant)));
        Self { keys: keys.into_iter().collect(), tenants: tenants.collect() }
    }

    pub(crate) fn key(&self, hash: &Digest) -> Option<&ApiKey> {
        self.keys.get(hash)
    }

    pub(crate) fn tenant(&self, id: &TenantId) -> Option<&Arc<Tenant>> {
        self.tenants.get(id)
    }

    /// The active revision of a tenant.
    #[must_use]
    pub fn revision(&self, id: &TenantId) -> Option<&Arc<Revision>> {
        self.tenants.get(id)?.revision.as_ref()
    }
}
