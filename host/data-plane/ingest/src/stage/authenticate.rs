//! Who sends, and may they? API keys come in `X-API-Key`; the tenant comes from the key alone.

use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use http::HeaderMap;
use tidegate_types::{Digest, Problem, ProblemType, TenantId, UnixMillis};

use crate::force::rollout::InForce;
use crate::force::snapshot::{KeyState, Snapshot};

/// Longer keys are none of ours; no time is spent on them.
const MAX_KEY_BYTES: usize = 256;

/// An authenticated sender, with what decides its events.
#[derive(Debug)]
pub struct Producer {
    tenant: TenantId,
    in_force: Arc<InForce>,
    expires_at: Option<UnixMillis>,
    /// Where all of this was read; a body that takes its time must not keep all of it.
    snapshot: Weak<Snapshot>,
}

impl Producer {
    /// Authenticates anew where something has changed since, which a slow body gives time for: from
    /// here on the request ends on what it has read.
    ///
    /// # Errors
    /// As for `authenticate`.
    pub(crate) fn confirm(
        self,
        snapshot: &ArcSwap<Snapshot>,
        headers: &HeaderMap,
    ) -> Result<Self, Problem> {
        let current = snapshot.load();
        let unchanged = std::ptr::eq(self.snapshot.as_ptr(), Arc::as_ptr(&current));
        if unchanged && !is_past(self.expires_at) {
            return Ok(self);
        }
        authenticate(&current, headers)
    }

    pub(crate) fn into_parts(self) -> (TenantId, Arc<InForce>) {
        (self.tenant, self.in_force)
    }
}

/// Looks up the key and reads what is in force for the tenant, for the whole request.
///
/// # Errors
/// 401 for a missing, unknown or expired key, 403 for a revoked one or one that may not write, 503
/// where the tenant has no active revision, or one that cannot run on this node.
pub fn authenticate(snapshot: &Arc<Snapshot>, headers: &HeaderMap) -> Result<Producer, Problem> {
    let unauthenticated = |detail: &str| Problem::new(ProblemType::Unauthenticated, detail);
    let mut given = headers.get_all("x-api-key").iter();
    let (first, second) = (given.next(), given.next());
    let text = first.ok_or_else(|| unauthenticated("send an API key in the header X-API-Key"))?;
    if second.is_some() {
        return Err(unauthenticated("send exactly one X-API-Key"));
    }
    let unknown = || unauthenticated("the API key is unknown");
    if text.len() > MAX_KEY_BYTES {
        return Err(unknown());
    }
    let key = snapshot.key(&Digest::of(text.as_bytes())).ok_or_else(unknown)?;
    let forbidden = |detail: &str| Problem::new(ProblemType::Forbidden, detail);
    match key.state {
        KeyState::Active => {}
        KeyState::Revoked => return Err(forbidden("the API key was revoked")),
    }
    if is_past(key.expires_at) {
        return Err(unauthenticated("the API key has expired"));
    }
    if !key.scopes.write {
        return Err(forbidden("the API key lacks the scope events:write"));
    }
    let in_force = snapshot.in_force(&key.tenant).cloned();
    let in_force = in_force.ok_or_else(|| nothing_in_force(snapshot, &key.tenant))?;
    let (tenant, expires_at) = (key.tenant.clone(), key.expires_at);
    Ok(Producer { tenant, in_force, expires_at, snapshot: Arc::downgrade(snapshot) })
}

fn nothing_in_force(snapshot: &Snapshot, tenant: &TenantId) -> Problem {
    let problem = match snapshot.stuck(tenant) {
        None => {
            let detail = "an administrator must activate a revision for this tenant first";
            Problem::new(ProblemType::NoRevision, detail)
        }
        Some(digest) => {
            let detail = format!(
                "the tenant's active revision {digest} cannot run on this node; it is tried again by \
                 itself, and the tenant's status tells an administrator why"
            );
            Problem::new(ProblemType::Unavailable, detail)
        }
    };
    problem.retry_after(5000)
}

fn is_past(time: Option<UnixMillis>) -> bool {
    time.is_some_and(|at| at <= UnixMillis::now())
}
