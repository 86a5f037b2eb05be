//! What all requests share: the catalog, the data plane, the token, and the bounds on how much goes
//! on at once. Changes go through here, one after the other.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tidegate_catalog::{BuiltinComponent, Catalog, CatalogError, audit};
use tidegate_types::{Problem, ProblemType, TenantId, UnixMillis};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::answer;
use crate::data_plane::{ComponentRegistry, DataPlane};
use crate::routes::ITSELF;
use crate::routes::quarantine::jobs;
use crate::routes::revisions::quorum::Quorum;
use crate::routes::revisions::replays::Replays;
use crate::routes::revisions::{activations, rollouts};
use crate::token::AdminToken;
use crate::token::act::{self, Act};
use crate::token::refusals::Refusals;

/// How much the admin API takes at once. Sizes of content are the catalog's limits.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Open connections; more wait in the listener's backlog.
    pub connections: usize,
    /// Changes running and waiting; more are 503 `overloaded`.
    pub changes: usize,
    /// Uploads of tables and components held in memory; more are 503 `overloaded`.
    pub uploads: usize,
    /// Bytes of a JSON body, revision documents included.
    pub json_bytes: u64,
    /// A request's headers must have arrived after this long.
    pub header_timeout: Duration,
    /// A body must have arrived after this long.
    pub body_timeout: Duration,
    /// A node that shares the catalog and has not been seen for so long counts as lost.
    pub node_lost_after: Duration,
    /// How many nodes must have a revision ready before it becomes active.
    pub activation_quorum: Quorum,
    /// How long they may take.
    pub activation_timeout: Duration,
    /// How long a shutdown waits for open requests and changes.
    pub drain_timeout: Duration,
    /// What new API keys name after `tg_`: 1 to 16 of `0-9 a-z`.
    pub key_environment: Arc<str>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            changes: 32,
            uploads: 4,
            json_bytes: 1 << 20,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(60),
            node_lost_after: Duration::from_secs(30),
            activation_quorum: Quorum::Majority,
            activation_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(10),
            key_environment: "live".into(),
        }
    }
}

/// The shared state; clones are handles to the same.
#[derive(Clone)]
pub struct AdminState {
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) data_plane: Arc<dyn DataPlane>,
    pub(crate) token: Arc<AdminToken>,
    pub(crate) limits: Limits,
    pub(crate) started_at: UnixMillis,
    /// This gateway's name, under which it claims jobs.
    pub(crate) node: Arc<str>,
    /// Told when there is a job.
    pub(crate) jobs: Arc<Notify>,
    /// Held by the change that runs.
    turn: Arc<tokio::sync::Mutex<()>>,
    changes: Arc<Semaphore>,
    uploads: Arc<Semaphore>,
    /// Compiling takes all that a core has: one at a time.
    pub(crate) inspections: Arc<Semaphore>,
    /// Changes that outlive their clients; a shutdown waits for them.
    pub(crate) tasks: TaskTracker,
    published: Arc<Mutex<Published>>,
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) registry: Option<Arc<dyn ComponentRegistry>>,
    pub(crate) replays: Arc<Replays>,
    /// Held by the replay that runs.
    pub(crate) replay_turn: Arc<tokio::sync::Mutex<()>>,
    /// Held by jobs that run.
    pub(crate) job_places: Arc<Semaphore>,
    /// Cancelled when the node stops: jobs go on at the next start.
    pub(crate) stopping: CancellationToken,
}

/// What is taken back without being asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakeBack {
    /// The rollout with this id.
    Canary(u64),
    /// The activation with this number.
    Activation(u64),
}

/// How the publications since the start went.
#[derive(Clone, Debug, Default)]
pub(crate) struct Published {
    /// The last that succeeded.
    pub(crate) at: Option<UnixMillis>,
    /// Of the last, where it failed.
    pub(crate) problem: Option<Problem>,
}

impl AdminState {
    /// Puts the state together, registers the built-in components, and gives back the jobs that a
    /// process of this node's name left behind. Blocks on the disk.
    ///
    /// # Errors
    /// Where the built-in components cannot be registered.
    pub fn new(
        catalog: Arc<Catalog>,
        data_plane: Arc<dyn DataPlane>,
        token: AdminToken,
        builtins: &[BuiltinComponent],
        node: &str,
        limits: Limits,
    ) -> Result<Self, CatalogError> {
        catalog.register_builtins(builtins)?;
        // What this node had begun when it was stopped is to be begun again.
        let released = catalog.release_jobs(node)?;
        if released > 0 {
            tracing::info!(released, "admission jobs are begun again");
        }
        Ok(Self {
            catalog,
            data_plane,
            token: Arc::new(token),
            started_at: UnixMillis::now(),
            node: node.into(),
            jobs: Arc::new(Notify::new()),
            turn: Arc::new(tokio::sync::Mutex::new(())),
            changes: Arc::new(Semaphore::new(limits.changes)),
            uploads: Arc::new(Semaphore::new(limits.uploads)),
            inspections: Arc::new(Semaphore::new(1)),
            limits,
            tasks: TaskTracker::new(),
            published: Arc::new(Mutex::new(Published::default())),
            replays: Arc::default(),
            replay_turn: Arc::default(),
            refusals: Arc::new(Refusals::default()),
            registry: None,
            job_places: Arc::new(Semaphore::new(jobs::MAX_RUNNING)),
            stopping: CancellationToken::new(),
        })
    }

