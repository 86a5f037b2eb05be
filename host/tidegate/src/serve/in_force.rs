//! From what the catalog says is desired to a snapshot that requests can read.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use tidegate_catalog::{
    Activation, Catalog, KeyRecord, OwnLimits, RunningRollout, Scope, Selector, StoredRevision,
};
use tidegate_ingest::force::rollout::Watch;
use tidegate_ingest::rejudge::Diff;
use tidegate_ingest::{ApiKey, InForce, KeyState, Revision, Rollout, Scopes, Snapshot};
use tidegate_types::revision::RevisionDocument;
use tidegate_types::{Digest, TenantId};

use super::data_plane::{Node, limits, told};

/// What the catalog says, read at one go.
struct Desired {
    /// Read first: what follows is at least as new.
    version: u64,
    active: Vec<(TenantId, Activation, StoredRevision)>,
    rollouts: HashMap<TenantId, RunningRollout>,
    keys: Vec<KeyRecord>,
    limits: Vec<OwnLimits>,
}

impl Node {
    /// A revision that runs: one that is in force or was not long ago, or else a new one.
    pub(super) async fn running(
        &self,
        tenant: &TenantId,
        stored: &StoredRevision,
    ) -> anyhow::Result<Arc<Revision>> {
        if let Some(known) = self.warm.get(tenant, &stored.digest) {
            return Ok(known);
        }
        let earlier = self.earlier(tenant, stored).await?;
        let built = self.build(tenant, &stored.document, earlier.as_ref()).await;
        let built = built.map_err(|problems| anyhow::anyhow!("{}", told(&problems)));
        let revision = Arc::new(built.with_context(|| format!("the revision of tenant {tenant}"))?);
        self.warm.keep(tenant, &revision);
        Ok(revision)
    }

    /// What rules of a revision fall back to: of the active one, what it replaced; of a candidate,
    /// what is active.
    async fn earlier(
        &self,
        tenant: &TenantId,
        stored: &StoredRevision,
    ) -> anyhow::Result<Option<RevisionDocument>> {
        let (owner, digest) = (tenant.clone(), stored.digest);
        self.ask(move |catalog| {
            let active = catalog.active(&owner)?;
            let earlier = match active.filter(|active| active.digest != digest) {
                Some(active) => Some(active),
                None => catalog.rollback_target(&owner)?,
            };
            let Some(earlier) = earlier.filter(|earlier| earlier.digest != digest) else {
                return Ok(None);
            };
            let revision = catalog.revision(&owner, &Selector::Digest(earlier.digest))?;
            Ok(Some(revision.document))
        })
        .await
    }

    /// A revision that is in force or was not long ago.
    pub(super) fn known(&self, tenant: &TenantId, digest: &Digest) -> Option<Arc<Revision>> {
        self.warm.get(tenant, digest)
    }

    /// What is desired, made to run, and its version. What has not changed is taken as it is.
    /// `limited` is who has limits of their own.
    pub(super) async fn snapshot(
        &self,
        limited: &mut Vec<limits::Owner>,
    ) -> anyhow::Result<(Snapshot, u64)> {
        let desired = self.ask(read).await?;
        limits::apply(&self.plugins, desired.limits, limited);
        let before = self.gateway.snapshot();
        let mut tenants = Vec::with_capacity(desired.active.len());
        for (tenant, activation, stored) in desired.active {
            let revision = self.running(&tenant, &stored).await?;
            let known = before.in_force(&tenant);
            let rollout = match desired.rollouts.get(&tenant) {
                Some(wanted) => Some(self.rollout(&tenant, wanted, known, &revision).await?),
                None => None,
            };
            let in_force = known.filter(|known| {
                let same_rollout = known.rollout.as_ref().map(|rollout| rollout.id)
                    == rollout.as_ref().map(|rollout| rollout.id);
                let watched = known.watch.as_ref().map(|watch| watch.sequence);
                let same_watch = watched == activation.thresholds.map(|_| activation.sequence);
                Arc::ptr_eq(&known.revision, &revision) && same_rollout && same_watch
            });
            let in_force = in_force.cloned().unwrap_or_else(|| {
                let watch = watch(&activation, known, &revision);
                Arc::new(InForce { revision, rollout, watch })
            });
            tenants.push((tenant, in_force));
        }
        self.warm.retain(tenants.iter().map(|(tenant, in_force)| (tenant, &**in_force)));
        Ok((Snapshot::new(desired.keys.into_iter().map(key), tenants), desired.version))
    }

    async fn rollout(
        &self,
        tenant: &TenantId,
        wanted: &RunningRollout,
        known: Option<&Arc<InForce>>,
        active: &Revision,
    ) -> anyhow::Result<Rollout> {
        let candidate = self.running(tenant, &wanted.candidate).await?;
        let known = known.and_then(|known| known.rollout.as_ref());
        let same = known.filter(|known| known.id == wanted.rollout.id);
        let begun = match same {
            Some(same) => same.begun.clone(),
            None => (candidate.stats.tally(), active.stats.tally()),
        };
        Ok(Rollout {
            id: wanted.rollout.id,
            candidate,
            stage: wanted.rollout.stage,
            thresholds: wanted.rollout.thresholds,
            begun,
            diff: same.map_or_else(|| Arc::new(Diff::default()), |known| Arc::clone(&known.diff)),
        })
    }
}

fn read(catalog: &Catalog) -> Result<Desired, tidegate_catalog::CatalogError> {
    let version = catalog.version()?;
    let rollouts = catalog.running_rollouts()?.into_iter();
    Ok(Desired {
        version,
        active: catalog
            .active_revisions()?
            .into_iter()
            .map(|active| (active.tenant, active.activation, active.revision))
            .collect(),
        rollouts: rollouts.map(|rollout| (rollout.tenant.clone(), rollout)).collect(),
        keys: catalog.all_keys()?,
        limits: catalog.own_limits()?,
    })
}

/// What a revision is held against that was activated with thresholds.
fn watch(
    activation: &Activation,
    known: Option<&Arc<InForce>>,
    revision: &Arc<Revision>,
) -> Option<Watch> {
    let thresholds = activation.thresholds?;
    let sequence = activation.sequence;
    let same = known.and_then(|known| known.watch.as_ref());
    if let Some(same) = same.filter(|watch| watch.sequence == sequence) {
        return Some(same.clone());
    }
    let replaced = known.filter(|known| !Arc::ptr_eq(&known.revision, revision));
    Some(Watch {
        sequence,
        thresholds,
        since: Instant::now(),
        begun: revision.stats.tally(),
        before: replaced.map(|known| known.revision.stats.tally()),
    })
}

fn key(record: KeyRecord) -> (Digest, ApiKey) {
    let state = if record.is_active { KeyState::Active } else { KeyState::Revoked };
    let scopes = Scopes::from_names(record.scopes.iter().map(|scope: &Scope| scope.as_str()));
    let expires_at = record.expires_at;
    (record.hash, ApiKey { tenant: record.tenant, state, scopes, expires_at })
}
