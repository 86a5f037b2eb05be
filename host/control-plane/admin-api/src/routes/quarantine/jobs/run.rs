//! Runs jobs: a task for each, which ends with its job or stops with the node.

use std::sync::Arc;
use std::time::Duration;

use tidegate_catalog::{BulkCounts, BulkEnd, BulkJob, Catalog};
use tidegate_types::{Problem, ProblemType};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::Work;
use crate::data_plane::workbench::{SettlePage, Settled};
use crate::routes::ITSELF;
use crate::state::AdminState;

/// Events of a page, at most; of a slow job, what it does in a second.
const PAGE_EVENTS: u32 = 200;
/// The pause where the disk or the catalog has no room right now.
const PAUSE: Duration = Duration::from_secs(1);
/// Characters of a name in what a job settles.
const MAX_NAME: usize = 48;

/// Starts what ran on this node when it went down.
pub(crate) async fn resume(state: &AdminState) -> Result<(), Problem> {
    let node = state.data_plane.workbench().node().to_owned();
    let running = state.catalog(move |catalog: &Catalog| catalog.running_bulk_jobs(&node)).await?;
    for job in running {
        tracing::info!(job = job.id, tenant = job.tenant.as_str(), "quarantine job goes on");
        let (work, state) = (state.clone(), state.clone());
        state.tasks.spawn(async move {
            let Ok(place) = Arc::clone(&work.job_places).acquire_owned().await else { return };
            run(&work, job, place, true).await;
        });
    }
    Ok(())
}

pub(super) fn spawn(state: &AdminState, job: BulkJob, place: OwnedSemaphorePermit) {
    let work = state.clone();
    state.tasks.spawn(async move { run(&work, job, place, false).await });
}

async fn run(state: &AdminState, job: BulkJob, place: OwnedSemaphorePermit, is_resumed: bool) {
    let id = job.id;
    let ended = match serde_json::from_value::<Work>(job.request.clone()) {
        Ok(work) => Runner { state, by: name(&job), job, work }.pages(is_resumed).await,
        Err(error) => Err(Stop::Failed(format!("the job cannot be read: {error}"))),
    };
    drop(place);
    let (how, detail) = match ended {
        Ok(()) => (BulkEnd::Done, None),
        Err(Stop::Failed(why)) => (BulkEnd::Failed, Some(why)),
        Err(Stop::Ended) => return,
    };
    tracing::info!(job = id, how = how.as_str(), detail, "quarantine job ended");
    let end = move |catalog: &Catalog| catalog.end_bulk_job(id, how, ITSELF, detail.as_deref());
    patiently(state, end).await;
}

/// Under which name a job settles: nothing else has it.
fn name(job: &BulkJob) -> String {
    let by: String = job.by.chars().take(MAX_NAME).collect();
    format!("{by}, job {}", job.id)
}

/// Why a job does not go on.
enum Stop {
    /// The node stops, or somebody has cancelled it.
    Ended,
    Failed(String),
}

struct Runner<'a> {
    state: &'a AdminState,
    job: BulkJob,
    by: String,
    work: Work,
}

impl Runner<'_> {
    async fn pages(self, is_resumed: bool) -> Result<(), Stop> {
        let mut more = BulkCounts::default();
        if is_resumed {
            more = self.settled_before().await?;
        }
        let (mut position, mut rest) = (self.job.position, None);
        loop {
            let begun = Instant::now();
            let workbench = self.state.data_plane.workbench();
            let page = match workbench.settle_page(self.page(position), rest.take()).await {
                Ok(page) => page,
                Err(problem) if is_passing(&problem) => {
                    self.note(position, &BulkCounts::default(), Some(problem.detail)).await?;
                    self.pause(PAUSE).await?;
                    continue;
                }
                Err(problem) => return Err(Stop::Failed(problem.to_string())),
            };
            add(&mut more, &page);
            (position, rest) = (page.next, page.rest);
            let is_last = page.is_last;
            let events = page.released + page.discarded + page.held_again + page.failed;
            self.note(position, &std::mem::take(&mut more), page.failure).await?;
            if is_last {
                return Ok(());
            }
            let due = Duration::from_secs_f64(events as f64 / f64::from(self.work.rate));
            self.pause(due.saturating_sub(begun.elapsed())).await?;
        }
    }

    /// What was settled behind the last note, before a crash.
    async fn settled_before(&self) -> Result<BulkCounts, Stop> {
        let mut counts = BulkCounts::default();
        let page = self.page(self.job.position);
        let before = self.state.data_plane.workbench().settled_by(page).await;
        add(&mut counts, &before.map_err(|problem| Stop::Failed(problem.to_string()))?);
        Ok(counts)
    }

    fn page(&self, position: u64) -> SettlePage<'_> {
        SettlePage {
            tenant: &self.job.tenant,
            filter: &self.work.filter,
            decision: &self.work.decision,
            by: &self.by,
            range: [position, self.job.end],
            events: self.work.rate.min(PAGE_EVENTS) as usize,
        }
    }

    /// Notes a page, and hears whether the job is to go on.
    async fn note(
        &self,
        position: u64,
        more: &BulkCounts,
        detail: Option<String>,
    ) -> Result<(), Stop> {
        let (id, more) = (self.job.id, *more);
        let note =
            move |catalog: &Catalog| catalog.note_bulk_job(id, position, &more, detail.as_deref());
        match patiently(self.state, note).await {
            Some(job) if job.ended.is_none() => Ok(()),
            Some(_) | None => Err(Stop::Ended),
        }
    }

    /// Waits; the node may stop meanwhile.
    async fn pause(&self, time: Duration) -> Result<(), Stop> {
        tokio::select! {
            biased;
            () = self.state.stopping.cancelled() => Err(Stop::Ended),
            () = tokio::time::sleep(time) => Ok(()),
        }
    }
}

fn add(counts: &mut BulkCounts, page: &Settled) {
    counts.released += page.released;
    counts.discarded += page.discarded;
    counts.held_again += page.held_again;
    counts.failed += page.failed;
}

/// The same may work a little later.
fn is_passing(problem: &Problem) -> bool {
    matches!(
        problem.kind,
        ProblemType::Overloaded | ProblemType::StorageFull | ProblemType::Unavailable
    )
}

/// Calls the catalog until it is there. `None` where the node stops meanwhile, or the catalog cannot
/// do it at all; what was not noted is found again at the next start.
async fn patiently<F>(state: &AdminState, work: F) -> Option<BulkJob>
where
    F: Fn(&Catalog) -> Result<BulkJob, tidegate_catalog::CatalogError> + Clone + Send + 'static,
{
    loop {
        match state.catalog(work.clone()).await {
            Ok(job) => return Some(job),
            Err(problem) if problem.kind == ProblemType::NotFound => return None,
            Err(problem) => tracing::warn!(%problem, "a quarantine job cannot be noted"),
        }
        tokio::select! {
            () = state.stopping.cancelled() => return None,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}
