//! Runs admission jobs in the background, one at a time. A job is claimed in the catalog, its steps
//! are noted there as they are done, and its end admits or fails the version in one transaction. A
//! process that dies leaves a claimed job, which its next start begins again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_catalog::{Catalog, Ending, Job, JobState};
use tidegate_types::Problem;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::data_plane::{Certified, Verdict};
use crate::state::AdminState;
use crate::token::act::{self, Act};

/// How long a claim holds without a step being done; longer than any step takes.
const LEASE: Duration = Duration::from_secs(15 * 60);
/// How often jobs are looked for that another node has stored or left behind.
const POLL: Duration = Duration::from_secs(5);
/// Steps that wait to be noted.
const WAITING_STEPS: usize = 16;

/// Runs jobs for ever; dropping it leaves the one that runs to be begun again.
pub(crate) async fn run(state: AdminState) {
    loop {
        give_up(&state).await;
        let node = state.node.clone();
        match state.catalog(move |catalog| catalog.claim_job(&node, LEASE)).await {
            Ok(Some(job)) => carry_out(&state, job).await,
            // A failure of the catalog has been logged; it is tried again.
            Ok(None) | Err(_) => {
                drop(tokio::time::timeout(POLL, state.jobs.notified()).await);
            }
        }
    }
}

/// Ends the jobs that stopped the gateway each time that they were begun.
async fn give_up(state: &AdminState) {
    // A failure of the catalog has been logged; it is tried again.
    let hopeless = state.catalog(Catalog::hopeless_jobs).await.unwrap_or_default();
    for job in hopeless {
        let number = job.number;
        tracing::warn!(job = number, tenant = job.tenant.as_str(), "admission given up");
        let ending = move |catalog: &Catalog| catalog.give_up_job(number);
        let act = settled(&job, JobState::Error, "the gateway stopped each time that it was begun");
        drop(act::within(act, state.catalog(ending)).await);
    }
}

/// The end of a job, for the audit log.
fn settled(job: &Job, state: JobState, why: &str) -> Arc<Act> {
    let colon = if why.is_empty() { "" } else { ": " };
    let (name, version, digest) = (&job.name, job.version, job.digest);
    let reason =
        format!("version {version} of plugin {name} ({digest}): {}{colon}{why}", state.as_str());
    Act::by_itself("admission", &job.tenant, &format!("jobs/{}", job.number), &reason)
}

/// The step that a component failed in, and its first problem.
fn failure(steps: &[Value]) -> String {
    let failed = steps.iter().find(|step| step["state"] == "failed");
    let text = |at: &str| {
        let found = failed.and_then(|step| step.pointer(at)).and_then(Value::as_str);
        found.unwrap_or_default().to_owned()
    };
    match failed {
        Some(_) => format!("in the step {}: {}", text("/step"), text("/problems/0/detail")),
        None => String::new(),
    }
}

async fn carry_out(state: &AdminState, job: Job) {
    let (started, number) = (Instant::now(), job.number);
    tracing::info!(
        job = number,
        tenant = job.tenant.as_str(),
        plugin = job.name,
        "admission begins"
    );
    // A task of its own: a panic in there is a failure of the gateway like any other.
    let mut task = JoinSet::new();
    let (inner, subject) = (state.clone(), job.clone());
    task.spawn(async move { prove(&inner, &subject).await });
    let certified = match task.join_next().await {
        Some(Ok(Ok(certified))) => certified,
        Some(Ok(Err(problem))) => undecided(problem.detail),
        Some(Err(_)) | None => undecided("the gateway failed; its log has the cause".to_owned()),
    };
    let Certified { verdict, steps, inspection } = certified;
    let (ended, trouble) = match verdict {
        Verdict::Admitted => (JobState::Admitted, None),
        Verdict::Failed => (JobState::Failed, None),
        Verdict::Undecided(why) => (JobState::Error, Some(why)),
    };
    if let Some(why) = &trouble {
        tracing::warn!(job = number, reason = why, "a component could not be put to the proof");
    }
    let inspection = inspection.map(|inspection| json!(inspection));
    let took = started.elapsed();
    let act = settled(&job, ended, &trouble.clone().unwrap_or_else(|| failure(&steps)));
    let ending = Ending { state: ended, steps, trouble, inspection, took };
    let node = state.node.clone();
    let end = state.catalog(move |catalog| catalog.end_job(&job, &node, &ending));
    let noted = act::within(act, end).await;
    tracing::info!(job = number, state = ended.as_str(), noted = ?noted.ok(), "admission ended");
}

fn undecided(why: String) -> Certified {
    Certified { verdict: Verdict::Undecided(why), steps: Vec::new(), inspection: None }
}

/// Has the data plane certify the component of a job, and notes the steps on the way.
async fn prove(state: &AdminState, job: &Job) -> Result<Certified, Problem> {
    let (digest, tenant) = (job.digest, job.tenant.clone());
    let read =
        move |catalog: &Catalog| Ok((catalog.content(&digest)?, catalog.case_policy(&tenant)?));
    let (component, cases) = state.catalog(read).await?;
    let (done, mut steps) = mpsc::channel(WAITING_STEPS);
    let certifying = state.data_plane.certify(&job.tenant, component.into(), cases, done);
    let noting = async {
        let mut all: Vec<Value> = Vec::new();
        while let Some(step) = steps.recv().await {
            all.push(step);
            let (node, number, so_far) = (state.node.clone(), job.number, all.clone());
            let note =
                state.catalog(move |catalog| catalog.note_steps(number, &node, &so_far, LEASE));
            // What cannot be noted now is noted with the end.
            drop(note.await);
        }
    };
    let (certified, ()) = tokio::join!(certifying, noting);
    Ok(certified)
}
