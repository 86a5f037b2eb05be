//! `/v1/tenants/{tenant}/keys`. A new key and a revocation are in force when they are answered.

use axum::extract::{Request, State};
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_catalog::{CatalogError, KeyRecord, NewKey, Scope};
use tidegate_types::{Problem, TenantId, UnixMillis};

use crate::answer::{self, Answer};
use crate::request::{self, At, from_json};
use crate::state::AdminState;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyRequest {
    name: String,
    #[serde(default = "default_scopes")]
    scopes: Vec<Scope>,
    #[serde(default = "default_rate_limit")]
    rate_limit: u32,
    #[serde(default)]
    expires_at: Option<String>,
}

fn default_scopes() -> Vec<Scope> {
    vec![Scope::EventsWrite]
}

fn default_rate_limit() -> u32 {
    tidegate_catalog::DEFAULT_RATE_LIMIT
}

impl KeyRequest {
    fn check(self) -> Result<NewKey, Problem> {
        let expires_at = self.expires_at.as_deref().map(request::future_time).transpose()?;
        let Self { name, scopes, rate_limit, .. } = self;
        Ok(NewKey { name, scopes, rate_limit, expires_at })
    }
}

pub(super) async fn create(
    State(state): State<AdminState>,
    At(tenant): At<String>,
    request: Request,
) -> Answer {
    let tenant = request::tenant(&tenant)?;
    let body = request::json_body(&state, request).await?;
    let new = from_json::<KeyRequest>(&body)?.check()?;
    let body = state.change(create_and_publish(state.clone(), tenant, new)).await?;
    answer::stored(true, &body)
}

async fn create_and_publish(
    state: AdminState,
    tenant: TenantId,
    new: NewKey,
) -> Result<Value, Problem> {
    let owner = tenant.clone();
    let made = state.catalog(move |catalog| catalog.create_key(&owner, new)).await;
    let (key, record) = made?;
    if let Err(problem) = state.publish(None).await {
        // Nobody will ever know this key.
        let id = record.id;
        state.catalog(move |catalog| catalog.discard_key(&tenant, &id)).await?;
        return Err(problem);
    }
    let mut body = view(&record);
    if let Some(members) = body.as_object_mut() {
        members.insert("key".to_owned(), key.reveal().into());
    }
    Ok(body)
}

pub(super) async fn list(State(state): State<AdminState>, At(tenant): At<String>) -> Answer {
    let tenant = request::tenant(&tenant)?;
    let keys = state.catalog(move |catalog| catalog.keys(&tenant)).await?;
    let keys: Vec<Value> = keys.iter().map(view).collect();
    answer::ok(&json!({ "keys": keys }))
}

pub(super) async fn revoke(
    State(state): State<AdminState>,
    At((tenant, id)): At<(String, String)>,
) -> Answer {
    let tenant = request::tenant(&tenant)?;
    let changing = state.clone();
    let record = state.change(async move {
        let revoked = move |catalog: &tidegate_catalog::Catalog| -> Result<_, CatalogError> {
            catalog.revoke_key(&tenant, &id)
        };
        let record = changing.catalog(revoked).await?;
        // A revocation is never taken back: where it cannot be put in force now, it will be with
        // the next publication.
        changing.publish(None).await.map_err(|problem| {
            let detail = format!(
                "the key is revoked but may still work; revoke it again: {}",
                problem.detail
            );
            Problem { detail, ..problem }
        })?;
        Ok(record)
    });
    answer::ok(&view(&record.await?))
}

fn view(key: &KeyRecord) -> Value {
    json!({
        "id": key.id,
        "name": key.name,
        "scopes": key.scopes,
        "rate_limit": key.rate_limit,
        "is_active": key.is_active,
        "created_at": key.created_at.to_rfc3339(),
        "expires_at": key.expires_at.map(UnixMillis::to_rfc3339),
        "last_used_at": key.last_used_at.map(UnixMillis::to_rfc3339),
    })
}
