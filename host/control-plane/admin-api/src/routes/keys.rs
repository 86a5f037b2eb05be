//! `/v1/tenants/{tenant}/keys`. A new key and a revocation are in force when they are answered.
//!
//! With `key_hash` a key is not made but taken over from another system: its hash alone is known.

pub(in crate::routes) mod quotas;

use std::sync::Arc;

use axum::extract::{Request, State};
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_catalog::{Catalog, CatalogError, ForeignKey, KeyRecord, NewKey, Scope};
use tidegate_types::{Digest, Problem, TenantId, UnixMillis};

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
    /// SHA-256 of a key that another system has made, 64 hexadecimal digits.
    #[serde(default)]
    key_hash: Option<String>,
    /// The id of such a key there.
    #[serde(default)]
    id: Option<String>,
    /// False for such a key that was revoked there.
    #[serde(default)]
    is_active: Option<bool>,
}

/// A key to be made or to be taken over.
enum Wanted {
    New(NewKey),
    Foreign(NewKey, ForeignKey),
}

fn default_scopes() -> Vec<Scope> {
    vec![Scope::EventsWrite]
}

fn default_rate_limit() -> u32 {
    tidegate_catalog::DEFAULT_RATE_LIMIT
}

impl KeyRequest {
    fn check(self) -> Result<Wanted, Problem> {
        let Self { name, scopes, rate_limit, expires_at, key_hash, id, is_active } = self;
        let Some(hash) = key_hash else {
            if id.is_some() || is_active.is_some() {
                let detail = "id and is_active are for a key that is taken over: send its key_hash";
                return Err(request::bad(detail));
            }
            let expires_at = expires_at.as_deref().map(request::future_time).transpose()?;
            return Ok(Wanted::New(NewKey { name, scopes, rate_limit, expires_at }));
        };
        let hash = format!("sha256:{}", hash.to_ascii_lowercase()).parse::<Digest>();
        let hash = hash.map_err(|_| {
            request::bad("key_hash is the SHA-256 of a key, 64 hexadecimal digits").at("/key_hash")
        })?;
        // One that is over is taken over too: its holder is told that it expired.
        let expires_at = expires_at.as_deref().map(time).transpose()?;
        let new = NewKey { name, scopes, rate_limit, expires_at };
        Ok(Wanted::Foreign(new, ForeignKey { hash, id, is_active: is_active.unwrap_or(true) }))
    }
}

fn time(text: &str) -> Result<UnixMillis, Problem> {
    let detail = "expires_at is an RFC 3339 date-time";
    UnixMillis::parse_rfc3339(text).ok_or_else(|| request::bad(detail).at("/expires_at"))
}

pub(super) async fn create(
    State(state): State<AdminState>,
    At(tenant): At<String>,
    request: Request,
) -> Answer {
    let tenant = request::tenant(&tenant)?;
    let body = request::json_body(&state, request).await?;
    let wanted = from_json::<KeyRequest>(&body)?.check()?;
    let body = state.change(create_and_publish(state.clone(), tenant, wanted)).await?;
    answer::stored(true, &body)
}

async fn create_and_publish(
    state: AdminState,
    tenant: TenantId,
    wanted: Wanted,
) -> Result<Value, Problem> {
    let (owner, environment) = (tenant.clone(), Arc::clone(&state.limits.key_environment));
    let new = match wanted {
        Wanted::New(new) => new,
        Wanted::Foreign(new, foreign) => {
            let adopted = move |catalog: &Catalog| catalog.adopt_key(&owner, new, foreign);
            let record = state.catalog(adopted).await?;
            // Sent again it changes nothing, and is put in force then.
            state.publish(None).await?;
            return Ok(view(&record));
        }
    };
    let made = state.catalog(move |catalog| catalog.create_key(&owner, &environment, new)).await;
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
        let revoked = move |catalog: &Catalog| -> Result<_, CatalogError> {
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
        "quotas": key.quotas,
        "is_active": key.is_active,
        "created_at": key.created_at.to_rfc3339(),
        "expires_at": key.expires_at.map(UnixMillis::to_rfc3339),
        "last_used_at": key.last_used_at.map(UnixMillis::to_rfc3339),
    })
}
