//! From HTTP requests to checked values: names in paths, queries, bodies of one content type, all
//! bounded in size and time.

mod strict_json;

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, Query, Request};
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use http_body_util::BodyExt as _;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tidegate_catalog::{ArtifactName, Page, Selector};
use tidegate_types::{
    Digest, Problem, ProblemType, TableName, TenantId, UnixMillis, is_json_pointer,
};

use crate::answer::Failure;
use crate::state::AdminState;
use crate::token::act::Act;

pub(crate) use strict_json::{from_json, parse_json, whole};

/// So much of a body that is too large is read and thrown away, so that its sender gets to read
/// the answer.
const DISCARDED_BYTES: usize = 64 << 20;
const DEFAULT_LIMIT: u32 = 100;
const MAX_LIMIT: u32 = 1000;

/// The variable parts of the path.
pub(crate) struct At<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for At<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        match Path::<T>::from_request_parts(parts, state).await {
            Ok(Path(inner)) => Ok(Self(inner)),
            Err(rejection) => Err(Failure(bad(rejection.body_text()))),
        }
    }
}

/// The query; names that are not known are refused.
pub(crate) struct Asked<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Asked<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(inner)) => Ok(Self(inner)),
            Err(rejection) => Err(Failure(bad(rejection.body_text()))),
        }
    }
}

/// The query of a list that is ordered by number.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageQuery {
    before: Option<u64>,
    limit: Option<u32>,
}

impl PageQuery {
    pub(crate) fn page(&self) -> Result<Page, Problem> {
        Ok(Page { before: self.before, limit: limit(self.limit)? })
    }
}

pub(crate) fn limit(asked: Option<u32>) -> Result<u32, Problem> {
    match asked.unwrap_or(DEFAULT_LIMIT) {
        limit @ 1..=MAX_LIMIT => Ok(limit),
        _ => Err(bad(format!("limit is 1 to {MAX_LIMIT}"))),
    }
}

/// A member `expires_at`.
pub(crate) fn future_time(text: &str) -> Result<UnixMillis, Problem> {
    let at = UnixMillis::parse_rfc3339(text).filter(|at| *at > UnixMillis::now());
    let detail = "expires_at is an RFC 3339 date-time in the future";
    at.ok_or_else(|| bad(detail).at("/expires_at"))
}

/// Bytes of a JSON pointer.
const MAX_POINTER_BYTES: usize = 1024;

/// Is it a JSON pointer (RFC 6901) to something within an event? The whole event is none of the
/// things that pointers name here.
pub(crate) fn is_pointer(text: &str) -> bool {
    is_json_pointer(text) && !text.is_empty() && text.len() <= MAX_POINTER_BYTES
}

pub(crate) fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(ProblemType::InvalidRequest, detail)
}

/// A tenant named by the path. No tenant has a name that breaks the rule.
pub(crate) fn tenant(text: &str) -> Result<TenantId, Problem> {
    TenantId::new(text).map_err(|error| Problem::new(ProblemType::NotFound, error.to_string()))
}

pub(crate) fn artifact(text: &str) -> Result<ArtifactName, Problem> {
    ArtifactName::new(text).map_err(|error| bad(error.to_string()))
}

pub(crate) fn table(text: &str) -> Result<TableName, Problem> {
    TableName::new(text).map_err(|error| bad(error.to_string()))
}

/// A number or digest at the end of the path.
pub(crate) fn selector(text: &str) -> Result<Selector, Problem> {
    Selector::parse(text).map_err(|error| bad(error.to_string()))
}

/// Reads a body of one of some content types, at most `limit` bytes.
pub(crate) async fn body(
    state: &AdminState,
    request: Request,
    media: &[&str],
    limit: u64,
) -> Result<Bytes, Problem> {
    let timeout = state.limits.body_timeout;
    let (parts, body) = request.into_parts();
    check_media(&parts.headers, media)?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let too_large =
        || Problem::new(ProblemType::TooLarge, format!("the body may have at most {limit} bytes"));
    let announced = parts.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let announced = announced.and_then(|text| text.parse::<usize>().ok());
    // A client that asks first is told before it sends anything.
    if announced.is_some_and(|length| length > limit) && parts.headers.contains_key(EXPECT) {
        return Err(too_large());
    }
    match tokio::time::timeout(timeout, collect(body, limit)).await {
        Ok(Ok(Some(bytes))) => {
            if let Some(act) = parts.extensions.get::<Arc<Act>>() {
                act.body.set(Digest::of(&bytes)).ok();
            }
            Ok(bytes)
        }
        Ok(Ok(None)) => Err(too_large()),
        Ok(Err(error)) => Err(bad(format!("the body did not arrive whole: {error}"))),
        Err(_) => {
            let detail = format!("the body took longer than {timeout:?}");
            Err(Problem::new(ProblemType::RequestTimeout, detail))
        }
    }
}

/// Reads a JSON body.
pub(crate) async fn json_body(state: &AdminState, request: Request) -> Result<Bytes, Problem> {
    body(state, request, &["application/json"], state.limits.json_bytes).await
}

/// Reads a JSON body, where there is one.
pub(crate) async fn optional_json(
    state: &AdminState,
    request: Request,
) -> Result<Option<Bytes>, Problem> {
    let empty = request.headers().get(CONTENT_LENGTH).is_none_or(|length| length == "0");
    if empty && !request.headers().contains_key(TRANSFER_ENCODING) {
        return Ok(None);
    }
    json_body(state, request).await.map(Some)
}

/// The body's bytes; `None` where it has more than `limit`.
async fn collect(mut body: axum::body::Body, limit: usize) -> Result<Option<Bytes>, axum::Error> {
    let mut kept = BytesMut::new();
    let mut discarded = 0usize;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if discarded == 0 && kept.len() + data.len() <= limit {
            kept.extend_from_slice(&data);
            continue;
        }
        kept = BytesMut::new();
        discarded += data.len();
        if discarded > DISCARDED_BYTES {
            break;
        }
    }
    Ok((discarded == 0).then(|| kept.freeze()))
}

/// The content type of a request, without its parameters.
pub(crate) fn media(request: &Request) -> String {
    let sent = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    essence(sent.unwrap_or_default()).to_owned()
}

fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

fn check_media(headers: &HeaderMap, media: &[&str]) -> Result<(), Problem> {
    let unsupported = |detail| Err(Problem::new(ProblemType::UnsupportedMediaType, detail));
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if text(CONTENT_ENCODING).is_some_and(|coding| !coding.eq_ignore_ascii_case("identity")) {
        return unsupported("send the body without Content-Encoding".to_owned());
    }
    let sent = text(CONTENT_TYPE).unwrap_or("nothing");
    if media.iter().any(|media| media.eq_ignore_ascii_case(essence(sent))) {
        return Ok(());
    }
    let sent: String = sent.chars().take(80).collect();
    unsupported(format!("send Content-Type {}, not {sent}", media.join(" or ")))
}
