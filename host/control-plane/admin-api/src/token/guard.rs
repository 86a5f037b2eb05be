//! What every request passes: its token is looked up, its route says which scopes open it, and the
//! audit log hears of what it did.

use std::sync::Arc;
use std::time::Instant;

use axum::RequestExt as _;
use axum::extract::{RawPathParams, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use tidegate_catalog::{AccessScope, AccessToken};
use tidegate_types::{Problem, ProblemType, TenantId, UnixMillis};

use super::UNKNOWN;
use super::act::{self, Act, Caller};
use crate::answer::{self, Failure};
use crate::request;
use crate::routes::Declared;
use crate::state::AdminState;

/// Id and name of the token in the data folder.
const ADMIN: &str = "admin";

/// What a token came to: whose it is, also where it opens nothing.
struct Presented {
    id: String,
    name: String,
    caller: Result<Caller, Problem>,
}

/// Around everything else. What changes something runs to its end, and into the audit log, also
/// when its client goes away.
pub(crate) async fn watch(
    State(state): State<AdminState>,
    request: Request,
    next: Next,
) -> Response {
    if matches!(*request.method(), http::Method::GET | http::Method::HEAD) {
        return answer(state, request, next).await;
    }
    match state.tasks.clone().spawn(answer(state, request, next)).await {
        Ok(response) => response,
        Err(error) => Failure(answer::internal("a request did not end", &error)).into_response(),
    }
}

async fn answer(state: AdminState, mut request: Request, next: Next) -> Response {
    let Presented { id, name, caller } = authenticate(&state, request.headers()).await;
    let act = Arc::new(Act::new(&request, &id, &name));
    let response = match caller {
        Ok(caller) => {
            request.extensions_mut().insert(Arc::clone(&act));
            request.extensions_mut().insert(Arc::new(caller));
            act::within(Arc::clone(&act), next.run(request)).await
        }
        Err(problem) => Failure(problem).into_response(),
    };
    let problem = response.extensions().get::<ProblemType>().copied();
    note(&state, &act, response.status().as_u16(), problem).await;
    response
}

/// Notes acts, and refusals of every kind of request.
async fn note(state: &AdminState, act: &Act, status: u16, problem: Option<ProblemType>) {
    if act.is_reading() && !matches!(status, 401 | 403) {
        return;
    }
    let mut entry = act.entry();
    if status >= 400 {
        let Some(skipped) = state.refusals.tell(&act.token, Instant::now()) else { return };
        entry.skipped = skipped;
    }
    entry.status = Some(status);
    entry.problem = problem.map(|kind| kind.slug().to_owned());
    // The act is over and its changes have their entries: there is nobody to refuse it to.
    if let Err(problem) = state.catalog(move |catalog| catalog.append_audit(&entry)).await {
        tracing::error!(%problem, "the answer to an act is missing in the audit log");
    }
}

async fn authenticate(state: &AdminState, headers: &HeaderMap) -> Presented {
    let unknown = |problem| Presented {
        id: UNKNOWN.to_owned(),
        name: UNKNOWN.to_owned(),
        caller: Err(problem),
    };
    let token = match bearer(headers) {
        Ok(token) => token,
        Err(problem) => return unknown(problem),
    };
    if state.token.matches(token) {
        let (id, name, scopes) = (ADMIN.to_owned(), ADMIN.to_owned(), vec![AccessScope::Admin]);
        let caller = Caller { name: name.clone(), tenant: None, scopes };
        return Presented { id, name, caller: Ok(caller) };
    }
    let refused = |detail| Problem::new(ProblemType::Unauthenticated, detail);
    let text = std::str::from_utf8(token).ok().filter(|text| AccessToken::has_form(text));
    let Some(text) = text.map(str::to_owned) else {
        return unknown(refused(
            "this is no token of this gateway; the first one is in the file `admin-token` of the \
             data folder",
        ));
    };
    match state.catalog(move |catalog| catalog.find_access_token(&text)).await {
        Err(problem) => unknown(problem),
        Ok(None) => unknown(refused("this token is not known here; ask for another one")),
        Ok(Some(record)) => {
            let (id, name) = (record.id.clone(), record.name.clone());
            let caller = if record.is_valid_at(UnixMillis::now()) {
                let (tenant, scopes) = (record.tenant, record.scopes);
                Ok(Caller { name: name.clone(), tenant, scopes })
            } else if record.revoked_at.is_some() {
                Err(refused("this token was revoked; ask for another one"))
            } else {
                Err(refused("this token has expired; ask for another one"))
            };
            Presented { id, name, caller }
        }
    }
}

fn bearer(headers: &HeaderMap) -> Result<&[u8], Problem> {
    let refused = |detail| Err(Problem::new(ProblemType::Unauthenticated, detail));
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return refused("send a token once, as `Authorization: Bearer TOKEN`");
    };
    let (scheme, token) = value.as_bytes().split_at_checked(7).unwrap_or_default();
    if !scheme.eq_ignore_ascii_case(b"bearer ") {
        return refused("send a token as `Authorization: Bearer TOKEN`");
    }
    Ok(token.trim_ascii())
}

/// In front of one route.
pub(crate) async fn authorize(declared: Declared, mut request: Request, next: Next) -> Response {
    let tenant = match request.extract_parts::<RawPathParams>().await {
        Ok(params) => {
            params.iter().find(|(name, _)| *name == "tenant").map(|(_, value)| value.to_owned())
        }
        Err(rejection) => return Failure(request::bad(rejection.body_text())).into_response(),
    };
    if let Some(act) = request.extensions().get::<Arc<Act>>() {
        act.route.set(declared.path).ok();
        if let Some(tenant) = tenant.as_deref().and_then(|tenant| TenantId::new(tenant).ok()) {
            act.tenant.set(tenant.to_string()).ok();
        }
    }
    let allowed = match request.extensions().get::<Arc<Caller>>() {
        Some(caller) => may(caller, &declared, tenant.as_deref()),
        None => Err(Problem::new(ProblemType::Unauthenticated, "send a token")),
    };
    match allowed {
        Ok(()) => next.run(request).await,
        Err(problem) => Failure(problem).into_response(),
    }
}

/// Other tenants' things are not there for a token that is for one tenant: it learns nothing of
/// who else there is.
fn may(caller: &Caller, declared: &Declared, tenant: Option<&str>) -> Result<(), Problem> {
    let forbidden = |detail: String| Err(Problem::new(ProblemType::Forbidden, detail));
    match (&caller.tenant, tenant) {
        (Some(own), Some(asked)) if own.as_str() != asked => {
            let asked: String = asked.chars().take(80).collect();
            let detail = format!("there is no tenant `{asked}`");
            return Err(Problem::new(ProblemType::NotFound, detail));
        }
        (Some(own), None) => {
            return forbidden(format!(
                "the token `{}` is for the tenant {own}; this needs one that is for all tenants",
                caller.name
            ));
        }
        _ => {}
    }
    let opens =
        |scope: &AccessScope| *scope == AccessScope::Admin || declared.scopes.contains(scope);
    if caller.scopes.iter().any(opens) {
        return Ok(());
    }
    let list = |scopes: &[AccessScope]| {
        scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(", ")
    };
    let needed = declared.scopes.first().copied().unwrap_or(AccessScope::Admin);
    forbidden(format!(
        "this needs the scope {needed}; the token `{}` has {}",
        caller.name,
        list(&caller.scopes)
    ))
}
