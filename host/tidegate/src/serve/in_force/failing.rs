//! Revisions that cannot be made to run on this node. Each is tried again, ever more seldom; until it
//! runs, what its tenant had before stays in force, and no other tenant is concerned.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tidegate_admin_api::{DataPlane as _, FailingRevision};
use tidegate_catalog::StoredRevision;
use tidegate_types::{Digest, TenantId, UnixMillis};

use crate::serve::data_plane::Node;

/// Until a revision is tried again the first time; then twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// How often is looked for what is to be tried again.
const LOOK: Duration = Duration::from_millis(250);
/// Characters of a reason that are kept.
const REASON_CHARS: usize = 1000;

type Key = (TenantId, Digest);

/// What cannot run here.
#[derive(Default)]
pub(in crate::serve) struct Failing(Mutex<BTreeMap<Key, Failure>>);

struct Failure {
    stored: StoredRevision,
    why: String,
    since: UnixMillis,
    tries: u32,
    next: Instant,
}

impl Failing {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Failure>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why a revision does not run; `None` where it has not been tried, or is to be tried anew.
    pub(super) fn why(&self, tenant: &TenantId, digest: &Digest) -> Option<String> {
        let all = self.lock();
        all.get(&(tenant.clone(), *digest)).map(|failure| failure.why.clone())
    }

    /// Notes that a revision could not be made to run. One that was known already and has been
    /// forgotten meanwhile is wanted by nobody.
    pub(super) fn note(
        &self,
        tenant: &TenantId,
        stored: &StoredRevision,
        is_known: bool,
        why: &str,
    ) {
        let why: String = why.chars().take(REASON_CHARS).collect();
        let (mut all, now) = (self.lock(), Instant::now());
        let key = (tenant.clone(), stored.digest);
        if is_known && !all.contains_key(&key) {
            return;
        }
        let failure = all.entry(key).or_insert_with(|| Failure {
            stored: stored.clone(),
            why: String::new(),
            since: UnixMillis::now(),
            tries: 0,
            next: now,
        });
        if failure.why != why {
            let tenant = tenant.as_str();
            tracing::warn!(tenant, revision = %stored.digest, why, "revision cannot run here");
        }
        failure.next = now + pause(failure.tries);
        failure.tries = failure.tries.saturating_add(1);
        failure.why = why;
    }

    /// A revision runs, or is to be tried anew as soon as somebody wants it.
    pub(in crate::serve) fn forget(&self, tenant: &TenantId, digest: &Digest) {
        self.lock().remove(&(tenant.clone(), *digest));
    }

    /// All of a tenant's are to be tried anew as soon as somebody wants them.
    pub(in crate::serve) fn forget_all(&self, tenant: &TenantId) {
        self.lock().retain(|(owner, _), _| owner != tenant);
    }

    /// Lets go of what nobody wants any more.
    pub(super) fn retain(&self, wanted: &HashSet<Key>) {
        self.lock().retain(|key, _| wanted.contains(key));
    }

    fn due(&self) -> Vec<(TenantId, StoredRevision)> {
        let (all, now) = (self.lock(), Instant::now());
        let due = all.iter().filter(|(_, failure)| failure.next <= now);
        due.map(|((tenant, _), failure)| (tenant.clone(), failure.stored.clone())).collect()
    }

    /// All of them, by tenant.
    pub(in crate::serve) fn list(&self) -> Vec<FailingRevision> {
        let all = self.lock();
        let view = all.iter().map(|((tenant, digest), failure)| FailingRevision {
            tenant: tenant.clone(),
            digest: *digest,
            reason: failure.why.clone(),
            since: failure.since,
            tries: failure.tries,
        });
        view.collect()
    }
}

fn pause(tries: u32) -> Duration {
    let times = 1u32.checked_shl(tries).unwrap_or(u32::MAX);
    FIRST_PAUSE.saturating_mul(times).min(LONGEST_PAUSE)
}

/// Tries again what cannot run, and puts it in force as soon as it does; until it is dropped.
pub(in crate::serve) async fn run(node: Arc<Node>) {
    let mut look = tokio::time::interval(LOOK);
    loop {
        look.tick().await;
        let mut runs = false;
        // Outside of publications: those of other tenants do not wait for a slow build.
        for (tenant, stored) in node.failing.due() {
            runs |= node.make(&tenant, &stored).await.is_ok();
        }
        if runs && let Err(problem) = node.publish(None).await {
            tracing::warn!(%problem, "revision that runs now is not yet in force");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_five_minutes() {
        let seconds: Vec<_> = (0..11).map(|tries| pause(tries).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(pause(u32::MAX), LONGEST_PAUSE);
    }
}
