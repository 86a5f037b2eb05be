//! `/v1/tokens`

use axum::extract::{Request, State};
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_catalog::{AccessScope, AccessTokenRecord, NewAccessToken};
use tidegate_types::{Problem, TenantId, UnixMillis};

use crate::answer::{self, Answer};
use crate::request::{self, Asked, At, from_json};
use crate::state::AdminState;
use crate::token::act;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenRequest {
    name: String,
    #[serde(default)]
    tenant: Option<TenantId>,
    scopes: Vec<AccessScope>,
    #[serde(default)]
    expires_at: Option<String>,
}

impl TokenRequest {
    fn check(self) -> Result<NewAccessToken, Problem> {
        let expires_at = self.expires_at.as_deref().map(request::future_time).transpose()?;
        let Self { name, tenant, scopes, .. } = self;
        Ok(NewAccessToken { name, tenant, scopes, expires_at })
    }
}

pub(in crate::routes) async fn create(State(state): State<AdminState>, request: Request) -> Answer {
    let body = request::json_body(&state, request).await?;
    let new = from_json::<TokenRequest>(&body)?.check()?;
    let (changing, by) = (state.clone(), act::who());
    let made = state.change(async move {
        changing.catalog(move |catalog| catalog.create_access_token(new, &by)).await
    });
    let (token, record) = made.await?;
    let mut body = view(&record);
    if let Some(members) = body.as_object_mut() {
        members.insert("token".to_owned(), token.reveal().into());
    }
    answer::stored(true, &body)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::routes) struct ListQuery {
    after: Option<String>,
    limit: Option<u32>,
}

pub(in crate::routes) async fn list(
    State(state): State<AdminState>,
    Asked(query): Asked<ListQuery>,
) -> Answer {
    let limit = request::limit(query.limit)?;
    let list = move |catalog: &tidegate_catalog::Catalog| {
        catalog.access_tokens(query.after.as_deref(), limit)
    };
    let tokens: Vec<Value> = state.catalog(list).await?.iter().map(view).collect();
    answer::ok(&json!({ "tokens": tokens }))
}

pub(in crate::routes) async fn revoke(
    State(state): State<AdminState>,
    At(id): At<String>,
) -> Answer {
    let changing = state.clone();
    let revoked = state.change(async move {
        changing.catalog(move |catalog| catalog.revoke_access_token(&id)).await
    });
    answer::ok(&view(&revoked.await?))
}

fn view(token: &AccessTokenRecord) -> Value {
    json!({
        "id": token.id,
        "name": token.name,
        "tenant": token.tenant,
        "scopes": token.scopes,
        "created_by": token.created_by,
        "created_at": token.created_at.to_rfc3339(),
        "expires_at": token.expires_at.map(UnixMillis::to_rfc3339),
        "revoked_at": token.revoked_at.map(UnixMillis::to_rfc3339),
    })
}
