//! Activation and rollback: durable in the catalog first, then published; where the data plane
//! cannot take it, undone. A crash in between is settled at the next start, which publishes what
//! the catalog says.

use axum::extract::State;
use serde_json::{Value, json};
use tidegate_catalog::{Activation, Catalog, Put, Selector};
use tidegate_types::revision::KERNELS;
use tidegate_types::{Digest, Problem, TenantId};

use super::ADMIN;
use crate::answer::{self, Answer};
use crate::request::{self, Asked, At, PageQuery};
use crate::state::AdminState;

pub(super) async fn activate(
    State(state): State<AdminState>,
    At((tenant, revision)): At<(String, String)>,
) -> Answer {
    let (tenant, which) = (request::tenant(&tenant)?, request::selector(&revision)?);
    let changing = state.clone();
    let activation = state.change(async move {
        let owner = tenant.clone();
        let digest = changing.blocking(move |state| usable(state, &owner, &which)).await?;
        let work = move |catalog: &Catalog| catalog.activate(&tenant, &digest, ADMIN);
        let put = changing.catalog(work).await?;
        publish_or_withdraw(&changing, put).await
    });
    answer::ok(&view(&activation.await?))
}

pub(super) async fn roll_back(State(state): State<AdminState>, At(tenant): At<String>) -> Answer {
    let tenant = request::tenant(&tenant)?;
    let changing = state.clone();
    let activation = state.change(async move {
        let owner = tenant.clone();
        let target = changing.catalog(move |catalog| catalog.rollback_target(&owner)).await?;
        if let Some(target) = target {
            let (owner, which) = (tenant.clone(), Selector::Digest(target.digest));
            changing.blocking(move |state| usable(state, &owner, &which)).await?;
        }
        let made = changing.catalog(move |catalog| catalog.roll_back(&tenant, ADMIN)).await?;
        publish_or_withdraw(&changing, Put::Created(made)).await
    });
    answer::ok(&view(&activation.await?))
}

/// The digest of a revision, where this program's kernels are those that it was made for: others
/// may judge differently under the same digest.
fn usable(state: &AdminState, tenant: &TenantId, which: &Selector) -> Result<Digest, Problem> {
    let revision = state.catalog.revision(tenant, which).map_err(answer::from_catalog)?;
    if revision.kernels == KERNELS {
        return Ok(revision.digest);
    }
    Err(request::bad(format!(
        "revision {} was made for the kernels {}, this gateway has {KERNELS}; post its document \
         again, which makes a revision with a digest of its own",
        revision.number, revision.kernels
    )))
}

async fn publish_or_withdraw(
    state: &AdminState,
    put: Put<Activation>,
) -> Result<Activation, Problem> {
    let Err(problem) = state.publish().await else { return Ok(put.into_inner()) };
    if let Put::Created(activation) = put {
        let sequence = activation.sequence;
        state.catalog(move |catalog| catalog.withdraw_activation(sequence)).await?;
        tracing::warn!(sequence, %problem, "activation withdrawn");
    }
    Err(problem)
}

pub(super) async fn list(
    State(state): State<AdminState>,
    At(tenant): At<String>,
    Asked(query): Asked<PageQuery>,
) -> Answer {
    let (tenant, page) = (request::tenant(&tenant)?, query.page()?);
    let history = state.catalog(move |catalog| catalog.activations(&tenant, page)).await?;
    let history = history.iter().map(|entry| {
        let mut body = view(entry);
        if let Some(members) = body.as_object_mut() {
            members.insert("withdrawn".to_owned(), entry.withdrawn.into());
        }
        body
    });
    answer::ok(&json!({ "activations": history.collect::<Vec<Value>>() }))
}

pub(super) fn view(activation: &Activation) -> Value {
    json!({
        "sequence": activation.sequence,
        "number": activation.number,
        "digest": activation.digest,
        "kind": activation.kind.as_str(),
        "at": activation.at.to_rfc3339(),
        "by": activation.by,
    })
}
