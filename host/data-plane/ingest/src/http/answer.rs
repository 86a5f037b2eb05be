//! From answers and problems to HTTP responses.

pub(super) mod challenge;

use std::sync::OnceLock;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use tidegate_types::{Finding, Problem, ProblemType, Status};

use crate::event::HOST;
use crate::options::IngressOptions;
use crate::stage::acknowledge::Answer;
use crate::stage::admit::meter::Standing;

pub(super) type Body = Full<Bytes>;

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

fn response(status: StatusCode, content_type: HeaderValue, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

/// Adds what is left of the sender's quotas.
pub(super) fn tell(standing: &OnceLock<Standing>, response: &mut Response<Body>) {
    if let Some(standing) = standing.get() {
        standing.write(response.headers_mut());
    }
}

/// A small JSON body.
pub(super) fn json(status: StatusCode, body: &str) -> Response<Body> {
    response(status, JSON, body.as_bytes().to_vec())
}

/// A problem as its response.
pub(super) fn problem(problem: &Problem) -> Response<Body> {
    with_body(problem, problem.to_json())
}

/// A problem of a request that leads nowhere, with the methods that its path takes.
pub(super) fn misled(problem: &Problem, allowed: &'static str) -> Response<Body> {
    let mut response = self::problem(problem);
    if problem.kind == ProblemType::MethodNotAllowed {
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    }
    response
}

fn with_body(problem: &Problem, body: serde_json::Value) -> Response<Body> {
    let status =
        StatusCode::from_u16(problem.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = response(status, PROBLEM, body.to_string().into_bytes());
    let headers = response.headers_mut();
    if let Some(millis) = problem.retry_after_ms {
        headers.insert(header::RETRY_AFTER, seconds(millis));
    }
    match problem.kind {
        ProblemType::Unauthenticated => {
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("ApiKey realm=\"tidegate\""),
            );
        }
        ProblemType::UnsupportedMediaType => {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, zstd"));
        }
        // The rest of such a body is not read, so the connection cannot be used again.
        ProblemType::TooLarge | ProblemType::RequestTimeout => {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        _ => {}
    }
    response
}

fn seconds(millis: u64) -> HeaderValue {
    HeaderValue::from(millis.div_ceil(1000).max(1))
}

/// The receipts of a request as its response.
pub(super) fn receipts(answer: Answer, options: &IngressOptions) -> Response<Body> {
    if let Some(failure) = &answer.failure {
        return failed(failure, &answer);
    }
    if answer.form.is_single() { single(answer, options) } else { batch(&answer) }
}

fn batch(answer: &Answer) -> Response<Body> {
    let mut body = format!(
        "{{\"accepted\":{},\"rejected\":{},\"receipts\":[",
        answer.accepted, answer.rejected
    )
    .into_bytes();
    body.extend_from_slice(&answer.receipts);
    body.extend_from_slice(b"]}");
    response(StatusCode::ACCEPTED, JSON, body)
}

/// The receipt of an event that was taken, with its key.
fn taken(answer: Answer) -> Response<Body> {
    let mut response = response(StatusCode::ACCEPTED, JSON, answer.receipts);
    if let Some(key) = answer.key {
        response.headers_mut().insert("idempotency-key", key);
    }
    response
}

fn single(answer: Answer, options: &IngressOptions) -> Response<Body> {
    let kind = match answer.status {
        Status::Accepted | Status::Quarantined => {
            return taken(answer);
        }
        Status::Duplicate => {
            let mut response = taken(answer);
            response.headers_mut().insert("idempotency-replayed", HeaderValue::from_static("true"));
            return response;
        }
        Status::Rejected if is_forbidden(&answer.findings) => ProblemType::Forbidden,
        Status::Rejected => ProblemType::EventRejected,
        Status::Conflict => ProblemType::KeyConflict,
        Status::Retry => ProblemType::InFlight,
    };
    let detail = match answer.status {
        Status::Conflict => "use a new key for a new event, or send what was sent first",
        Status::Retry => "an event with this key is being worked on; send it again later",
        Status::Rejected if kind == ProblemType::Forbidden => {
            "the findings say what is not allowed"
        }
        _ => "mend what the findings say and send it again under the same key",
    };
    let mut problem = Problem::new(kind, detail);
    problem.retry_after_ms = answer.retry_after_ms;
    let mut body = problem.to_json();
    merge(&mut body, &answer.receipts);
    if let (Status::Retry, Some(members)) = (answer.status, body.as_object_mut()) {
        members.insert("status".into(), options.in_flight_status.as_u16().into());
    }
    let mut response = with_body(&problem, body);
    if answer.status == Status::Retry {
        *response.status_mut() = options.in_flight_status;
    }
    response
}

/// Was the event refused for who sent it?
fn is_forbidden(findings: &[Finding]) -> bool {
    let codes = [Finding::OTHER_TENANT, Finding::SCOPE];
    findings.iter().any(|finding| finding.rule.as_str() == HOST && codes.contains(&&*finding.code))
}

/// Adds the members of the receipt to the problem, so that both can be read from one body. `status`
/// stays the number that RFC 9457 wants; the event's own is `event_status`.
fn merge(problem: &mut serde_json::Value, receipt: &[u8]) {
    let receipt = serde_json::from_slice::<serde_json::Map<_, _>>(receipt);
    if let (Some(problem), Ok(receipt)) = (problem.as_object_mut(), receipt) {
        for (name, value) in receipt {
            problem.insert(if name == "status" { "event_status".into() } else { name }, value);
        }
    }
}

/// The append failed: a problem for the whole request, with the receipts in it.
fn failed(failure: &Problem, answer: &Answer) -> Response<Body> {
    let mut body = failure.to_json();
    let receipts = [b"[", answer.receipts.as_slice(), b"]"].concat();
    if let (Some(body), Ok(receipts)) = (body.as_object_mut(), serde_json::from_slice(&receipts)) {
        body.insert("receipts".into(), receipts);
    }
    with_body(failure, body)
}
