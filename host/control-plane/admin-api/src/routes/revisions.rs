//! `/v1/tenants/{tenant}/revisions`: references by name become digests, every rule is configured,
//! and only then is a revision stored.

pub(crate) mod activations;
pub(crate) mod quorum;
pub(crate) mod replays;
pub(crate) mod rollouts;
mod signed;

use axum::extract::{Request, State};
use serde_json::{Value, json};
use tidegate_catalog::{Put, RevisionSummary, StoredRevision};
use tidegate_types::{Problem, TenantId};

use crate::answer::{self, Answer};
use crate::request::{self, Asked, At, PageQuery, from_json};
use crate::resolve::{self, WrittenDocument};
use crate::state::AdminState;

pub(super) async fn create(
    State(state): State<AdminState>,
    At(tenant): At<String>,
    request: Request,
) -> Answer {
    let tenant = request::tenant(&tenant)?;
    let body = request::json_body(&state, request).await?;
    let written: WrittenDocument = from_json(&body)?;
    let put = state.change(check_and_store(state.clone(), tenant, written)).await?;
    answer::stored(put.is_created(), &view(&put.into_inner()))
}

async fn check_and_store(
    state: AdminState,
    tenant: TenantId,
    written: WrittenDocument,
) -> Result<Put<StoredRevision>, Problem> {
    let owner = tenant.clone();
    let resolve = move |state: &AdminState| resolve::resolve(&state.catalog, &owner, &written);
    let document = state.blocking(resolve).await?;
    let checked = state.data_plane.check_revision(&tenant, &document).await;
    checked.map_err(|parts| answer::invalid("the revision cannot be used", parts))?;
    state.catalog(move |catalog| catalog.store_revision(&tenant, &document)).await
}

pub(super) async fn list(
    State(state): State<AdminState>,
    At(tenant): At<String>,
    Asked(query): Asked<PageQuery>,
) -> Answer {
    let (tenant, page) = (request::tenant(&tenant)?, query.page()?);
    let revisions = state.catalog(move |catalog| catalog.revisions(&tenant, page)).await?;
    let revisions: Vec<Value> = revisions.iter().map(summary).collect();
    answer::ok(&json!({ "revisions": revisions }))
}

pub(super) async fn one(
    State(state): State<AdminState>,
    At((tenant, revision)): At<(String, String)>,
) -> Answer {
    let (tenant, which) = (request::tenant(&tenant)?, request::selector(&revision)?);
    let revision = state.catalog(move |catalog| catalog.revision(&tenant, &which)).await?;
    answer::ok(&view(&revision))
}

fn summary(revision: &RevisionSummary) -> Value {
    json!({
        "number": revision.number,
        "digest": revision.digest,
        "state": revision.state.as_str(),
        "created_at": revision.created_at.to_rfc3339(),
    })
}

fn view(revision: &StoredRevision) -> Value {
    json!({
        "number": revision.number,
        "digest": revision.digest,
        "kernels": revision.kernels,
        "state": revision.state.as_str(),
        "created_at": revision.created_at.to_rfc3339(),
        "derived_from": revision.derived_from,
        "document": revision.document,
    })
}
