//! Who sends, and may they? The tenant comes from the credentials alone.

mod api_key;
pub mod bearer;
pub(crate) mod failures;

use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use http::HeaderMap;
use tidegate_types::quota::Quotas;
use tidegate_types::{Problem, ProblemType, TenantId, UnixMillis};

use crate::force::keys::{Scopes, WriteScope};
use crate::force::rollout::InForce;
use crate::force::snapshot::Snapshot;
use crate::stage::admit::meter::Allowance;
use bearer::Bearer;

/// The scope of those who send. Single types of events have scopes of their own.
pub(crate) const WRITE: &str = "events:write";
/// The scope of those who read receipts.
pub(crate) const READ: &str = "events:read";

/// Who sends, by good credentials.
#[derive(Debug)]
pub struct Sender {
    tenant: TenantId,
    scopes: Scopes,
    expires_at: Option<UnixMillis>,
    with: With,
}

/// What a sender came with.
#[derive(Debug)]
enum With {
    /// A key of this id, which has quotas of its own.
    Key(Arc<str>, Quotas),
    Token(Bearer),
    Guest(Guest),
}

/// What a request came with, as far as that was looked at before the snapshot was.
#[derive(Debug)]
pub(crate) enum Came {
    /// A key, if anything.
    Key,
    /// A token that was verified, which may take time.
    Token(Bearer),
    /// Nothing, on a path where nothing is needed.
    Guest(Guest),
}

/// Who sends without a credential.
#[derive(Clone, Debug)]
pub(crate) struct Guest {
    pub(crate) tenant: TenantId,
    pub(crate) write: WriteScope,
    /// Where it comes from, as buckets name it.
    pub(crate) address: Arc<str>,
    /// Of what comes from there.
    pub(crate) quotas: Quotas,
}

/// Credentials that were refused.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) problem: Box<Problem>,
    pub(crate) counts: Counts,
}

/// What a refusal counts for, so that who is refused too often is slowed down.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Counts {
    /// The client's address, and the id of the key that was claimed, where there was one.
    For(Option<Box<str>>),
    /// Nothing: it says nothing against who sent it.
    Nothing,
}

/// A sender who may send events, with what decides them.
#[derive(Debug)]
pub struct Producer {
    tenant: TenantId,
    write: WriteScope,
    allowance: Allowance,
    in_force: Arc<InForce>,
    expires_at: Option<UnixMillis>,
    /// With what it came.
    came: Came,
    /// Where all of this was read; a body that takes its time must not keep all of it.
    snapshot: Weak<Snapshot>,
}

/// Checks what a request came with.
///
/// # Errors
/// 401 for missing, unknown or expired ones, 403 for revoked ones.
pub(crate) fn authenticate(
    snapshot: &Snapshot,
    headers: &HeaderMap,
    came: Came,
) -> Result<Sender, Refused> {
    match came {
        Came::Key => api_key::authenticate(snapshot, headers),
        Came::Token(token) => token.sender(),
        Came::Guest(guest) => Ok(guest.sender()),
    }
}

impl Guest {
    fn sender(self) -> Sender {
        let scopes = Scopes { write: self.write.clone(), read: false };
        let tenant = self.tenant.clone();
        Sender { tenant, scopes, expires_at: None, with: With::Guest(self) }
    }
}

impl Sender {
    /// Asks for the right to send, and reads what is in force for the tenant, for the whole request.
    ///
    /// # Errors
    /// 403 without the right, 503 where the tenant has no active revision, or one that cannot run on
    /// this node.
    pub(crate) fn producer(self, snapshot: &Arc<Snapshot>) -> Result<Producer, Problem> {
        let allowance = self.allowance(snapshot);
        let Self { tenant, scopes, expires_at, with } = self;
        if scopes.write == WriteScope::None {
            return Err(lacks(WRITE));
        }
        let in_force = snapshot.in_force(&tenant).cloned();
        let in_force = in_force.ok_or_else(|| nothing_in_force(snapshot, &tenant))?;
        let (write, snapshot) = (scopes.write, Arc::downgrade(snapshot));
        let came = match with {
            With::Key(..) => Came::Key,
            With::Token(token) => Came::Token(token),
            With::Guest(guest) => Came::Guest(guest),
        };
        Ok(Producer { tenant, write, allowance, in_force, expires_at, came, snapshot })
    }

    /// How much may be sent.
    pub(crate) fn allowance(&self, snapshot: &Snapshot) -> Allowance {
        let (tenant, of_tenant) = (self.tenant.clone(), snapshot.quotas(&self.tenant));
        let key = match &self.with {
            With::Key(id, quotas) => Some((Arc::clone(id), *quotas)),
            // What an address may send is asked for before the body is read.
            With::Token(_) | With::Guest(_) => None,
        };
        Allowance { tenant, key, of_tenant }
    }

    /// Asks for the right to read receipts; answers whose.
    ///
    /// # Errors
    /// 403 without the right.
    pub(crate) fn reader(self) -> Result<TenantId, Problem> {
        if self.scopes.read { Ok(self.tenant) } else { Err(lacks(READ)) }
    }
}

impl Producer {
    /// Authenticates anew where something has changed since, which a slow body gives time for: from
    /// here on the request ends on what it has read.
    ///
    /// # Errors
    /// As for the first time.
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
        let sender = authenticate(&current, headers, self.came);
        let sender = sender.map_err(|refused| *refused.problem)?;
        sender.producer(&current)
    }

    pub(crate) fn allowance(&self) -> &Allowance {
        &self.allowance
    }

    /// What may come from the address of a sender without a credential.
    pub(crate) fn guest(&self) -> Option<Allowance> {
        let Came::Guest(guest) = &self.came else { return None };
        let key = Some((Arc::clone(&guest.address), guest.quotas));
        Some(Allowance { tenant: self.tenant.clone(), key, of_tenant: Quotas::default() })
    }

    pub(crate) fn into_parts(self) -> (TenantId, WriteScope, Arc<InForce>) {
        (self.tenant, self.write, self.in_force)
    }
}

fn lacks(scope: &str) -> Problem {
    Problem::new(ProblemType::Forbidden, format!("the credentials lack the scope {scope}"))
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
