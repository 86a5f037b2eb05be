//! `/v1/tenants/{tenant}/case-policy`: must uploaded components carry golden cases?

use axum::extract::{Request, State};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tidegate_catalog::{CasePolicy, Catalog};

use crate::answer::{self, Answer};
use crate::request::{self, At, from_json};
use crate::state::AdminState;

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Written {
    policy: CasePolicy,
}

pub(in crate::routes) async fn policy(
    State(state): State<AdminState>,
    At(tenant): At<String>,
) -> Answer {
    let tenant = request::tenant(&tenant)?;
    let policy = state.catalog(move |catalog| catalog.case_policy(&tenant)).await?;
    answer::ok(&json!(Written { policy }))
}

pub(in crate::routes) async fn set_policy(
    State(state): State<AdminState>,
    At(tenant): At<String>,
    request: Request,
) -> Answer {
    let tenant = request::tenant(&tenant)?;
    let body = request::json_body(&state, request).await?;
    let written: Written = from_json(&body)?;
    let changing = state.clone();
    let setting = state.change(async move {
        let set = move |catalog: &Catalog| catalog.set_case_policy(&tenant, written.policy);
        changing.catalog(set).await
    });
    setting.await?;
    answer::ok(&json!(written))
}
