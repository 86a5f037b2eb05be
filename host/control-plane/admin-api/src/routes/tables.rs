//! `/v1/tenants/{tenant}/tables`

use axum::extract::{Request, State};
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_catalog::{Catalog, Selector, Table};

use crate::answer::{self, Answer};
use crate::request::{self, Asked, At, PageQuery};
use crate::state::AdminState;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PutQuery {
    key: Option<String>,
}

pub(super) async fn put(
    State(state): State<AdminState>,
    At((tenant, name)): At<(String, String)>,
    Asked(query): Asked<PutQuery>,
    request: Request,
) -> Answer {
    let (tenant, name) = (request::tenant(&tenant)?, request::table(&name)?);
    let permit = state.upload_permit()?;
    let limit = state.catalog.limits().table_bytes;
    let body = request::body(&state, request, &["text/csv"], limit).await?;
    let changing = state.clone();
    let work =
        move |catalog: &Catalog| catalog.put_table(&tenant, &name, &body, query.key.as_deref());
    let put = state.change(async move {
        let done = changing.catalog(work).await;
        drop(permit);
        done
    });
    let put = put.await?;
    answer::stored(put.is_created(), &view(&put.into_inner()))
}

pub(super) async fn list(State(state): State<AdminState>, At(tenant): At<String>) -> Answer {
    let tenant = request::tenant(&tenant)?;
    let tables = state.catalog(move |catalog| catalog.tables(&tenant)).await?;
    let tables: Vec<Value> = tables.iter().map(view).collect();
    answer::ok(&json!({ "tables": tables }))
}

pub(super) async fn generations(
    State(state): State<AdminState>,
    At((tenant, name)): At<(String, String)>,
    Asked(query): Asked<PageQuery>,
) -> Answer {
    let (tenant, name) = (request::tenant(&tenant)?, request::table(&name)?);
    let page = query.page()?;
    let list = move |catalog: &Catalog| {
        catalog.table(&tenant, &name, &Selector::Latest)?;
        catalog.table_generations(&tenant, &name, page)
    };
    let generations: Vec<Value> = state.catalog(list).await?.iter().map(view).collect();
    answer::ok(&json!({ "generations": generations }))
}

fn view(table: &Table) -> Value {
    json!({
        "name": table.name,
        "generation": table.generation,
        "digest": table.digest,
        "bytes": table.bytes,
        "rows": table.rows,
        "columns": table.columns,
        "created_at": table.created_at.to_rfc3339(),
    })
}