    /// The same with registries that components may be pulled from.
    #[must_use]
    pub fn with_registry(self, registry: Arc<dyn ComponentRegistry>) -> Self {
        Self { registry: Some(registry), ..self }
    }

    /// Runs a change when those before it are done. It is a task of its own: a client that goes
    /// away cannot stop it between the catalog and the data plane.
    pub(crate) async fn change<T, F>(&self, work: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Problem>> + Send + 'static,
    {
        let permit = Arc::clone(&self.changes).try_acquire_owned();
        let permit = permit.map_err(|_| overloaded("changes"))?;
        let state = self.clone();
        let task = self.tasks.spawn(act::carried(async move {
            let _turn = state.turn.lock().await;
            let done = work.await;
            drop(permit);
            done
        }));
        match task.await {
            Ok(done) => done,
            Err(error) => Err(answer::internal("a change did not end", &error)),
        }
    }

    /// Takes back what did worse than its thresholds allow, where it is still in force.
    ///
    /// # Errors
    /// Where the catalog or the data plane fails; nothing is changed then.
    pub async fn take_back(
        &self,
        tenant: TenantId,
        what: TakeBack,
        reason: String,
    ) -> Result<(), Problem> {
        let rest = match what {
            TakeBack::Canary(id) => format!("rollouts/{id}"),
            TakeBack::Activation(sequence) => format!("activations/{sequence}"),
        };
        let act = Act::by_itself("automatic-rollback", &tenant, &rest, &reason);
        act::within(act, async {
            match what {
                TakeBack::Canary(id) => {
                    rollouts::take_back(self, tenant, id, reason).await.map(drop)
                }
                TakeBack::Activation(sequence) => {
                    let (only, by) = (Some(sequence), ITSELF.to_owned());
                    activations::take_back_to(self, tenant, only, by, reason).await.map(drop)
                }
            }
        })
        .await
    }

    /// Goes on with the jobs of this node that ran when it went down. Revisions are in force by then.
    ///
    /// # Errors
    /// Where the catalog fails.
    pub async fn resume_jobs(&self) -> Result<(), Problem> {
        jobs::resume(self).await
    }

    /// A place for an upload in memory.
    pub(crate) fn upload_permit(&self) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(&self.uploads).try_acquire_owned().map_err(|_| overloaded("uploads"))
    }

    /// Calls the catalog on a blocking thread.
    pub(crate) async fn catalog<T, F>(&self, work: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: FnOnce(&Catalog) -> Result<T, CatalogError> + Send + 'static,
    {
        self.blocking(move |state| work(&state.catalog).map_err(answer::from_catalog)).await
    }

    /// Runs something on a blocking thread.
    pub(crate) async fn blocking<T, F>(&self, work: F) -> Result<T, Problem>
    where
        T: Send + 'static,
        F: FnOnce(&Self) -> Result<T, Problem> + Send + 'static,
    {
        let state = self.clone();
        let act = act::current().filter(|act| !act.is_reading());
        let call = move || match act {
            Some(act) => audit::acting(act.entry(), || work(&state)),
            None => work(&state),
        };
        match tokio::task::spawn_blocking(call).await {
            Ok(done) => done,
            Err(error) => Err(answer::internal("a blocking call did not end", &error)),
        }
    }

    /// Has the data plane take what the catalog holds now, for a change of everything or of what one
    /// tenant runs. A panic in there is a failure like any other, so that callers can undo what they
    /// have stored.
    pub(crate) async fn publish(&self, whose: Option<&TenantId>) -> Result<(), Problem> {
        let (data_plane, whose) = (Arc::clone(&self.data_plane), whose.cloned());
        let task = tokio::spawn(async move { data_plane.publish(whose.as_ref()).await });
        let done = match task.await {
            Ok(done) => done,
            Err(error) => Err(answer::internal("a publication did not end", &error)),
        };
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        match &done {
            Ok(()) => *published = Published { at: Some(UnixMillis::now()), problem: None },
            Err(problem) => published.problem = Some(problem.clone()),
        }
        done
    }

    pub(crate) fn published(&self) -> Published {
        self.published.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn overloaded(what: &str) -> Problem {
    let detail = format!("too many {what} at once; nothing was changed");
    Problem::new(ProblemType::Overloaded, detail).retry_after(1000)
}
