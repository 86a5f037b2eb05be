//! `/v1/tenants/{tenant}/jobs`: how far the admission of uploaded plugins has come.

use axum::extract::State;
use serde_json::{Value, json};
use tidegate_catalog::{Job, JobState};
use tidegate_types::{Problem, ProblemType};

use crate::answer::{self, Answer};
use crate::request::{self, Asked, At, PageQuery};
use crate::state::AdminState;

pub(crate) async fn list(
    State(state): State<AdminState>,
    At(tenant): At<String>,
    Asked(query): Asked<PageQuery>,
) -> Answer {
    let (tenant, page) = (request::tenant(&tenant)?, query.page()?);
    let jobs = state.catalog(move |catalog| catalog.jobs(&tenant, page)).await?;
    let jobs: Vec<Value> = jobs.iter().map(|job| view(&state, job)).collect();
    answer::ok(&json!({ "jobs": jobs }))
}

pub(crate) async fn one(
    State(state): State<AdminState>,
    At((tenant, job)): At<(String, String)>,
) -> Answer {
    let tenant = request::tenant(&tenant)?;
    let number = job.parse().map_err(|_| {
        let job: String = job.chars().take(80).collect();
        Problem::new(ProblemType::NotFound, format!("there is no job `{job}`"))
    })?;
    let job = state.catalog(move |catalog| catalog.job(&tenant, number)).await?;
    answer::ok(&view(&state, &job))
}

/// A job with all its steps: those that are done, the one that runs, and those that wait.
pub(super) fn view(state: &AdminState, job: &Job) -> Value {
    let mut steps = job.steps.clone();
    let done = steps.len();
    let names = state.data_plane.admission_steps().iter().enumerate().skip(done);
    // A job that the gateway could not decide has no further steps.
    let names = names.filter(|_| job.state != JobState::Error);
    steps.extend(names.map(|(at, name)| {
        let running = job.state == JobState::Running && at == done;
        json!({ "step": name, "state": if running { "running" } else { "pending" } })
    }));
    let mut view = json!({
        "job": job.number.to_string(),
        "plugin": job.name,
        "version": job.version.to_string(),
        "digest": job.digest,
        "state": job.state.as_str(),
        "steps": steps,
        "created_at": job.created_at.to_rfc3339(),
        "started_at": job.started_at.map(|at| at.to_rfc3339()),
        "ended_at": job.ended_at.map(|at| at.to_rfc3339()),
    });
    if let (Some(members), Some(trouble)) = (view.as_object_mut(), &job.trouble) {
        members.insert("trouble".to_owned(), trouble.as_str().into());
    }
    view
}

pub(super) fn path(tenant: &str, job: &Job) -> String {
    format!("/v1/tenants/{tenant}/jobs/{}", job.number)
}
