//! `/v1/tenants/{tenant}/signing-keys` and `/v1/tenants/{tenant}/signature-policy`

use axum::extract::{Request, State};
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_catalog::{Catalog, CatalogError, SigningKey};
use tidegate_distribution::{PublicKey, SignaturePolicy};
use tidegate_types::{Problem, ProblemType, TenantId};

use crate::answer::{self, Answer};
use crate::request::{self, At, from_json, parse_json};
use crate::state::AdminState;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyRequest {
    name: String,
    public_key: String,
}

pub(in crate::routes) async fn put(
    State(state): State<AdminState>,
    At((tenant, id)): At<(String, String)>,
    request: Request,
) -> Answer {
    let tenant = request::tenant(&tenant)?;
    let body = request::json_body(&state, request).await?;
    let KeyRequest { name, public_key } = from_json(&body)?;
    let at_key = |detail: String| request::bad(detail).at("/public_key");
    let key: PublicKey = public_key.parse().map_err(|error| at_key(format!("{error}")))?;
    if key.id().to_string() != id {
        return Err(at_key(format!("this key has the id {}; put it there", key.id())).into());
    }
    let changing = state.clone();
    let put = state.change(async move {
        let work =
            move |catalog: &Catalog| catalog.put_signing_key(&tenant, &id, &key.to_bytes(), &name);
        changing.catalog(work).await
    });
    let put = put.await?;
    answer::stored(put.is_created(), &view(&put.into_inner())?)
}

pub(in crate::routes) async fn list(
    State(state): State<AdminState>,
    At(tenant): At<String>,
) -> Answer {
    let tenant = request::tenant(&tenant)?;
    let keys = state.catalog(move |catalog| catalog.signing_keys(&tenant)).await?;
    let keys = keys.iter().map(view).collect::<Result<Vec<Value>, Problem>>()?;
    answer::ok(&json!({ "keys": keys }))
}

pub(in crate::routes) async fn one(
    State(state): State<AdminState>,
    At((tenant, id)): At<(String, String)>,
) -> Answer {
    let tenant = request::tenant(&tenant)?;
    let keys = state.catalog(move |catalog| catalog.signing_keys(&tenant)).await?;
    match keys.iter().find(|key| key.id == id) {
        Some(key) => answer::ok(&view(key)?),
        None => Err(Problem::new(ProblemType::NotFound, "there is no such signing key").into()),
    }
}

pub(in crate::routes) async fn remove(
    State(state): State<AdminState>,
    At((tenant, id)): At<(String, String)>,
) -> Answer {
    let tenant = request::tenant(&tenant)?;
    let (changing, removed) = (state.clone(), id.clone());
    let removing = state.change(async move {
        changing.catalog(move |catalog| catalog.remove_signing_key(&tenant, &removed)).await
    });
    removing.await?;
    answer::ok(&json!({ "id": id }))
}

pub(in crate::routes) async fn policy(
    State(state): State<AdminState>,
    At(tenant): At<String>,
) -> Answer {
    let tenant = request::tenant(&tenant)?;
    let policy = state.catalog(move |catalog| catalog.signature_policy(&tenant)).await?;
    answer::ok(&policy.unwrap_or_else(|| json!(SignaturePolicy::None)))
}

pub(in crate::routes) async fn set_policy(
    State(state): State<AdminState>,
    At(tenant): At<String>,
    request: Request,
) -> Answer {
    let tenant = request::tenant(&tenant)?;
    let body = request::json_body(&state, request).await?;
    let policy = json!(from_json::<SignaturePolicy>(&body)?);
    // Members that a policy does not have are passed over where it has none at all.
    let sent = parse_json(&body)?;
    let more = sent.as_object().into_iter().flatten().find(|(name, _)| policy.get(name).is_none());
    if let Some((name, _)) = more {
        let place = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
        return Err(request::bad(format!("unknown field `{name}`")).at(place).into());
    }
    let (changing, set) = (state.clone(), policy.clone());
    let setting = state.change(async move {
        changing.catalog(move |catalog| catalog.set_signature_policy(&tenant, &set)).await
    });
    setting.await?;
    answer::ok(&policy)
}

fn view(key: &SigningKey) -> Result<Value, Problem> {
    let public = public_key(key)?;
    Ok(json!({
        "id": key.id,
        "name": key.name,
        "public_key": public.to_pem(),
        "created_at": key.created_at.to_rfc3339(),
    }))
}

/// What a tenant asks of signatures. Blocks on the catalog.
pub(in crate::routes) fn policy_of(
    catalog: &Catalog,
    tenant: &TenantId,
) -> Result<SignaturePolicy, Problem> {
    let policy = catalog.signature_policy(tenant).map_err(answer::from_catalog)?;
    let Some(policy) = policy else { return Ok(SignaturePolicy::None) };
    serde_json::from_value(policy)
        .map_err(|error| answer::internal("the catalog holds a damaged policy", &error))
}

/// A key as it was checked before it was stored.
pub(in crate::routes) fn public_key(key: &SigningKey) -> Result<PublicKey, Problem> {
    PublicKey::from_bytes(key.public_key).map_err(|error| {
        let damaged = CatalogError::Invalid(format!("signing key {}: {error}", key.id));
        answer::internal("the catalog holds a damaged key", &damaged)
    })
}
