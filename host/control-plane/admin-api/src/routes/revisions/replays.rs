//! `/v1/tenants/{tenant}/replays`: a revision judges stored events again, and the difference is
//! kept. A replay reads and changes nothing, so it lives in this process alone: after a restart it
//! is gone, and may be asked for again. Its id is never another one's, in no later process either:
//! whoever looks after a restart is told that it is gone.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::{Request, State};
use serde::Deserialize;
use serde_json::{Value, json};
use tidegate_catalog::{Catalog, StoredRevision};
use tidegate_types::{EventId, EventType, Problem, ProblemType, TenantId, UnixMillis};

use super::activations::is_usable;
use crate::answer::{self, Answer};
use crate::data_plane::ReplayRequest;
use crate::request::{self, At, from_json};
use crate::state::AdminState;

/// Replays that are kept, running ones included; the oldest that has ended makes room.
const MAX_REPLAYS: usize = 32;
/// Events of one replay where the request names no limit, and at most.
const MAX_EVENTS: u64 = 10_000_000;

/// How far a replay is.
#[derive(Debug, Default)]
pub struct ReplayProgress {
    /// The position in the log that was reached, and the one where it ends.
    pub position: AtomicU64,
    pub end: AtomicU64,
    pub events: AtomicU64,
    cancelled: AtomicBool,
}

impl ReplayProgress {
    /// Nobody wants it any more.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

/// The replays of this process.
#[derive(Debug, Default)]
pub(crate) struct Replays(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// The id given last; 0 where none was.
    last: u64,
    all: VecDeque<Arc<Replay>>,
}

#[derive(Debug)]
struct Replay {
    id: u64,
    tenant: TenantId,
    number: u64,
    begun: UnixMillis,
    progress: ReplayProgress,
    result: Mutex<Option<Result<Value, Problem>>>,
}

impl Replays {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, tenant: &TenantId, number: u64) -> Result<Arc<Replay>, Problem> {
        let mut kept = self.lock();
        if kept.all.len() >= MAX_REPLAYS {
            let ended = kept.all.iter().position(|replay| replay.result().is_some());
            let Some(ended) = ended else {
                let detail =
                    format!("{MAX_REPLAYS} replays run or wait; wait for one, or cancel it");
                return Err(Problem::new(ProblemType::Overloaded, detail).retry_after(10_000));
            };
            kept.all.remove(ended);
        }
        // Counted from the moment of the first, which no process before has reached.
        kept.last = if kept.last == 0 { UnixMillis::now().0 } else { kept.last + 1 };
        let replay = Arc::new(Replay {
            id: kept.last,
            tenant: tenant.clone(),
            number,
            begun: UnixMillis::now(),
            progress: ReplayProgress::default(),
            result: Mutex::new(None),
        });
        kept.all.push_back(Arc::clone(&replay));
        Ok(replay)
    }

    fn find(&self, tenant: &TenantId, id: &str) -> Result<Arc<Replay>, Problem> {
        let id: Option<u64> = id.parse().ok();
        let kept = self.lock();
        let found = kept.all.iter().find(|one| Some(one.id) == id && one.tenant == *tenant);
        found.cloned().ok_or_else(|| {
            let detail = "there is no such replay here: one ends with the process of its gateway, \
                          and makes room for newer ones; begin it again";
            Problem::new(ProblemType::NotFound, detail)
        })
    }
}

