//! `/v1/tenants/{tenant}/tables`

pub(crate) mod follow;

use axum::extract::{Request, State};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_catalog::table_content::{MAX_CELLS, MAX_COLUMNS};
use tidegate_catalog::{Catalog, Selector, StagedTable, Table, TableSource};
use tidegate_types::{Problem, TenantId};

use crate::answer::{self, Answer};
use crate::data_plane::ParquetLimits;
use crate::request::{self, Asked, At, PageQuery};
use crate::state::AdminState;

const NDJSON: &str = "application/x-ndjson";
const PARQUET: &str = "application/vnd.apache.parquet";
/// What a table may be sent as.
const MEDIA: [&str; 3] = ["text/csv", NDJSON, PARQUET];

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
    let is_sent_as = request::media(&request);
    let body = request::body(&state, request, &MEDIA, limit).await?;
    // Outside of the change: others need not wait for a large table to be read.
    let owner = tenant.clone();
    let staged = state
        .blocking(move |state| {
            let staged = stage(state, &owner, &is_sent_as, body, query.key.as_deref());
            drop(permit);
            staged
        })
        .await?;
    let changing = state.clone();
    let put = state.change(async move {
        let owner = tenant.clone();
        let put = changing.catalog(move |catalog| catalog.put_table(&owner, &name, staged)).await?;
        Ok((put, follow::catch_up(&changing, &tenant).await))
    });
    let (put, derived) = put.await?;
    let is_created = put.is_created();
    let mut body = view(&put.into_inner());
    if let Some(members) = body.as_object_mut() {
        members.extend(follow::told(derived));
    }
    answer::stored(is_created, &body)
}

/// Checks an upload and makes its content durable.
fn stage(
    state: &AdminState,
    tenant: &TenantId,
    media: &str,
    body: Bytes,
    key: Option<&str>,
) -> Result<StagedTable, Problem> {
    let staged =
        |source| state.catalog.stage_table(tenant, source, key).map_err(answer::from_catalog);
    if media.eq_ignore_ascii_case(PARQUET) {
        let limits = state.catalog.limits();
        let limits = ParquetLimits {
            rows: limits.table_rows,
            columns: MAX_COLUMNS,
            cells: MAX_CELLS,
            bytes: limits.table_bytes,
        };
        let cells = state.data_plane.read_parquet(body, &limits);
        return staged(TableSource::Cells(cells.map_err(request::bad)?));
    }
    if media.eq_ignore_ascii_case(NDJSON) {
        return staged(TableSource::Ndjson(&body));
    }
    staged(TableSource::Csv(&body))
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
