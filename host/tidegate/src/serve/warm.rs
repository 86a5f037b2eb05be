//! Revisions that run. Those that are no longer in force stay for a while, with their compiled code
//! and warm instances, so that going back to one takes no time.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tidegate_ingest::{InForce, Revision};
use tidegate_types::{Digest, TenantId};

/// How long a revision stays that is no longer in force.
pub(super) const WARM: Duration = Duration::from_secs(15 * 60);
/// Revisions of one tenant that stay; the ones replaced first make room.
const MAX_PER_TENANT: usize = 8;

/// Revisions by tenant, each with when it was replaced; `None` where it is in force.
type Revisions = BTreeMap<TenantId, Vec<(Arc<Revision>, Option<Instant>)>>;

#[derive(Default)]
pub(super) struct Warm(Mutex<Revisions>);

impl Warm {
    fn lock(&self) -> MutexGuard<'_, Revisions> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, tenant: &TenantId, digest: &Digest) -> Option<Arc<Revision>> {
        let all = self.lock();
        let mut own = all.get(tenant)?.iter();
        own.find(|(revision, _)| revision.digest == *digest)
            .map(|(revision, _)| Arc::clone(revision))
    }

    pub(super) fn keep(&self, tenant: &TenantId, revision: &Arc<Revision>) {
        let mut all = self.lock();
        all.entry(tenant.clone()).or_default().push((Arc::clone(revision), None));
    }

    /// Notes what is in force from now on, and lets go of what was replaced long ago.
    pub(super) fn retain<'a>(&self, in_force: impl Iterator<Item = (&'a TenantId, &'a InForce)>) {
        let candidates = |in_force: &'a InForce| in_force.rollout.as_ref().map(|it| &it.candidate);
        let used: HashSet<*const Revision> = in_force
            .flat_map(|(_, it)| [Some(&it.revision), candidates(it)].into_iter().flatten())
            .map(Arc::as_ptr)
            .collect();
        let now = Instant::now();
        self.lock().retain(|_, own| {
            for (revision, replaced) in own.iter_mut() {
                let is_used = used.contains(&Arc::as_ptr(revision));
                *replaced = if is_used { None } else { replaced.or(Some(now)) };
            }
            own.retain(|(_, replaced)| replaced.is_none_or(|at| now.duration_since(at) < WARM));
            own.sort_by_key(|(_, replaced)| {
                replaced.is_some().then_some(std::cmp::Reverse(*replaced))
            });
            own.truncate(MAX_PER_TENANT);
            !own.is_empty()
        });
    }
}
