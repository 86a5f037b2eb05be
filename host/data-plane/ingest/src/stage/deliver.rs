//! Makes events durable: one append for the whole request, answered after the log's fdatasync.

use tidegate_dedup::{Claims, Settled};
use tidegate_plugin_host::Judgement;
use tidegate_types::{Digest, Problem, ProblemType, TenantId, UnixMillis};
use tidegate_wal::{AppendError, KeyMark, Record, RecordBatch, Stored, Wal};
use tokio::sync::OwnedSemaphorePermit;

use super::decode::Form;
use super::evaluate::Evaluated;
use crate::event::{Event, Outcome, State, host_finding};

/// Events whose outcome is certain, or known to be unknown.
pub struct Delivered {
    pub(super) place: OwnedSemaphorePermit,
    pub(super) form: Form,
    pub(super) events: Vec<Event>,
    /// Why the append failed, where it did.
    pub(super) failure: Option<Problem>,
}

/// How long a sender should wait before it tries again what the log refused.
const RETRY_AFTER_MS: u64 = 1000;

/// Appends the events to the log and settles their keys by its answer.
pub async fn deliver(evaluated: Evaluated, wal: &Wal) -> Delivered {
    let Evaluated { tenant, revision, place, form, mut events, claims, verdicts } = evaluated;
    if verdicts.is_empty() {
        drop(claims);
        return Delivered { place, form, events, failure: None };
    }
    let mut batch = RecordBatch::default();
    let mut stored = Vec::with_capacity(verdicts.len());
    for (at, settled, judgement) in &verdicts {
        let findings = findings_json(judgement);
        let Some(event) = events.get(*at) else { continue };
        match push(&mut batch, event, &tenant, revision.digest, *settled, judgement, &findings) {
            Ok(()) => stored.push((*at, *settled, findings)),
            Err(error) => {
                let problem = Problem::new(ProblemType::TooLarge, error.to_string());
                return refused(place, form, events, claims, problem);
            }
        }
    }
    let latest = claims.lease_deadline();
    let Ok(mut keys) = claims.hand_over(UnixMillis::now()) else {
        let problem =
            unavailable("the request took longer than its claims last; nothing was stored");
        return Delivered { failure: Some(problem), ..retry_all(place, form, events) };
    };
    match wal.append(batch, latest).await {
        Ok(_) => {
            for (at, settled, findings) in stored {
                if let Some(event) = events.get_mut(at) {
                    keys.commit_row(u32::try_from(at).unwrap_or(u32::MAX), event.event_id, settled);
                    event.state = State::Settled(Outcome::Stored { settled, findings });
                }
            }
            Delivered { place, form, events, failure: None }
        }
        Err(error) => {
            if error == AppendError::TooLarge {
                reject_all(&mut events);
            }
            // After `Failed` the records may be on the disk: their keys stay in flight until the
            // restart that is about to come has looked.
            if error != AppendError::Failed {
                keys.release_all();
            }
            Delivered { failure: Some(problem(error)), ..retry_all(place, form, events) }
        }
    }
}

fn push(
    batch: &mut RecordBatch,
    event: &Event,
    tenant: &TenantId,
    revision: Digest,
    settled: Settled,
    judgement: &Judgement,
    findings: &[u8],
) -> Result<(), tidegate_wal::RecordTooLarge> {
    let Some((open, identity)) =
        event.open().and_then(|open| Some((open, open.identity.as_ref()?)))
    else {
        return Ok(());
    };
    let context = context_json(judgement);
    batch.push(&Record {
        event_id: event.event_id,
        status: match settled {
            Settled::Accepted => Stored::Accepted,
            Settled::Quarantined => Stored::Quarantined,
        },
        tenant: tenant.as_str(),
        event_type: identity.route.event_type.as_str(),
        revision,
        key: identity
            .key
            .as_ref()
            .map(|keyed| KeyMark { key: keyed.key.0, fingerprint: keyed.fingerprint.0 }),
        event_time: identity.event_time,
        original: open.node().lexeme().as_bytes(),
        patches: &judgement.patches,
        findings,
        context: &context,
    })
}

/// A JSON array, empty bytes for none.
fn findings_json(judgement: &Judgement) -> Vec<u8> {
    if judgement.findings.is_empty() {
        return Vec::new();
    }
    serde_json::to_vec(&judgement.findings).expect("findings are plain texts")
}

/// What the verdict depends on besides the event, its id and the revision; empty bytes for nothing.
fn context_json(judgement: &Judgement) -> Vec<u8> {
    if judgement.occurrences.is_empty() {
        return Vec::new();
    }
    let numbers: serde_json::Map<_, _> = judgement
        .occurrences
        .iter()
        .map(|(column, number)| (column.to_string(), (*number).into()))
        .collect();
    serde_json::Value::Object(numbers).to_string().into_bytes()
}

fn refused(
    place: OwnedSemaphorePermit,
    form: Form,
    mut events: Vec<Event>,
    claims: Claims,
    problem: Problem,
) -> Delivered {
    drop(claims);
    reject_all(&mut events);
    Delivered { place, form, events, failure: Some(problem) }
}

/// Sending them again as they are would end the same way.
fn reject_all(events: &mut [Event]) {
    for event in events.iter_mut().filter(|event| event.open().is_some()) {
        let detail = "the request is larger than the log takes at once; send it in parts";
        event.reject(vec![host_finding("request-too-large", "", detail)]);
    }
}

/// Nothing that was still on its way is stored.
fn retry_all(place: OwnedSemaphorePermit, form: Form, mut events: Vec<Event>) -> Delivered {
    for event in &mut events {
        if event.open().is_some() {
            event.state = State::Settled(Outcome::Retry { after_ms: RETRY_AFTER_MS });
        }
    }
    Delivered { place, form, events, failure: None }
}

fn unavailable(detail: &str) -> Problem {
    Problem::new(ProblemType::Unavailable, detail).retry_after(RETRY_AFTER_MS)
}

fn problem(error: AppendError) -> Problem {
    match error {
        AppendError::StorageFull => Problem::new(
            ProblemType::StorageFull,
            "the disk is full; nothing was stored, try again later",
        )
        .retry_after(5000),
        AppendError::Overloaded => {
            Problem::new(ProblemType::Overloaded, "too much waits for the log; nothing was stored")
                .retry_after(RETRY_AFTER_MS)
        }
        AppendError::TooLarge => {
            Problem::new(ProblemType::TooLarge, "the request is larger than the log takes at once")
        }
        AppendError::Expired => {
            unavailable("the request took longer than its claims last; nothing was stored")
        }
        AppendError::Closed => unavailable("the gateway is stopping; nothing was stored"),
        AppendError::Failed => unavailable(
            "the disk failed; whether the events are stored is known after the restart: send them again with the same keys",
        ),
    }
}
