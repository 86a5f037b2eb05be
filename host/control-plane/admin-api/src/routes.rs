//! The paths. Each group has a module. A route is declared with the scopes that open it, and there
//! is no other way to make one.

mod access;
mod keys;
mod plugins;
pub(crate) mod quarantine;
pub(crate) mod revisions;
mod schemas;
mod status;
pub(crate) mod tables;
mod tenants;

use axum::Router;
use axum::handler::Handler;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodFilter, MethodRouter, on};
use http::Method;
use tidegate_catalog::AccessScope;

use self::quarantine::jobs;
use self::revisions::{activations, replays, rollouts};
use crate::answer;
use crate::state::AdminState;
use crate::token::guard;

/// The gateway, where it acts by itself.
pub(crate) const ITSELF: &str = "tidegate";

/// A route and what opens it.
#[derive(Clone, Debug)]
pub struct Declared {
    pub method: Method,
    /// As the API's reference writes it: `/v1/tenants/{tenant}/keys`.
    pub path: &'static str,
    /// Each opens it, and so does [`AccessScope::Admin`]. Where the path names no tenant, the token
    /// must be for all tenants.
    pub scopes: &'static [AccessScope],
}

struct Route {
    declared: Declared,
    handler: MethodRouter<AdminState>,
}

/// Nothing but `admin`.
const ADMIN: &[AccessScope] = &[];
/// Reading what a tenant has: everybody who does something with it.
const ANY: &[AccessScope] =
    &[AccessScope::PluginsUpload, AccessScope::RevisionsWrite, AccessScope::RolloutWrite];
const UPLOAD: &[AccessScope] = &[AccessScope::PluginsUpload];
const WRITE: &[AccessScope] = &[AccessScope::RevisionsWrite];
/// What shows events: not for those who only upload.
const REPLAY: &[AccessScope] = &[AccessScope::RevisionsWrite, AccessScope::RolloutWrite];
const ROLLOUT: &[AccessScope] = &[AccessScope::RolloutWrite];

fn route<H, T>(
    method: Method,
    path: &'static str,
    scopes: &'static [AccessScope],
    handler: H,
) -> Route
where
    H: Handler<T, AdminState>,
    T: 'static,
{
    let filter = MethodFilter::try_from(method.clone()).expect("a method that HTTP knows");
    Route { declared: Declared { method, path, scopes }, handler: on(filter, handler) }
}

fn get<H: Handler<T, AdminState>, T: 'static>(
    path: &'static str,
    scopes: &'static [AccessScope],
    handler: H,
) -> Route {
    route(Method::GET, path, scopes, handler)
}

fn post<H: Handler<T, AdminState>, T: 'static>(
    path: &'static str,
    scopes: &'static [AccessScope],
    handler: H,
) -> Route {
    route(Method::POST, path, scopes, handler)
}

fn put<H: Handler<T, AdminState>, T: 'static>(
    path: &'static str,
    scopes: &'static [AccessScope],
    handler: H,
) -> Route {
    route(Method::PUT, path, scopes, handler)
}

fn delete<H: Handler<T, AdminState>, T: 'static>(
    path: &'static str,
    scopes: &'static [AccessScope],
    handler: H,
) -> Route {
    route(Method::DELETE, path, scopes, handler)
}

