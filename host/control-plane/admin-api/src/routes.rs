//! The paths. Each group has a module; every request passes the token's check first.

mod keys;
mod plugins;
pub(crate) mod revisions;
mod schemas;
mod status;
mod tables;
mod tenants;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, post, put};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use tidegate_types::{Problem, ProblemType};

use self::revisions::{activations, replays, rollouts};
use crate::answer::{self, Failure};
use crate::state::AdminState;

/// Who asks, as the catalog's history names the holder of the bootstrap token.
pub(crate) const ADMIN: &str = "admin";
/// The gateway, where it acts by itself.
pub(crate) const ITSELF: &str = "tidegate";

pub(crate) fn router(state: AdminState) -> Router {
    let tenant = Router::new()
        .route("/", get(tenants::one))
        .route("/status", get(status::tenant))
        .route("/keys", get(keys::list).post(keys::create))
        .route("/keys/{id}", delete(keys::revoke))
        .route("/schemas", get(schemas::list))
        .route("/schemas/{name}", put(schemas::put).get(schemas::latest))
        .route("/schemas/{name}/versions", get(schemas::versions))
        .route("/schemas/{name}/versions/{version}", get(schemas::one))
        .route("/tables", get(tables::list))
        .route("/tables/{name}", put(tables::put))
        .route("/tables/{name}/generations", get(tables::generations))
        .route("/plugins", get(plugins::list))
        .route("/plugins/{name}/versions", get(plugins::versions).post(plugins::push))
        .route("/plugins/{name}/versions/{version}", get(plugins::inspect))
        .route("/jobs", get(plugins::jobs::list))
        .route("/jobs/{job}", get(plugins::jobs::one))
        .route("/revisions", get(revisions::list).post(revisions::create))
        .route("/revisions/{revision}", get(revisions::one))
        .route("/revisions/{revision}/activate", post(activations::activate))
        .route("/revisions/{revision}/shadow", post(rollouts::shadow))
        .route("/revisions/{revision}/canary", post(rollouts::canary))
        .route("/revisions/{revision}/replays", post(replays::create))
        .route("/replays/{id}", get(replays::one).delete(replays::cancel))
        .route("/events/{event_id}/explanation", get(replays::explain))
        .route("/rollout", get(rollouts::running))
        .route("/rollout/stop", post(rollouts::stop))
        .route("/rollouts", get(rollouts::list))
        .route("/rollback", post(activations::roll_back))
        .route("/activations", get(activations::list));
    Router::new()
        .route("/v1/status", get(status::node))
        .route("/v1/tenants", get(tenants::list).post(tenants::create))
        .nest("/v1/tenants/{tenant}", tenant)
        .fallback(answer::not_found)
        .method_not_allowed_fallback(answer::method_not_allowed)
        .layer(from_fn_with_state(state.clone(), authenticate))
        .with_state(state)
}

async fn authenticate(State(state): State<AdminState>, request: Request, next: Next) -> Response {
    match check(&state, request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => Failure(problem).into_response(),
    }
}

fn check(state: &AdminState, headers: &HeaderMap) -> Result<(), Problem> {
    let refused = |detail| Err(Problem::new(ProblemType::Unauthenticated, detail));
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return refused("send the admin token once, as `Authorization: Bearer TOKEN`");
    };
    let (scheme, token) = value.as_bytes().split_at_checked(7).unwrap_or_default();
    if !scheme.eq_ignore_ascii_case(b"bearer ") {
        return refused("send the admin token as `Authorization: Bearer TOKEN`");
    }
    if !state.token.matches(token.trim_ascii()) {
        return refused(
            "this is not the admin token; it is in the file `admin-token` of the data folder",
        );
    }
    Ok(())
}
