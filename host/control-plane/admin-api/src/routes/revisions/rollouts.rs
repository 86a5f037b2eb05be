//! `/v1/tenants/{tenant}/rollout`: a candidate beside the active revision, as a shadow or a canary.
//! Promoting it is activating it; stopping it changes nothing for events that were judged.

use axum::extract::{Request, State};
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_catalog::{Catalog, Put, RolloutEnd, RolloutRecord};
use tidegate_types::rollout::{Share, Stage, Thresholds};
use tidegate_types::{Problem, ProblemType, TenantId};

use super::activations::usable;
use crate::answer::{self, Answer};
use crate::request::{self, Asked, At, PageQuery, from_json};
use crate::routes::ITSELF;
use crate::state::AdminState;
use crate::token::act;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShadowBody {
    #[serde(default)]
    thresholds: Thresholds,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CanaryBody {
    percent: Share,
    #[serde(default)]
    thresholds: Thresholds,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct StopBody {
    #[serde(default)]
    reason: String,
}

/// Characters of a reason that are kept.
const MAX_REASON: usize = 500;

pub(in crate::routes) async fn shadow(
    State(state): State<AdminState>,
    At((tenant, revision)): At<(String, String)>,
    request: Request,
) -> Answer {
    let body = request::optional_json(&state, request).await?;
    let body: ShadowBody = body.map(|body| from_json(&body)).transpose()?.unwrap_or_default();
    start(state, &tenant, &revision, Stage::Shadow, body.thresholds).await
}

pub(in crate::routes) async fn canary(
    State(state): State<AdminState>,
    At((tenant, revision)): At<(String, String)>,
    request: Request,
) -> Answer {
    let body = request::json_body(&state, request).await?;
    let CanaryBody { percent, thresholds } = from_json(&body)?;
    start(state, &tenant, &revision, Stage::Canary { percent }, thresholds).await
}

async fn start(
    state: AdminState,
    tenant: &str,
    revision: &str,
    stage: Stage,
    thresholds: Thresholds,
) -> Answer {
    let (tenant, which) = (request::tenant(tenant)?, request::selector(revision)?);
    check(&thresholds)?;
    let changing = state.clone();
    let started = state.change(async move {
        let owner = tenant.clone();
        let digest = changing.blocking(move |state| usable(state, &owner, &which)).await?;
        let (owner, by) = (tenant.clone(), act::who());
        let work =
            move |catalog: &Catalog| catalog.start_rollout(&owner, &digest, stage, thresholds, &by);
        let put = changing.catalog(work).await?;
        publish_or_end(&changing, &tenant, put).await
    });
    answer::ok(&view(&started.await?))
}

pub(super) fn check(thresholds: &Thresholds) -> Result<(), Problem> {
    match thresholds.problem() {
        None => Ok(()),
        Some((member, must_be)) => {
            let at = format!("/thresholds/{member}");
            Err(request::bad(format!("{member} is {must_be}")).at(at))
        }
    }
}

/// A candidate that cannot be put before traffic is not rolled out.
async fn publish_or_end(
    state: &AdminState,
    tenant: &TenantId,
    put: Put<RolloutRecord>,
) -> Result<RolloutRecord, Problem> {
    let Err(problem) = state.publish(Some(tenant)).await else { return Ok(put.into_inner()) };
    if let Put::Created(rollout) = put {
        let (owner, reason) = (tenant.clone(), problem.to_string());
        let end = move |catalog: &Catalog| {
            let how = RolloutEnd::Stopped;
            catalog.end_rollout(&owner, Some(rollout.id), how, ITSELF, &reason)
        };
        state.catalog(end).await?;
        // What failed is told by the problem that follows.
        drop(state.publish(None).await);
        tracing::warn!(tenant = tenant.as_str(), %problem, "rollout withdrawn");
    }
    Err(problem)
}

/// Takes a canary back, where it still runs.
pub(crate) async fn take_back(
    state: &AdminState,
    tenant: TenantId,
    id: u64,
    reason: String,
) -> Result<RolloutRecord, Problem> {
    let changing = state.clone();
    let ended = state.change(async move {
        let end = move |catalog: &Catalog| {
            let how = RolloutEnd::RolledBack;
            catalog.end_rollout(&tenant, Some(id), how, ITSELF, &reason)
        };
        let ended = changing.catalog(end).await?;
        changing.publish(None).await?;
        Ok(ended)
    });
    ended.await
}

pub(in crate::routes) async fn stop(
    State(state): State<AdminState>,
    At(tenant): At<String>,
    request: Request,
) -> Answer {
    let tenant = request::tenant(&tenant)?;
    let body = request::optional_json(&state, request).await?;
    let body: StopBody = body.map(|body| from_json(&body)).transpose()?.unwrap_or_default();
    let reason: String = body.reason.chars().take(MAX_REASON).collect();
    let (changing, by) = (state.clone(), act::who());
    let ended = state.change(async move {
        let end = move |catalog: &Catalog| {
            catalog.end_rollout(&tenant, None, RolloutEnd::Stopped, &by, &reason)
        };
        let ended = changing.catalog(end).await?;
        changing.publish(None).await?;
        Ok(ended)
    });
    answer::ok(&view(&ended.await?))
}

/// The rollout that runs, with what is known of its candidate on this node.
pub(in crate::routes) async fn running(
    State(state): State<AdminState>,
    At(tenant): At<String>,
) -> Answer {
    let tenant = request::tenant(&tenant)?;
    let owner = tenant.clone();
    let find = move |catalog: &Catalog| {
        catalog.tenant(&owner)?;
        catalog.rollout(&owner)
    };
    let Some(rollout) = state.catalog(find).await? else {
        let detail =
            "no candidate is rolled out; start with /revisions/{revision}/shadow or /canary";
        return Err(Problem::new(ProblemType::NotFound, detail).into());
    };
    let mut body = view(&rollout);
    if let (Some(members), Some(observed)) =
        (body.as_object_mut(), state.data_plane.observe_rollout(&tenant, rollout.id))
    {
        members.extend(observed);
    }
    answer::ok(&body)
}

pub(in crate::routes) async fn list(
    State(state): State<AdminState>,
    At(tenant): At<String>,
    Asked(query): Asked<PageQuery>,
) -> Answer {
    let (tenant, page) = (request::tenant(&tenant)?, query.page()?);
    let history = state.catalog(move |catalog| catalog.rollouts(&tenant, page)).await?;
    let history: Vec<Value> = history.iter().map(view).collect();
    answer::ok(&json!({ "rollouts": history }))
}

pub(in crate::routes) fn view(rollout: &RolloutRecord) -> Value {
    let mut body = json!({
        "id": rollout.id,
        "number": rollout.number,
        "digest": rollout.digest,
        "stage": rollout.stage.as_str(),
        "thresholds": rollout.thresholds,
        "at": rollout.at.to_rfc3339(),
        "by": rollout.by,
        "ended": rollout.ended.as_ref().map(|ended| json!({
            "how": ended.how.as_str(),
            "by": ended.by,
            "reason": ended.reason,
            "at": ended.at.to_rfc3339(),
        })),
    });
    if let (Stage::Canary { percent }, Some(members)) = (rollout.stage, body.as_object_mut()) {
        members.insert("percent".to_owned(), json!(percent));
    }
    body
}
