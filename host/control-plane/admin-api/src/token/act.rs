//! Acts: who asks for what, carried along so that everything that a request changes is noted in the
//! audit log as its doing. What the gateway does by itself is an act too.

use std::sync::{Arc, OnceLock};

use axum::extract::Request;
use http::Method;
use tidegate_catalog::{AccessScope, AuditEntry, AuditKind};
use tidegate_types::{Digest, ProblemType, TenantId, UnixMillis};

use crate::routes::ITSELF;

/// The address that a connection comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remote(pub(crate) std::net::SocketAddr);

/// Who asks, once a token has proved it.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The token's name.
    pub(crate) name: String,
    /// The one tenant that the token is for.
    pub(crate) tenant: Option<TenantId>,
    pub(crate) scopes: Vec<AccessScope>,
}

/// One request.
#[derive(Debug)]
pub(crate) struct Act {
    id: String,
    pub(crate) token: String,
    who: String,
    remote: String,
    /// `None` where the gateway acts by itself.
    method: Option<Method>,
    subject: String,
    reason: Option<String>,
    /// Set where a route was found.
    pub(crate) route: OnceLock<&'static str>,
    pub(crate) tenant: OnceLock<String>,
    /// Set where a body has arrived.
    pub(crate) body: OnceLock<Digest>,
    /// What it was done in spite of.
    problem: OnceLock<ProblemType>,
}

tokio::task_local! {
    static CURRENT: Arc<Act>;
}

/// Bytes of a path that an entry keeps.
const MAX_SUBJECT: usize = 500;
/// Characters of a reason that an entry keeps.
const MAX_REASON: usize = 500;

impl Act {
    /// `token` and `who` are the id and the name of the token.
    pub(crate) fn new(request: &Request, token: &str, who: &str) -> Self {
        let remote = request.extensions().get::<Remote>().map(|remote| remote.0.to_string());
        Self {
            id: new_id(),
            token: token.to_owned(),
            who: who.to_owned(),
            remote: remote.unwrap_or_default(),
            method: Some(request.method().clone()),
            reason: None,
            subject: request.uri().path().chars().take(MAX_SUBJECT).collect(),
            route: OnceLock::new(),
            tenant: OnceLock::new(),
            body: OnceLock::new(),
            problem: OnceLock::new(),
        }
    }

    /// Something that the gateway does by itself: `what` it is, about which path, and why.
    pub(crate) fn by_itself(
        what: &'static str,
        tenant: &TenantId,
        rest: &str,
        reason: &str,
    ) -> Arc<Self> {
        Arc::new(Self {
            id: new_id(),
            token: ITSELF.to_owned(),
            who: ITSELF.to_owned(),
            remote: String::new(),
            method: None,
            subject: format!("/v1/tenants/{tenant}/{rest}"),
            reason: Some(reason.chars().take(MAX_REASON).collect()),
            route: OnceLock::from(what),
            tenant: OnceLock::from(tenant.to_string()),
            body: OnceLock::new(),
            problem: OnceLock::new(),
        })
    }

    /// Notes with what follows that it is done in spite of a problem.
    pub(crate) fn note_problem(&self, problem: ProblemType) {
        self.problem.set(problem).ok();
    }

    pub(crate) fn is_reading(&self) -> bool {
        matches!(self.method, Some(Method::GET | Method::HEAD))
    }

    /// What is known of it by now.
    pub(crate) fn entry(&self) -> AuditEntry {
        AuditEntry {
            act: self.id.clone(),
            at: UnixMillis::now().to_rfc3339(),
            body: self.body.get().copied(),
            kind: AuditKind::Answer,
            method: self.method.iter().flat_map(|it| it.as_str().chars()).take(20).collect(),
            problem: self.problem.get().map(|kind| kind.slug().to_owned()),
            reason: self.reason.clone(),
            remote: self.remote.clone(),
            route: self.route.get().map_or_else(|| self.subject.clone(), |&route| route.to_owned()),
            skipped: 0,
            status: None,
            subject: self.subject.clone(),
            tenant: self.tenant.get().cloned(),
            token: self.token.clone(),
            who: self.who.clone(),
        }
    }
}

/// Random: it connects entries, and nothing depends on it.
fn new_id() -> String {
    format!("{:016x}", getrandom::u64().unwrap_or_default())
}

/// The act that runs here.
pub(crate) fn current() -> Option<Arc<Act>> {
    CURRENT.try_with(Arc::clone).ok()
}

/// Who acts here, for histories: the token's name, and its id where it is one of several.
pub(crate) fn who() -> String {
    match current() {
        Some(act) if act.token != act.who => format!("{} ({})", act.who, act.token),
        Some(act) => act.who.clone(),
        None => ITSELF.to_owned(),
    }
}

/// Runs something as this act.
pub(crate) async fn within<T>(act: Arc<Act>, work: impl Future<Output = T>) -> T {
    CURRENT.scope(act, work).await
}

/// The same work, which goes on as the act that runs here when another task runs it.
pub(crate) fn carried<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let act = current();
    async move {
        match act {
            Some(act) => within(act, work).await,
            None => work.await,
        }
    }
}