#[rustfmt::skip]
fn table() -> Vec<Route> {
    vec![
        get("/openapi.json", ANY, status::document),
        get("/metrics", ADMIN, plugins::running::metrics),
        get("/v1/status", ADMIN, status::node),
        get("/v1/nodes", ADMIN, status::nodes),
        get("/v1/tokens", ADMIN, access::tokens::list),
        post("/v1/tokens", ADMIN, access::tokens::create),
        delete("/v1/tokens/{id}", ADMIN, access::tokens::revoke),
        get("/v1/audit", ADMIN, access::audit::list),
        get("/v1/tenants", ADMIN, tenants::list),
        post("/v1/tenants", ADMIN, tenants::create),
        get("/v1/tenants/{tenant}", ANY, tenants::one),
        get("/v1/tenants/{tenant}/status", ANY, status::tenant),
        get("/v1/tenants/{tenant}/keys", ADMIN, keys::list),
        post("/v1/tenants/{tenant}/keys", ADMIN, keys::create),
        delete("/v1/tenants/{tenant}/keys/{id}", ADMIN, keys::revoke),
        put("/v1/tenants/{tenant}/keys/{id}/quotas", ADMIN, keys::quotas::set_of_key),
        get("/v1/tenants/{tenant}/quotas", ANY, keys::quotas::show),
        put("/v1/tenants/{tenant}/quotas", ADMIN, keys::quotas::set),
        get("/v1/tenants/{tenant}/signing-keys", ANY, access::signing::list),
        get("/v1/tenants/{tenant}/signing-keys/{id}", ANY, access::signing::one),
        put("/v1/tenants/{tenant}/signing-keys/{id}", ADMIN, access::signing::put),
        delete("/v1/tenants/{tenant}/signing-keys/{id}", ADMIN, access::signing::remove),
        get("/v1/tenants/{tenant}/signature-policy", ANY, access::signing::policy),
        put("/v1/tenants/{tenant}/signature-policy", ADMIN, access::signing::set_policy),
        get("/v1/tenants/{tenant}/case-policy", ANY, plugins::cases::policy),
        put("/v1/tenants/{tenant}/case-policy", ADMIN, plugins::cases::set_policy),
        get("/v1/tenants/{tenant}/schemas", ANY, schemas::list),
        get("/v1/tenants/{tenant}/schemas/{name}", ANY, schemas::latest),
        put("/v1/tenants/{tenant}/schemas/{name}", WRITE, schemas::put),
        get("/v1/tenants/{tenant}/schemas/{name}/versions", ANY, schemas::versions),
        get("/v1/tenants/{tenant}/schemas/{name}/versions/{version}", ANY, schemas::one),
        get("/v1/tenants/{tenant}/tables", ANY, tables::list),
        put("/v1/tenants/{tenant}/tables/{name}", WRITE, tables::put),
        get("/v1/tenants/{tenant}/tables/{name}/generations", ANY, tables::generations),
        get("/v1/tenants/{tenant}/plugins", ANY, plugins::list),
        get("/v1/tenants/{tenant}/plugins/{name}/versions", ANY, plugins::versions),
        post("/v1/tenants/{tenant}/plugins/{name}/versions", UPLOAD, plugins::push),
        get("/v1/tenants/{tenant}/plugins/{name}/versions/{version}", ANY, plugins::inspect),
        get("/v1/tenants/{tenant}/log", ANY, plugins::running::log),
        get("/v1/tenants/{tenant}/limits", ANY, plugins::running::limits),
        put("/v1/tenants/{tenant}/limits", ADMIN, plugins::running::set_limits),
        put("/v1/tenants/{tenant}/plugins/{name}/versions/{version}/limits", ADMIN, plugins::running::set_plugin_limits),
        get("/v1/tenants/{tenant}/jobs", ANY, plugins::jobs::list),
        get("/v1/tenants/{tenant}/jobs/{job}", ANY, plugins::jobs::one),
        get("/v1/tenants/{tenant}/revisions", ANY, revisions::list),
        post("/v1/tenants/{tenant}/revisions", WRITE, revisions::create),
        get("/v1/tenants/{tenant}/revisions/{revision}", ANY, revisions::one),
        post("/v1/tenants/{tenant}/revisions/{revision}/activate", ROLLOUT, activations::activate),
        post("/v1/tenants/{tenant}/revisions/{revision}/shadow", ROLLOUT, rollouts::shadow),
        post("/v1/tenants/{tenant}/revisions/{revision}/canary", ROLLOUT, rollouts::canary),
        post("/v1/tenants/{tenant}/revisions/{revision}/replays", REPLAY, replays::create),
        get("/v1/tenants/{tenant}/replays/{id}", REPLAY, replays::one),
        delete("/v1/tenants/{tenant}/replays/{id}", REPLAY, replays::cancel),
        get("/v1/tenants/{tenant}/events/{event_id}/explanation", REPLAY, replays::explain),
        get("/v1/tenants/{tenant}/quarantine", REPLAY, quarantine::list),
        get("/v1/tenants/{tenant}/quarantine/groups", REPLAY, quarantine::groups),
        get("/v1/tenants/{tenant}/quarantine/jobs", REPLAY, jobs::list),
        post("/v1/tenants/{tenant}/quarantine/jobs", ADMIN, jobs::create),
        get("/v1/tenants/{tenant}/quarantine/jobs/{id}", REPLAY, jobs::one),
        delete("/v1/tenants/{tenant}/quarantine/jobs/{id}", ADMIN, jobs::cancel),
        get("/v1/tenants/{tenant}/quarantine/{event_id}", ADMIN, quarantine::one),
        post("/v1/tenants/{tenant}/quarantine/{event_id}/release", ADMIN, quarantine::release),
        post("/v1/tenants/{tenant}/quarantine/{event_id}/discard", ADMIN, quarantine::discard),
        get("/v1/tenants/{tenant}/rollout", ANY, rollouts::running),
        post("/v1/tenants/{tenant}/rollout/stop", ROLLOUT, rollouts::stop),
        get("/v1/tenants/{tenant}/rollouts", ANY, rollouts::list),
        post("/v1/tenants/{tenant}/rollback", ROLLOUT, activations::roll_back),
        get("/v1/tenants/{tenant}/activations", ANY, activations::list),
    ]
}

/// Every route with the scopes that open it: for tests, and what tells of them.
#[must_use]
pub fn routes() -> Vec<Declared> {
    table().into_iter().map(|route| route.declared).collect()
}

pub(crate) fn router(state: AdminState) -> Router {
    let mut router = Router::new();
    for Route { declared, handler } in table() {
        let (path, declared) = (declared.path, declared.clone());
        let guarded =
            from_fn(move |request, next| guard::authorize(declared.clone(), request, next));
        router = router.route(path, handler.route_layer(guarded));
    }
    router
        .fallback(answer::not_found)
        .method_not_allowed_fallback(answer::method_not_allowed)
        .layer(from_fn_with_state(state.clone(), guard::watch))
        .with_state(state)
}
