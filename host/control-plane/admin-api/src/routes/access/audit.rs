//! `/v1/audit`

use axum::extract::State;
use serde::Deserialize;
use serde_json::json;
use tidegate_catalog::Page;

use crate::answer::{self, Answer};
use crate::request::{self, Asked};
use crate::state::AdminState;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::routes) struct ListQuery {
    before: Option<u64>,
    limit: Option<u32>,
    tenant: Option<String>,
}

pub(in crate::routes) async fn list(
    State(state): State<AdminState>,
    Asked(query): Asked<ListQuery>,
) -> Answer {
    let page = Page { before: query.before, limit: request::limit(query.limit)? };
    let tenant = query.tenant.as_deref().map(request::tenant).transpose()?;
    let list = move |catalog: &tidegate_catalog::Catalog| {
        catalog.audit(tenant.as_ref().map(|tenant| tenant.as_str()), page)
    };
    answer::ok(&json!({ "entries": state.catalog(list).await? }))
}
