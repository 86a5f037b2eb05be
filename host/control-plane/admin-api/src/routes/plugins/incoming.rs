//! What comes in as a component: the bytes, or where to pull them from, held against the tenant's
//! signature policy before anything else is done with them.

use std::sync::Arc;

use axum::extract::Request;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName};
use serde::Deserialize;
use tidegate_catalog::Catalog;
use tidegate_distribution::{Signature, verify};
use tidegate_types::{Digest, Problem, ProblemType, TenantId};

use crate::answer;
use crate::request::{self, from_json};
use crate::routes::access::signing::{policy_of, public_key};
use crate::state::AdminState;

/// RFC 9530.
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
/// A detached signature of the component, in base64.
const SIGNATURE: HeaderName = HeaderName::from_static("x-signature");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PullRequest {
    oci: String,
}

/// Reads an upload, or pulls it from a registry, and checks that it is what it should be and whose
/// it should be.
pub(super) async fn component(
    state: &AdminState,
    tenant: &TenantId,
    request: Request,
) -> Result<(Bytes, Digest), Problem> {
    let headers = request.headers().clone();
    let media = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = media.split(';').next().unwrap_or_default().trim();
    let component = if essence.eq_ignore_ascii_case("application/json") {
        let body = request::json_body(state, request).await?;
        pull(state, from_json::<PullRequest>(&body)?).await?
    } else {
        let limit = state.catalog.limits().component_bytes;
        let media = ["application/wasm", "application/json"];
        request::body(state, request, &media, limit).await?
    };
    let digest = Digest::of(&component);
    check_digest(&headers, &digest)?;
    check_signature(state, tenant, &headers, &component, digest).await?;
    Ok((component, digest))
}

async fn pull(state: &AdminState, asked: PullRequest) -> Result<Bytes, Problem> {
    let Some(registry) = state.registry.as_ref().map(Arc::clone) else {
        let detail = "this gateway pulls from no registry; name some as `allowed` in the section \
                      [registries] of its configuration, or upload the component itself";
        return Err(request::bad(detail).at("/oci"));
    };
    registry.pull(asked.oci).await.map_err(|problem| problem.at("/oci"))
}

/// Compares `Content-Digest`, where it has a SHA-256, with the component's.
fn check_digest(headers: &HeaderMap, digest: &Digest) -> Result<(), Problem> {
    let expected = STANDARD.encode(digest.0);
    for value in headers.get_all(CONTENT_DIGEST) {
        for member in value.to_str().unwrap_or("?").split(',').map(str::trim) {
            let Some((algorithm, sent)) = member.split_once('=') else {
                let detail = "Content-Digest has the form sha-256=:BASE64: (RFC 9530)";
                return Err(request::bad(detail));
            };
            if algorithm == "sha-256" && sent != format!(":{expected}:") {
                let detail = format!(
                    "the component's SHA-256 is :{expected}:, not what Content-Digest says"
                );
                return Err(request::bad(detail));
            }
        }
    }
    Ok(())
}

/// Holds `X-Signature` against the tenant's policy, and notes which key has signed.
async fn check_signature(
    state: &AdminState,
    tenant: &TenantId,
    headers: &HeaderMap,
    component: &Bytes,
    digest: Digest,
) -> Result<(), Problem> {
    let mut values = headers.get_all(SIGNATURE).iter();
    let signature = match (values.next(), values.next()) {
        (None, _) => None,
        (Some(value), None) => {
            let parsed = value.to_str().unwrap_or_default().parse::<Signature>();
            Some(parsed.map_err(|error| request::bad(format!("X-Signature: {error}")))?)
        }
        (Some(_), Some(_)) => return Err(request::bad("send X-Signature once")),
    };
    let owner = tenant.clone();
    let read = move |state: &AdminState| {
        let keys = state.catalog.signing_keys(&owner).map_err(answer::from_catalog)?;
        Ok((policy_of(&state.catalog, &owner)?, keys))
    };
    let (policy, keys) = state.blocking(read).await?;
    let keys = keys.iter().map(public_key).collect::<Result<Vec<_>, Problem>>()?;
    let (bytes, sent) = (component.clone(), signature.clone());
    let checked = state.blocking(move |_| {
        verify(&policy, &keys, &bytes, sent.as_ref())
            .map_err(|error| Problem::new(ProblemType::SignatureRefused, error.to_string()))
    });
    if let (Some(key), Some(signature)) = (checked.await?, signature) {
        let (owner, key, signature) = (tenant.clone(), key.to_string(), signature.to_string());
        let noted =
            move |catalog: &Catalog| catalog.note_signature(&owner, &digest, &key, &signature);
        state.catalog(noted).await?;
    }
    Ok(())
}
