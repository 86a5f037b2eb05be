//! `/v1/tenants/{tenant}/schemas`

use axum::extract::{Request, State};
use axum::response::Response;
use serde_json::{Value, json};
use tidegate_catalog::{ArtifactName, Schema, Selector};
use tidegate_types::TenantId;

use crate::answer::{self, Answer, Failure};
use crate::request::{self, Asked, At, PageQuery, parse_json};
use crate::state::AdminState;

const MEDIA: [&str; 2] = ["application/json", "application/schema+json"];

pub(super) async fn put(
    State(state): State<AdminState>,
    At((tenant, name)): At<(String, String)>,
    request: Request,
) -> Answer {
    let (tenant, name) = (request::tenant(&tenant)?, request::artifact(&name)?);
    let body = request::body(&state, request, &MEDIA, state.catalog.limits().schema_bytes).await?;
    let text = body.clone();
    let check = move |state: &AdminState| {
        parse_json(&text)?;
        let checked = state.data_plane.check_schema(&text);
        checked.map_err(|parts| answer::invalid("the schema cannot be used", parts))
    };
    state.blocking(check).await?;
    let changing = state.clone();
    let work = move |catalog: &tidegate_catalog::Catalog| catalog.put_schema(&tenant, &name, &body);
    let put = state.change(async move { changing.catalog(work).await }).await?;
    answer::stored(put.is_created(), &view(&put.into_inner()))
}

pub(super) async fn list(State(state): State<AdminState>, At(tenant): At<String>) -> Answer {
    let tenant = request::tenant(&tenant)?;
    let schemas = state.catalog(move |catalog| catalog.schemas(&tenant)).await?;
    let schemas: Vec<Value> = schemas.iter().map(view).collect();
    answer::ok(&json!({ "schemas": schemas }))
}

pub(super) async fn latest(
    State(state): State<AdminState>,
    At((tenant, name)): At<(String, String)>,
) -> Answer {
    let (tenant, name) = (request::tenant(&tenant)?, request::artifact(&name)?);
    with_text(state, tenant, name, Selector::Latest).await
}

pub(super) async fn one(
    State(state): State<AdminState>,
    At((tenant, name, version)): At<(String, String, String)>,
) -> Answer {
    let (tenant, name) = (request::tenant(&tenant)?, request::artifact(&name)?);
    with_text(state, tenant, name, request::selector(&version)?).await
}

async fn with_text(
    state: AdminState,
    tenant: TenantId,
    name: ArtifactName,
    which: Selector,
) -> Result<Response, Failure> {
    let find = move |catalog: &tidegate_catalog::Catalog| {
        let schema = catalog.schema(&tenant, &name, &which)?;
        let text = catalog.content(&schema.digest)?;
        Ok((schema, text))
    };
    let (schema, text) = state.catalog(find).await?;
    let mut body = view(&schema);
    if let Some(members) = body.as_object_mut() {
        members.insert("schema".to_owned(), parse_json(&text)?);
    }
    answer::ok(&body)
}

pub(super) async fn versions(
    State(state): State<AdminState>,
    At((tenant, name)): At<(String, String)>,
    Asked(query): Asked<PageQuery>,
) -> Answer {
    let (tenant, name) = (request::tenant(&tenant)?, request::artifact(&name)?);
    let page = query.page()?;
    let list = move |catalog: &tidegate_catalog::Catalog| {
        catalog.schema(&tenant, &name, &Selector::Latest)?;
        catalog.schema_versions(&tenant, &name, page)
    };
    let versions: Vec<Value> = state.catalog(list).await?.iter().map(view).collect();
    answer::ok(&json!({ "versions": versions }))
}

fn view(schema: &Schema) -> Value {
    json!({
        "name": schema.name,
        "version": schema.version,
        "digest": schema.digest,
        "bytes": schema.bytes,
        "created_at": schema.created_at.to_rfc3339(),
    })
}