impl Replay {
    fn result(&self) -> MutexGuard<'_, Option<Result<Value, Problem>>> {
        self.result.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn view(&self) -> Value {
        let read = |number: &AtomicU64| number.load(Ordering::Relaxed);
        let (position, end) = (read(&self.progress.position), read(&self.progress.end));
        let mut body = json!({
            "id": self.id,
            "revision": self.number,
            "begun": self.begun.to_rfc3339(),
            "state": "running",
            "progress": { "position": position, "end": end, "events": read(&self.progress.events) },
        });
        let Some(members) = body.as_object_mut() else { return body };
        match &*self.result() {
            None => {}
            Some(Ok(Value::Object(result))) => {
                let state = if self.progress.is_cancelled() { "cancelled" } else { "done" };
                members.insert("state".to_owned(), state.into());
                members.extend(result.clone());
            }
            Some(Ok(other)) => {
                members.insert("result".to_owned(), other.clone());
            }
            Some(Err(problem)) => {
                members.insert("state".to_owned(), "failed".into());
                members.insert("problem".to_owned(), problem.to_json());
            }
        }
        body
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplayBody {
    /// RFC 3339, or how long ago: `90s`, `15m`, `1h`, `7d`.
    since: Option<String>,
    until: Option<String>,
    #[serde(default)]
    event_types: Vec<EventType>,
    limit: Option<u64>,
}

pub(in crate::routes) async fn create(
    State(state): State<AdminState>,
    At((tenant, revision)): At<(String, String)>,
    request: Request,
) -> Answer {
    let (tenant, which) = (request::tenant(&tenant)?, request::selector(&revision)?);
    let body = request::optional_json(&state, request).await?;
    let body: ReplayBody = body.map(|body| from_json(&body)).transpose()?.unwrap_or_default();
    let owner = tenant.clone();
    let candidate =
        state.catalog(move |catalog: &Catalog| catalog.revision(&owner, &which)).await?;
    is_usable(&candidate)?;
    let number = candidate.number;
    let wanted = wanted(body, candidate)?;
    let replay = state.replays.add(&tenant, number)?;
    let (running, work) = (Arc::clone(&replay), state.clone());
    state.tasks.spawn(async move {
        // One at a time: a replay takes what the live events leave.
        let _turn = work.replay_turn.lock().await;
        let done = if running.progress.is_cancelled() {
            Ok(json!({}))
        } else {
            tokio::select! {
                done = work.data_plane.replay(&running.tenant, &wanted, &running.progress) => done,
                () = work.stopping.cancelled() => Err(stopped()),
            }
        };
        *running.result() = Some(done);
    });
    answer::accepted(&format!("/v1/tenants/{tenant}/replays/{}", replay.id), &replay.view())
}

/// A node that stops waits for no replay.
fn stopped() -> Problem {
    Problem::new(ProblemType::Unavailable, "the gateway stops; begin the replay again")
}

fn wanted(body: ReplayBody, candidate: StoredRevision) -> Result<ReplayRequest, Problem> {
    let at = |text: Option<String>, member: &str| match text {
        None => Ok(None),
        Some(text) => moment(&text, UnixMillis::now()).map(Some).ok_or_else(|| {
            let detail = "a time is RFC 3339, or how long ago: 90s, 15m, 1h or 7d";
            request::bad(detail).at(format!("/{member}"))
        }),
    };
    let limit = body.limit.unwrap_or(MAX_EVENTS);
    if limit == 0 || limit > MAX_EVENTS {
        return Err(request::bad(format!("limit is 1 to {MAX_EVENTS}")).at("/limit"));
    }
    Ok(ReplayRequest {
        candidate,
        since: at(body.since, "since")?,
        until: at(body.until, "until")?,
        event_types: body.event_types.iter().map(ToString::to_string).collect(),
        limit,
    })
}

/// A moment: a time, or a duration before now.
pub(in crate::routes) fn moment(text: &str, now: UnixMillis) -> Option<UnixMillis> {
    if let Some(time) = UnixMillis::parse_rfc3339(text) {
        return Some(time);
    }
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = number.bytes().all(|b| b.is_ascii_digit()).then(|| number.parse().ok())??;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    Some(UnixMillis(now.0.saturating_sub(number.checked_mul(seconds)?.checked_mul(1000)?)))
}

pub(in crate::routes) async fn one(
    State(state): State<AdminState>,
    At((tenant, id)): At<(String, String)>,
) -> Answer {
    let tenant = request::tenant(&tenant)?;
    answer::ok(&state.replays.find(&tenant, &id)?.view())
}

pub(in crate::routes) async fn cancel(
    State(state): State<AdminState>,
    At((tenant, id)): At<(String, String)>,
) -> Answer {
    let tenant = request::tenant(&tenant)?;
    let replay = state.replays.find(&tenant, &id)?;
    replay.progress.cancelled.store(true, Ordering::Relaxed);
    answer::ok(&replay.view())
}

/// `GET /v1/tenants/{tenant}/events/{event_id}/explanation`
pub(in crate::routes) async fn explain(
    State(state): State<AdminState>,
    At((tenant, event_id)): At<(String, String)>,
) -> Answer {
    let tenant = request::tenant(&tenant)?;
    let event_id: EventId = event_id
        .parse()
        .map_err(|_| request::bad("an event id has the form of a UUID, as in its receipt"))?;
    let owner = tenant.clone();
    state.catalog(move |catalog: &Catalog| catalog.tenant(&owner)).await?;
    answer::ok(&state.data_plane.explain(&tenant, event_id).await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_times_or_durations() {
        let now = UnixMillis(1_000_000_000);
        for (text, expected) in [
            ("90s", Some(1_000_000_000 - 90_000)),
            ("1h", Some(1_000_000_000 - 3_600_000)),
            ("7d", Some(1_000_000_000 - 604_800_000)),
            ("99999d", Some(0)),
            ("1970-01-01T00:00:01Z", Some(1000)),
            ("h", None),
            ("", None),
            ("1w", None),
            ("-1h", None),
            ("1.5h", None),
            ("999999999999999999h", None),
            ("yesterday", None),
        ] {
            assert_eq!(moment(text, now), expected.map(UnixMillis), "{text}");
        }
    }
}
