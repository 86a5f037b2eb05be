//! `/v1/tenants/{tenant}/plugins`: a component is stored as a pending version, and a job in the
//! background admits it.

pub(super) mod cases;

pub(super) mod jobs;

mod incoming;

pub(super) mod running;

use axum::extract::{Request, State};
use bytes::Bytes;
use serde_json::{Value, json};
use tidegate_catalog::{CasePolicy, Catalog, Component, ComponentSource, Selector};
use tidegate_types::{Digest, Problem, ProblemType, TenantId};
use tokio::sync::mpsc;

use crate::answer::{self, Answer};
use crate::request::{self, Asked, At, PageQuery};
use crate::state::AdminState;

/// How every WebAssembly file begins.
const WASM: &[u8] = b"\0asm";

pub(super) async fn push(
    State(state): State<AdminState>,
    At((tenant, name)): At<(String, String)>,
    request: Request,
) -> Answer {
    let (tenant, name) = (request::tenant(&tenant)?, request::artifact(&name)?);
    let (owner, wanted) = (tenant.clone(), name.clone());
    state.catalog(move |catalog| catalog.check_component_name(&owner, &wanted)).await?;
    let permit = state.upload_permit()?;
    let (body, _) = incoming::component(&state, &tenant, request).await?;
    if !body.starts_with(WASM) {
        return Err(request::bad("the body is no WebAssembly: send a component's bytes").into());
    }
    let (changing, owner) = (state.clone(), tenant.clone());
    let work = move |catalog: &Catalog| catalog.submit_component(&owner, &name, &body);
    let put = state.change(async move {
        let done = changing.catalog(work).await;
        drop(permit);
        done
    });
    let put = put.await?;
    state.jobs.notify_one();
    let created = put.is_created();
    match put.into_inner() {
        (_, Some(job)) if created => {
            answer::accepted(&jobs::path(tenant.as_str(), &job), &jobs::view(&state, &job))
        }
        (_, Some(job)) => answer::ok(&jobs::view(&state, &job)),
        // It was stored before there were jobs.
        (component, None) => answer::ok(&json!({
            "plugin": component.name,
            "version": component.version,
            "digest": component.digest,
            "state": component.admission.as_str(),
            "steps": [],
        })),
    }
}

/// What is known of a built-in component; found out now where nothing is.
async fn inspection(
    state: &AdminState,
    tenant: &TenantId,
    component: Bytes,
    digest: Digest,
) -> Result<Value, Problem> {
    let turn = state.inspections.acquire().await;
    let known = state.catalog(move |catalog| catalog.inspection(&digest)).await?;
    if let Some(known) = known {
        return Ok(known);
    }
    // Nobody follows its steps.
    let (done, _) = mpsc::channel(1);
    let certified =
        state.data_plane.certify(tenant, component, CasePolicy::NotRequired, done).await;
    drop(turn);
    let Some(inspection) = certified.inspection else {
        let detail = "the component cannot be inspected right now; nothing was changed";
        return Err(Problem::new(ProblemType::Unavailable, detail).retry_after(1000));
    };
    let inspection = json!(inspection);
    let noted = inspection.clone();
    state.catalog(move |catalog| catalog.note_inspection(&digest, &noted)).await?;
    Ok(inspection)
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
    let owner = tenant.clone();
    let find = move |catalog: &Catalog| {
        let component = catalog.component(&owner, &name, &which)?;
        let known = catalog.inspection(&component.digest)?;
        let job = component.job.map(|job| catalog.job(&owner, job)).transpose()?;
        let signers = catalog.signers(&owner, &component.digest)?;
        Ok((component, known, job, signers))
    };
    let (component, known, job, signers) = state.catalog(find).await?;
    let (digest, builtin) = (component.digest, component.source == ComponentSource::Builtin);
    let inspection = match known {
        // A built-in component that nobody has asked about yet.
        None if builtin => {
            let _permit = state.upload_permit()?;
            let bytes = state.catalog(move |catalog| catalog.content(&digest)).await?;
            inspection(&state, &tenant, bytes.into(), digest).await?
        }
        known => known.unwrap_or_default(),
    };
    let mut body = view(&component);
    if let Some(members) = body.as_object_mut() {
        members.insert("inspection".to_owned(), inspection);
        members.insert("signed_by".to_owned(), json!(signers));
        if let Some(job) = job {
            members.insert("admission".to_owned(), jobs::view(&state, &job));
        }
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
        "state": component.admission.as_str(),
        "job": component.job.map(|job| job.to_string()),
        "created_at": component.created_at.to_rfc3339(),
    })
}
