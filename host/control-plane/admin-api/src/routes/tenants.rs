//! `/v1/tenants`

use axum::extract::{Request, State};
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_catalog::{Put, Tenant};
use tidegate_types::TenantId;

use crate::answer::{self, Answer};
use crate::request::{self, Asked, At, from_json};
use crate::state::AdminState;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTenant {
    id: TenantId,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListQuery {
    after: Option<String>,
    limit: Option<u32>,
}

pub(super) async fn create(State(state): State<AdminState>, request: Request) -> Answer {
    let body = request::json_body(&state, request).await?;
    let NewTenant { id } = from_json(&body)?;
    let changing = state.clone();
    let work = async move { changing.catalog(move |catalog| catalog.create_tenant(&id)).await };
    let put: Put<Tenant> = state.change(work).await?;
    answer::stored(put.is_created(), &view(&put.into_inner()))
}

pub(super) async fn list(
    State(state): State<AdminState>,
    Asked(query): Asked<ListQuery>,
) -> Answer {
    let limit = request::limit(query.limit)?;
    let tenants =
        state.catalog(move |catalog| catalog.tenants(query.after.as_deref(), limit)).await?;
    let tenants: Vec<Value> = tenants.iter().map(view).collect();
    answer::ok(&json!({ "tenants": tenants }))
}

pub(super) async fn one(State(state): State<AdminState>, At(tenant): At<String>) -> Answer {
    let tenant = request::tenant(&tenant)?;
    let tenant = state.catalog(move |catalog| catalog.tenant(&tenant)).await?;
    answer::ok(&view(&tenant))
}

fn view(tenant: &Tenant) -> Value {
    json!({ "id": tenant.id, "created_at": tenant.created_at.to_rfc3339() })
}
