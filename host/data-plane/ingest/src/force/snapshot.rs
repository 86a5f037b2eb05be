//! The immutable state that the data plane reads through one atomic pointer: who may send, and
//! what decides each tenant's events. A request reads it once and ends on what it read.

use std::collections::HashMap;
use std::sync::Arc;

use tidegate_types::{Digest, TenantId, UnixMillis};

use super::rollout::InForce;

/// Everything that a request needs to know.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// By the SHA-256 of the whole key.
    keys: HashMap<Digest, ApiKey, ahash::RandomState>,
    /// Those that have an active revision.
    tenants: HashMap<TenantId, Arc<InForce>, ahash::RandomState>,
    /// Those that have one which cannot run on this node, and had none before that can.
    stuck: HashMap<TenantId, Digest, ahash::RandomState>,
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
        tenants: impl IntoIterator<Item = (TenantId, Arc<InForce>)>,
    ) -> Self {
        let stuck = HashMap::default();
        Self { keys: keys.into_iter().collect(), tenants: tenants.into_iter().collect(), stuck }
    }

    /// The same with tenants whose active revision cannot run on this node: their events are put off.
    #[must_use]
    pub fn with_stuck(self, stuck: impl IntoIterator<Item = (TenantId, Digest)>) -> Self {
        Self { stuck: stuck.into_iter().collect(), ..self }
    }

    /// The active revision of a tenant, where it cannot run on this node and none is in force.
    #[must_use]
    pub fn stuck(&self, id: &TenantId) -> Option<&Digest> {
        self.stuck.get(id)
    }

    pub(crate) fn key(&self, hash: &Digest) -> Option<&ApiKey> {
        self.keys.get(hash)
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
