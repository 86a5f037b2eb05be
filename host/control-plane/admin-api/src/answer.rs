//! From results to HTTP answers: JSON for what went well, RFC 9457 for what did not. The one place
//! where the catalog's errors become words for clients, and where our own failures are logged.

use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde_json::{Map, Value};
use tidegate_catalog::CatalogError;
use tidegate_types::problem::ProblemPart;
use tidegate_types::{Problem, ProblemType, UnixMillis};

/// What a handler answers.
pub(crate) type Answer = Result<Response, Failure>;

/// A problem on its way out.
pub(crate) struct Failure(pub(crate) Problem);

/// A problem with members of its own besides those that every problem has.
pub(crate) fn explained(problem: &Problem, about: Map<String, Value>) -> Response {
    let mut body = problem.to_json();
    if let Some(members) = body.as_object_mut() {
        members.extend(about);
    }
    refusal(problem, &body)
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self(problem)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        refusal(&self.0, &self.0.to_json())
    }
}

fn refusal(problem: &Problem, body: &Value) -> Response {
    let status = StatusCode::from_u16(problem.kind.status())
        .expect("every kind of problem has a valid status");
    let mut response = json(status, "application/problem+json", body);
    response.extensions_mut().insert(problem.kind);
    let headers = response.headers_mut();
    if let Some(millis) = problem.retry_after_ms {
        headers.insert(RETRY_AFTER, HeaderValue::from(millis.div_ceil(1000)));
    }
    if problem.kind == ProblemType::Unauthenticated {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// 200 with a JSON body.
pub(crate) fn ok(body: &Value) -> Answer {
    Ok(json(StatusCode::OK, "application/json", body))
}

/// 200 with a body that is JSON text already.
pub(crate) fn text(body: String) -> Answer {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    Ok((StatusCode::OK, headers, body).into_response())
}

/// 201 where something new was stored, 200 where it was there already.
pub(crate) fn stored(created: bool, body: &Value) -> Answer {
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    Ok(json(status, "application/json", body))
}

/// 202: the work goes on; `location` tells how it is.
pub(crate) fn accepted(location: &str, body: &Value) -> Answer {
    let mut response = json(StatusCode::ACCEPTED, "application/json", body);
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

fn json(status: StatusCode, media: &'static str, body: &Value) -> Response {
    let headers = [(CONTENT_TYPE, media), (CACHE_CONTROL, "no-store")];
    (status, headers, body.to_string()).into_response()
}

/// Our own failure: the log gets the cause, the client gets to know that it is not to blame.
pub(crate) fn internal(what: &'static str, cause: &dyn std::error::Error) -> Problem {
    tracing::error!(cause = causes(cause), "{what}");
    Problem::new(ProblemType::Internal, "the gateway failed; its log has the cause")
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut causes = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        causes.push_str(": ");
        causes.push_str(&source.to_string());
        next = source.source();
    }
    causes
}

/// A problem with several places.
pub(crate) fn invalid(detail: &str, errors: Vec<ProblemPart>) -> Problem {
    let mut problem = Problem::new(ProblemType::InvalidRequest, detail);
    if let [only] = errors.as_slice() {
        problem = problem.at(only.pointer.clone());
    }
    problem.with_errors(errors)
}

/// The catalog's errors as clients see them.
pub(crate) fn from_catalog(error: CatalogError) -> Problem {
    if error.is_storage_full() {
        tracing::error!(%error, "the catalog's disk is full");
        let detail = "the disk has no room for this; nothing was changed";
        return Problem::new(ProblemType::StorageFull, detail).retry_after(10_000);
    }
    if error.is_unavailable() {
        tracing::error!(cause = causes(&error), "the catalog's database is out of reach");
        let detail = "the catalog's database is out of reach; the gateway's log has the cause. \
                      Events go on; look whether a change was made before making it again";
        return Problem::new(ProblemType::CatalogUnavailable, detail).retry_after(2000);
    }
    match error {
        CatalogError::NotFound { .. } => Problem::new(ProblemType::NotFound, error.to_string()),
        CatalogError::Taken { .. } => {
            Problem::new(ProblemType::Exists, format!("{error}; choose another name"))
        }
        CatalogError::TooLarge { .. } => Problem::new(ProblemType::TooLarge, error.to_string()),
        CatalogError::Invalid(_) | CatalogError::Full { .. } | CatalogError::NothingBefore => {
            Problem::new(ProblemType::InvalidRequest, error.to_string())
        }
        CatalogError::Quota { frees_at, .. } => quota(&error, frees_at),
        CatalogError::Table(table) => {
            let parts = table.problems.into_iter().map(|problem| ProblemPart {
                pointer: format!("/{}s/{}", table.unit, problem.at),
                detail: problem.detail,
            });
            invalid("the table cannot be used", parts.collect())
        }
        CatalogError::DamagedBlob { .. }
        | CatalogError::NewerVersion { .. }
        | CatalogError::NodeNameTaken { .. }
        | CatalogError::Database(_)
        | CatalogError::Io { .. }
        | CatalogError::Thread(_)
        | CatalogError::Random(_) => internal("the catalog failed", &error),
    }
}

/// Which quota is used up, and when that changes.
fn quota(error: &CatalogError, frees_at: Option<UnixMillis>) -> Problem {
    let Some(at) = frees_at else {
        let detail = format!(
            "{error}; versions are kept for the events that cite them, so none becomes free: ask \
             the operator to raise the limit"
        );
        return Problem::new(ProblemType::TooManyRequests, detail);
    };
    let detail = format!("{error}; there is room again at {}", at.to_rfc3339());
    let wait = at.0.saturating_sub(UnixMillis::now().0);
    Problem::new(ProblemType::TooManyRequests, detail).retry_after(wait.max(1))
}

/// For paths that do not exist.
pub(crate) async fn not_found(uri: http::Uri) -> Failure {
    let path: String = uri.path().chars().take(200).collect();
    let detail = format!(
        "there is no path {path}; see the API's reference; most paths start with /v1/tenants"
    );
    Failure(Problem::new(ProblemType::NotFound, detail))
}

/// For methods that a path does not have; the router adds `Allow`.
pub(crate) async fn method_not_allowed(method: http::Method) -> Failure {
    let detail = format!("{method} is not allowed here; the header {ALLOW} names what is");
    Failure(Problem::new(ProblemType::MethodNotAllowed, detail))
}
