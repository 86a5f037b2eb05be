//! `/v1/tenants/{tenant}/quotas` and `…/keys/{id}/quotas`: how much may be sent. A change holds with
//! its answer; what was taken before stays taken.

use axum::extract::{Request, State};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidegate_catalog::Catalog;
use tidegate_types::quota::Quotas;
use tidegate_types::{Problem, TenantId};

use crate::answer::{self, Answer};
use crate::request::{self, At, from_json};
use crate::state::AdminState;

#[derive(Clone, Copy, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// `null` for the gateway's.
    quotas: Option<Quotas>,
}

/// Whose quotas.
enum Of {
    Tenant,
    Key(String),
}

pub(in crate::routes) async fn show(
    State(state): State<AdminState>,
    At(tenant): At<String>,
) -> Answer {
    let tenant = request::tenant(&tenant)?;
    let read = move |catalog: &Catalog| {
        let keys = catalog.keys(&tenant)?;
        let quotas = catalog.all_quotas()?.into_iter().find(|(owner, _)| *owner == tenant);
        Ok((quotas.map(|(_, quotas)| quotas), keys))
    };
    let (quotas, keys) = state.catalog(read).await?;
    let keys: Vec<Value> = keys
        .into_iter()
        .filter(|key| key.is_active)
        .map(|key| json!({ "id": key.id, "rate_limit": key.rate_limit, "quotas": key.quotas }))
        .collect();
    answer::ok(&json!({ "quotas": quotas, "keys": keys }))
}

pub(in crate::routes) async fn set(
    State(state): State<AdminState>,
    At(tenant): At<String>,
    request: Request,
) -> Answer {
    put(state, request::tenant(&tenant)?, Of::Tenant, request).await
}

pub(in crate::routes) async fn set_of_key(
    State(state): State<AdminState>,
    At((tenant, id)): At<(String, String)>,
    request: Request,
) -> Answer {
    put(state, request::tenant(&tenant)?, Of::Key(id), request).await
}

async fn put(state: AdminState, tenant: TenantId, of: Of, request: Request) -> Answer {
    let body = request::json_body(&state, request).await?;
    let written: Written = from_json(&body)?;
    let changing = state.clone();
    let setting = state.change(async move {
        let quotas = written.quotas;
        let set = move |catalog: &Catalog| match of {
            Of::Tenant => catalog.set_quotas(&tenant, quotas.as_ref()),
            Of::Key(id) => catalog.set_key_quotas(&tenant, &id, quotas.as_ref()),
        };
        changing.catalog(set).await?;
        // It stays set, and is in force with the next publication where it cannot be now.
        changing.publish(None).await.map_err(|problem| {
            let detail = format!("it is set and not in force yet: {}", problem.detail);
            Problem { detail, ..problem }
        })
    });
    setting.await?;
    answer::ok(&json!(written))
}
