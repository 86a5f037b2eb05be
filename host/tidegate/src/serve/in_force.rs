//! From what the catalog says is desired to a snapshot that requests can read. A tenant whose revision
//! cannot run keeps what it had, and no other tenant is concerned.

pub(super) mod failing;
pub(super) mod last_used;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use tidegate_catalog::{
    Activation, Catalog, KeyRecord, OwnLimits, RunningRollout, Selector, StoredRevision,
};
use tidegate_ingest::force::rollout::Watch;
use tidegate_ingest::rejudge::Diff;
use tidegate_ingest::{ApiKey, InForce, KeyState, Revision, Rollout, Scopes, Snapshot};
use tidegate_types::quota::{Quota, Quotas};
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
    quotas: Vec<(TenantId, Quotas)>,
}

impl Desired {
    /// The revisions that are to run.
    fn wanted(&self) -> HashSet<(TenantId, Digest)> {
        let active = self.active.iter().map(|(tenant, _, stored)| (tenant.clone(), stored.digest));
        let candidates = self.rollouts.values();
        let candidates = candidates.map(|one| (one.tenant.clone(), one.candidate.digest));
        active.chain(candidates).collect()
    }
}

impl Node {
    /// A revision that runs: one that is in force or was not long ago, or else a new one. One that
    /// could not be made to run is not tried by this, but every so often beside it.
    pub(super) async fn running(
        &self,
        tenant: &TenantId,
        stored: &StoredRevision,
    ) -> anyhow::Result<Arc<Revision>> {
        if let Some(known) = self.warm.get(tenant, &stored.digest) {
            return Ok(known);
        }
        match self.failing.why(tenant, &stored.digest) {
            Some(why) => Err(anyhow::Error::msg(why)),
            None => self.make(tenant, stored).await,
        }
    }

    /// Makes a revision run. Whether it does is noted.
    async fn make(
        &self,
        tenant: &TenantId,
        stored: &StoredRevision,
    ) -> anyhow::Result<Arc<Revision>> {
        let is_known = self.failing.why(tenant, &stored.digest).is_some();
        match self.try_to_make(tenant, stored).await {
            Ok(revision) => {
                self.warm.keep(tenant, &revision);
                self.failing.forget(tenant, &stored.digest);
                Ok(revision)
            }
            Err(error) => {
                self.failing.note(tenant, stored, is_known, &format!("{error:#}"));
                Err(error)
            }
        }
    }

    async fn try_to_make(
        &self,
        tenant: &TenantId,
        stored: &StoredRevision,
    ) -> anyhow::Result<Arc<Revision>> {
        let earlier = self.earlier(tenant, stored).await?;
        let built = self.build(tenant, &stored.document, earlier.as_ref()).await;
        let built = built.map_err(|problems| anyhow::anyhow!("{}", told(&problems)));
        Ok(Arc::new(built.with_context(|| format!("the revision of tenant {tenant}"))?))
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
    ///
    /// # Errors
    /// Where the catalog cannot be read. What cannot run is noted, and left out for its tenant alone.
    pub(super) async fn snapshot(
        &self,
        limited: &mut Vec<limits::Owner>,
    ) -> anyhow::Result<(Snapshot, u64)> {
        let mut desired = self.ask(read).await?;
        limits::apply(&self.plugins, std::mem::take(&mut desired.limits), limited);
        self.failing.retain(&desired.wanted());
        let before = self.gateway.snapshot();
        let mut tenants = Vec::with_capacity(desired.active.len());
        let mut stuck = Vec::new();
        for (tenant, activation, stored) in desired.active {
            let known = before.in_force(&tenant);
            let rollout = desired.rollouts.get(&tenant);
            match (self.in_force(&tenant, &activation, &stored, rollout, known).await, known) {
                (Ok(in_force), _) => tenants.push((tenant, in_force)),
                (Err(_), Some(known)) => tenants.push((tenant, kept(known, rollout))),
                (Err(_), None) => stuck.push((tenant, stored.digest)),
            }
        }
        self.warm.retain(tenants.iter().map(|(tenant, in_force)| (tenant, &**in_force)));
        let keys = desired.keys.into_iter().map(|record| key(record, &before));
        let snapshot = Snapshot::new(keys, tenants).with_stuck(stuck);
        Ok((snapshot.with_quotas(desired.quotas, self.default_quotas), desired.version))
    }

    /// What decides a tenant's events. A candidate that cannot run is left out: the active revision
    /// judges its share.
    async fn in_force(
        &self,
        tenant: &TenantId,
        activation: &Activation,
        stored: &StoredRevision,
        rollout: Option<&RunningRollout>,
        known: Option<&Arc<InForce>>,
    ) -> anyhow::Result<Arc<InForce>> {
        let revision = self.running(tenant, stored).await?;
        let rollout = match rollout {
            Some(wanted) => self.rollout(tenant, wanted, known, &revision).await.ok(),
            None => None,
        };
        let same = known.filter(|known| {
            let same_rollout = known.rollout.as_ref().map(|rollout| rollout.id)
                == rollout.as_ref().map(|rollout| rollout.id);
            let watched = known.watch.as_ref().map(|watch| watch.sequence);
            let same_watch = watched == activation.thresholds.map(|_| activation.sequence);
            Arc::ptr_eq(&known.revision, &revision) && same_rollout && same_watch
        });
        Ok(same.cloned().unwrap_or_else(|| {
            let watch = watch(activation, known, &revision);
            Arc::new(InForce { revision, rollout, watch })
        }))
    }

    /// Why a tenant's active revision or its candidate does not run, where one does not.
    pub(super) fn failing_of(&self, tenant: &TenantId) -> Option<String> {
        let of_tenant = self.failing.list().into_iter().find(|one| one.tenant == *tenant);
        of_tenant.map(|failing| failing.reason)
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
        quotas: catalog.all_quotas()?,
    })
}

/// What stays in force where the active revision cannot run: the one before it, and what is tried
/// beside it, if that is still tried. Its own activation is over, and nothing to be taken back.
fn kept(known: &Arc<InForce>, wanted: Option<&RunningRollout>) -> Arc<InForce> {
    let is_wanted = |own: &&Rollout| wanted.is_some_and(|wanted| wanted.rollout.id == own.id);
    let rollout = known.rollout.as_ref().filter(is_wanted);
    if known.watch.is_none() && known.rollout.is_some() == rollout.is_some() {
        return Arc::clone(known);
    }
    let (revision, rollout) = (Arc::clone(&known.revision), rollout.cloned());
    Arc::new(InForce { revision, rollout, watch: None })
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

fn key(record: KeyRecord, before: &Snapshot) -> ApiKey {
    let state = if record.is_active { KeyState::Active } else { KeyState::Revoked };
    let names: Vec<String> = record.scopes.iter().map(ToString::to_string).collect();
    let known = before.key_by_id(&record.id);
    let last_used = known.map_or_else(Arc::default, |known| Arc::clone(&known.last_used));
    let of_rate =
        Quotas { requests: Some(Quota::a_minute(record.rate_limit)), ..Quotas::default() };
    let quotas = match record.quotas {
        None => of_rate,
        Some(quotas) => Quotas { requests: quotas.requests.or(of_rate.requests), ..quotas },
    };
    ApiKey {
        id: record.id.into(),
        hash: record.hash,
        tenant: record.tenant,
        state,
        scopes: Scopes::from_names(names.iter().map(String::as_str)),
        expires_at: record.expires_at,
        quotas,
        last_used,
    }
}
