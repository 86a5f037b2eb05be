//! `/v1/tenants/{tenant}/plugins`: a component is scanned, compiled and linked before it is stored.

mod incoming;

use axum::extract::{Request, State};
use bytes::Bytes;
use serde_json::{Value, json};
use tidegate_catalog::{Catalog, Component, ComponentSource, Selector};
use tidegate_types::{Digest, Problem};

use crate::answer::{self, Answer};
use crate::data_plane::Inspection;
use crate::request::{self, Asked, At, PageQuery};
use crate::state::AdminState;

pub(super) async fn push(
    State(state): State<AdminState>,
    At((tenant, name)): At<(String, String)>,
    request: Request,
) -> Answer {
    let (tenant, name) = (request::tenant(&tenant)?, request::artifact(&name)?);
    let (owner, wanted) = (tenant.clone(), name.clone());
    state.catalog(move |catalog| catalog.check_component_name(&owner, &wanted)).await?;
    let permit = state.upload_permit()?;
    let (body, digest) = incoming::component(&state, &tenant, request).await?;
    let inspection = inspection(&state, body.clone(), digest).await?;
    let changing = state.clone();
    let work = move |catalog: &Catalog| catalog.put_component(&tenant, &name, &body, &inspection);
    let put = state.change(async move {
        let done = changing.catalog(work).await;
        drop(permit);
        done
    });
    let put = put.await?;
    answer::stored(put.is_created(), &view(&put.into_inner()))
}

/// What is known of a component; inspected now where nothing is.
async fn inspection(
    state: &AdminState,
    component: Bytes,
    digest: Digest,
) -> Result<Value, Problem> {
    let known = state.catalog(move |catalog| catalog.inspection(&digest)).await?;
    if let Some(known) = known {
        return Ok(known);
    }
    let turn = state.inspections.acquire().await;
    let inspected = state.data_plane.inspect(component).await;
    drop(turn);
    let inspection: Inspection =
        inspected.map_err(|parts| answer::invalid("the component cannot be used", parts))?;
    Ok(json!(inspection))
}

pub(super) async fn list(State(state): State<AdminState>, At(tenant): At<String>) -> Answer {
    let tenant = request::tenant(&tenant)?;
    let components = state.catalog(move |catalog| catalog.components(&tenant)).await?;
    let plugins: Vec<Value> = components.iter().map(view).collect();
    answer::ok(&json!({ "plugins": plugins }))
}

pub(super) async fn versions(
    State(state): State<AdminState>,
    At((tenant, name)): At<(String, String)>,
    Asked(query): Asked<PageQuery>,
) -> Answer {
    let (tenant, name) = (request::tenant(&tenant)?, request::artifact(&name)?);
    let page = query.page()?;
    let list = move |catalog: &Catalog| {
        catalog.component(&tenant, &name, &Selector::Latest)?;
        catalog.component_versions(&tenant, &name, page)
    };
    let versions: Vec<Value> = state.catalog(list).await?.iter().map(view).collect();
    answer::ok(&json!({ "versions": versions }))
}

pub(super) async fn inspect(
    State(state): State<AdminState>,
    At((tenant, name, version)): At<(String, String, String)>,
) -> Answer {
    let (tenant, name) = (request::tenant(&tenant)?, request::artifact(&name)?);
    let which = request::selector(&version)?;
    let find = move |catalog: &Catalog| {
        let component = catalog.component(&tenant, &name, &which)?;
        let known = catalog.inspection(&component.digest)?;
        let signers = catalog.signers(&tenant, &component.digest)?;
        Ok((component, known, signers))
    };
    let (component, known, signers) = state.catalog(find).await?;
    let digest = component.digest;
    let inspection = match known {
        Some(known) => known,
        // A built-in component that nobody has asked about yet.
        None => {
            let _permit = state.upload_permit()?;
            let bytes = state.catalog(move |catalog| catalog.content(&digest)).await?;
            let found = inspection(&state, bytes.into(), digest).await?;
            let noted = found.clone();
            state.catalog(move |catalog| catalog.note_inspection(&digest, &noted)).await?;
            found
        }
    };
    let mut body = view(&component);
    if let Some(members) = body.as_object_mut() {
        members.insert("inspection".to_owned(), inspection);
        members.insert("signed_by".to_owned(), json!(signers));
    }
    answer::ok(&body)
}

fn view(component: &Component) -> Value {
    json!({
        "name": component.name,
        "version": component.version,
        "digest": component.digest,
        "bytes": component.bytes,
        "builtin": component.source == ComponentSource::Builtin,
        "created_at": component.created_at.to_rfc3339(),
    })
}
