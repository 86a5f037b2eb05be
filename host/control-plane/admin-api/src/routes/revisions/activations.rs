//! Activation and rollback: durable in the catalog first, then published; where the data plane
//! cannot take it, undone. A crash in between is settled at the next start, which publishes what
//! the catalog says.

use axum::extract::{Request, State};
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_catalog::{Activation, Catalog, Put, Selector, StoredRevision};
use tidegate_types::revision::KERNELS;
use tidegate_types::rollout::Thresholds;
use tidegate_types::{Digest, Problem, ProblemType, TenantId};

use super::{quorum, rollouts, signed};
use crate::answer::{self, Answer};
use crate::request::{self, Asked, At, PageQuery, from_json};
use crate::resolve::not_admitted;
use crate::routes::tables::follow;
use crate::state::AdminState;
use crate::token::act;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ActivateBody {
    /// Without them, those of the rollout that it comes from, if there is one.
    thresholds: Option<Thresholds>,
}

pub(in crate::routes) async fn activate(
    State(state): State<AdminState>,
    At((tenant, revision)): At<(String, String)>,
    request: Request,
) -> Answer {
    let (tenant, which) = (request::tenant(&tenant)?, request::selector(&revision)?);
    let body = request::optional_json(&state, request).await?;
    let thresholds = body.map(|body| from_json::<ActivateBody>(&body)).transpose()?;
    let thresholds = thresholds.and_then(|body| body.thresholds);
    thresholds.as_ref().map_or(Ok(()), rollouts::check)?;
    let owner = tenant.clone();
    let digest = state.blocking(move |state| usable(state, &owner, &which)).await?;
    quorum::ready(&state, &tenant, digest).await?;
    let (changing, by) = (state.clone(), act::who());
    let activation = state.change(async move {
        // Keys and policies may have changed while nodes made it ready.
        let (owner, which) = (tenant.clone(), Selector::Digest(digest));
        changing.blocking(move |state| usable(state, &owner, &which)).await?;
        let followed = tenant.clone();
        let work = move |catalog: &Catalog| catalog.activate(&tenant, &digest, thresholds, &by);
        let put = changing.catalog(work).await?;
        let made = publish_or_withdraw(&changing, &followed, put).await?;
        // What failed is logged, and told by the history: the revision asked for is in force.
        drop(follow::catch_up(&changing, &followed).await);
        Ok(made)
    });
    answer::ok(&view(&activation.await?))
}

pub(in crate::routes) async fn roll_back(
    State(state): State<AdminState>,
    At(tenant): At<String>,
) -> Answer {
    let tenant = request::tenant(&tenant)?;
    let made = take_back_to(&state, tenant, None, act::who(), String::new()).await?;
    answer::ok(&view(&made))
}

/// Rolls back; with a sequence, only where that activation is still in force: then nobody has asked for
/// it, and it goes through also to a revision whose components are not signed as they must be.
pub(crate) async fn take_back_to(
    state: &AdminState,
    tenant: TenantId,
    only: Option<u64>,
    by: String,
    reason: String,
) -> Result<Activation, Problem> {
    let changing = state.clone();
    let activation = state.change(async move {
        let (owner, whose) = (tenant.clone(), tenant.clone());
        let target = changing.catalog(move |catalog| catalog.rollback_target(&owner)).await?;
        if let Some(target) = target {
            let (owner, which) = (tenant.clone(), Selector::Digest(target.digest));
            let checked = changing.blocking(move |state| usable(state, &owner, &which)).await;
            match checked.map(drop) {
                Err(problem) if only.is_some() && problem.kind == ProblemType::SignatureRefused => {
                    tracing::warn!(tenant = tenant.as_str(), %problem, "rolled back nevertheless");
                    if let Some(act) = act::current() {
                        act.note_problem(problem.kind);
                    }
                }
                checked => checked?,
            }
        }
        let work = move |catalog: &Catalog| catalog.roll_back(&tenant, only, &by, &reason);
        let made = changing.catalog(work).await?;
        publish_or_withdraw(&changing, &whose, Put::Created(made)).await
    });
    activation.await
}

/// The digest of a revision, where this program's kernels are those that it was made for (others
/// may judge differently under the same digest), and all its components are admitted and signed as
/// the tenant's policy asks by then.
pub(super) fn usable(
    state: &AdminState,
    tenant: &TenantId,
    which: &Selector,
) -> Result<Digest, Problem> {
    let revision = state.catalog.revision(tenant, which).map_err(answer::from_catalog)?;
    for rule in &revision.document.rules {
        let component = state.catalog.component_of(tenant, &rule.component);
        let component = component.map_err(answer::from_catalog)?;
        if let Some(why) = not_admitted(&state.catalog, tenant, &component)? {
            return Err(request::bad(format!(
                "the rule `{}` cannot judge events: {why}",
                rule.name
            )));
        }
    }
    is_usable(&revision)?;
    signed::check(&state.catalog, tenant, &revision.document)?;
    Ok(revision.digest)
}

pub(super) fn is_usable(revision: &StoredRevision) -> Result<(), Problem> {
    if revision.kernels == KERNELS {
        return Ok(());
    }
    Err(request::bad(format!(
        "revision {} was made for the kernels {}, this gateway has {KERNELS}; post its document \
         again, which makes a revision with a digest of its own",
        revision.number, revision.kernels
    )))
}

pub(crate) async fn publish_or_withdraw(
    state: &AdminState,
    tenant: &TenantId,
    put: Put<Activation>,
) -> Result<Activation, Problem> {
    let Err(problem) = state.publish(Some(tenant)).await else { return Ok(put.into_inner()) };
    if let Put::Created(activation) = put {
        let sequence = activation.sequence;
        state.catalog(move |catalog| catalog.withdraw_activation(sequence)).await?;
        // What failed is told by the problem that follows.
        drop(state.publish(None).await);
        tracing::warn!(sequence, %problem, "activation withdrawn");
    }
    Err(problem)
}

pub(in crate::routes) async fn list(
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

pub(in crate::routes) fn view(activation: &Activation) -> Value {
    json!({
        "sequence": activation.sequence,
        "number": activation.number,
        "digest": activation.digest,
        "kind": activation.kind.as_str(),
        "at": activation.at.to_rfc3339(),
        "by": activation.by,
        "reason": activation.reason,
        "thresholds": activation.thresholds,
    })
}
