//! `/v1/tenants/{tenant}/quarantine/jobs`: one decision over many events, page by page, beside the
//! live ones and slower than they.
//!
//! A job is a row in the catalog; each page's end and counts are noted when all that the page has
//! settled is durable. After a crash the node counts what it had settled behind the last note, which
//! it knows by the name under which the job settles, and goes on. What is settled already is not
//! open any more, so nothing is settled twice.

mod run;

use std::sync::Arc;

use axum::extract::{Request, State};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tidegate_catalog::{BulkEnd, BulkJob, Catalog, NewBulkJob, Put};
use tidegate_types::{Problem, ProblemType, UnixMillis};

use super::{DiscardBody, Filter, ReleaseBody, checked, discard_of, known, release_of};
use crate::answer::{self, Answer};
use crate::data_plane::workbench::{HeldDecision, HeldFilter, HeldPatch};
use crate::request::{self, Asked, At, PageQuery, from_json};
use crate::state::AdminState;
use crate::token::act::{self, who};

pub(crate) use run::resume;

/// Jobs that run on a node at a time.
pub(crate) const MAX_RUNNING: usize = 16;
/// Events per second.
const DEFAULT_RATE: u32 = 1000;
const MAX_RATE: u32 = 100_000;

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Release,
    Discard,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JobBody {
    action: Action,
    #[serde(default)]
    filter: Filter,
    reason: String,
    #[serde(default)]
    patch: Vec<HeldPatch>,
    #[serde(default)]
    force: bool,
    rate: Option<u32>,
}

/// What a job does, as the catalog keeps it.
#[derive(Debug, Serialize, Deserialize)]
struct Work {
    decision: HeldDecision,
    filter: HeldFilter,
    /// Events per second.
    rate: u32,
}

impl Work {
    fn of(body: JobBody) -> Result<Self, Problem> {
        let JobBody { action, filter, reason, patch, force, rate } = body;
        let filter = checked(filter, "/filter")?;
        let decision = match action {
            Action::Release => release_of(ReleaseBody { reason, patch, force })?,
            Action::Discard if force || !patch.is_empty() => {
                return Err(request::bad("an event is patched, or forced, to be released"));
            }
            Action::Discard => discard_of(DiscardBody { reason })?,
        };
        let rate = rate.unwrap_or(DEFAULT_RATE);
        if rate == 0 || rate > MAX_RATE {
            let detail = format!("rate is 1 to {MAX_RATE} events per second");
            return Err(request::bad(detail).at("/rate"));
        }
        Ok(Self { decision, filter, rate })
    }
}

pub(in crate::routes) async fn create(
    State(state): State<AdminState>,
    At(tenant): At<String>,
    request: Request,
) -> Answer {
    let body = request::json_body(&state, request).await?;
    let work = Work::of(from_json(&body)?)?;
    let tenant = known(&state, &tenant).await?;
    let place = Arc::clone(&state.job_places).try_acquire_owned().map_err(|_| {
        let detail = format!("{MAX_RUNNING} jobs run on this node; wait for one, or cancel it");
        Problem::new(ProblemType::Overloaded, detail).retry_after(1000)
    })?;
    let workbench = state.data_plane.workbench();
    let (node, end) = (workbench.node().to_owned(), workbench.durable_end());
    let request = serde_json::to_value(&work)
        .map_err(|error| answer::internal("a job cannot be written down", &error))?;
    let new = NewBulkJob { tenant: tenant.clone(), node, request, end, by: who() };
    // A task of its own: what the catalog has begun is run, also where the client has gone.
    let beginning = state.clone();
    let begun = state.tasks.spawn(act::carried(async move {
        let begun =
            beginning.catalog(move |catalog: &Catalog| catalog.begin_bulk_job(&new)).await?;
        if let Put::Created(job) = &begun {
            run::spawn(&beginning, job.clone(), place);
        }
        Ok::<_, Problem>(begun)
    }));
    let begun = begun.await.map_err(|error| answer::internal("a job was not begun", &error))??;
    match begun {
        Put::Created(job) => answer::accepted(
            &format!("/v1/tenants/{tenant}/quarantine/jobs/{}", job.id),
            &view(&job),
        ),
        Put::Unchanged(job) => {
            let detail = format!(
                "job {} of this tenant runs on node {}; wait for its end, or cancel it",
                job.id, job.node
            );
            let about = Map::from_iter([("job".to_owned(), view(&job))]);
            Ok(answer::explained(&Problem::new(ProblemType::JobRunning, detail), about))
        }
    }
}

pub(in crate::routes) async fn list(
    State(state): State<AdminState>,
    At(tenant): At<String>,
    Asked(query): Asked<PageQuery>,
) -> Answer {
    let (tenant, page) = (request::tenant(&tenant)?, query.page()?);
    let jobs = state.catalog(move |catalog: &Catalog| catalog.bulk_jobs(&tenant, page)).await?;
    answer::ok(&json!({ "jobs": jobs.iter().map(view).collect::<Vec<_>>() }))
}

fn id(text: &str) -> Result<u64, Problem> {
    let none = || Problem::new(ProblemType::NotFound, "a job's id is a number, as listed");
    text.parse().map_err(|_| none())
}

pub(in crate::routes) async fn one(
    State(state): State<AdminState>,
    At((tenant, job)): At<(String, String)>,
) -> Answer {
    let (tenant, id) = (request::tenant(&tenant)?, id(&job)?);
    answer::ok(&view(&state.catalog(move |catalog: &Catalog| catalog.bulk_job(&tenant, id)).await?))
}

/// The page that is worked on is finished; whichever node runs it hears of it then.
pub(in crate::routes) async fn cancel(
    State(state): State<AdminState>,
    At((tenant, job)): At<(String, String)>,
) -> Answer {
    let (tenant, id, by) = (request::tenant(&tenant)?, id(&job)?, who());
    let cancel = move |catalog: &Catalog| {
        catalog.bulk_job(&tenant, id)?;
        catalog.end_bulk_job(id, BulkEnd::Cancelled, &by, None)
    };
    answer::ok(&view(&state.catalog(cancel).await?))
}

fn view(job: &BulkJob) -> Value {
    let ended = job.ended.as_ref();
    let mut body = json!({
        "id": job.id,
        "node": job.node,
        "by": job.by,
        "at": job.at.to_rfc3339(),
        "state": ended.map_or("running", |(how, _, _)| how.as_str()),
        "progress": { "position": job.position, "end": job.end },
        "released": job.counts.released,
        "discarded": job.counts.discarded,
        "held_again": job.counts.held_again,
        "failed": job.counts.failed,
        "ended": ended.map(|(_, by, at)| json!({ "by": by, "at": at.to_rfc3339() })),
    });
    let Some(members) = body.as_object_mut() else { return body };
    if !job.detail.is_empty() {
        members.insert("detail".to_owned(), job.detail.as_str().into());
    }
    if let Ok(work) = serde_json::from_value::<Work>(job.request.clone()) {
        members.insert("rate".to_owned(), work.rate.into());
        let mut filter = serde_json::to_value(&work.filter).unwrap_or_default();
        for (name, time) in ["since", "until"].into_iter().zip(work.filter.times()) {
            if let (Some(time), Some(filter)) = (time, filter.as_object_mut()) {
                filter.insert(name.to_owned(), UnixMillis::to_rfc3339(time).into());
            }
        }
        members.insert("filter".to_owned(), filter);
        if let Ok(Value::Object(decision)) = serde_json::to_value(&work.decision) {
            members.extend(decision);
        }
    }
    body
}
