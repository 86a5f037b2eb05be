//! Makes events durable: one append for the whole request, answered after the log's fdatasync.

use tidegate_dedup::{HeldKeys, Settled};
use tidegate_plugin_host::Judgement;
use tidegate_types::{Digest, EventId, Problem, ProblemType, TenantId, UnixMillis};
use tidegate_wal::{AppendError, KeyMark, Record, RecordBatch, Stored, Wal};
use tokio::sync::OwnedSemaphorePermit;

use super::decode::Form;
use super::evaluate::Evaluated;
use crate::event::context::Context;
use crate::event::{Event, Identity, Open, Outcome, State, host_finding};

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
    let Evaluated { tenant, in_force, place, form, mut events, claims, node, verdicts, .. } =
        evaluated;
    if verdicts.is_empty() {
        claims.release().await;
        return Delivered { place, form, events, failure: None };
    }
    let mut batch = RecordBatch::default();
    let mut stored = Vec::with_capacity(verdicts.len());
    for (at, settled, judgement) in &verdicts {
        let findings = findings_json(judgement);
        let Some(event) = events.get(*at) else { continue };
        let identified = event.open().and_then(|open| Some((open, open.identity.as_ref()?)));
        let Some((open, identity)) = identified else { continue };
        let revision = in_force.on(identity.side);
        let context = Context::of(revision, identity, judgement, form, &node).to_bytes();
        let judged =
            Judged { settled: *settled, judgement, findings: &findings, context: &context };
        let event = (event.event_id, open, identity);
        match push(&mut batch, event, &tenant, revision.digest, &judged) {
            Ok(()) => stored.push((*at, *settled, findings)),
            Err(error) => {
                let problem = Problem::new(ProblemType::TooLarge, error.to_string());
                return refused(place, form, events, claims, problem).await;
            }
        }
    }
    // The events wait for the log without their texts and what was made of them: what many requests
    // hold at once would push everything else out of the caches.
    drop(verdicts);
    let stored: Vec<_> = stored
        .into_iter()
        .map(|(at, settled, findings)| {
            settle(&mut events, at, Outcome::Stored { settled, findings });
            (at, settled)
        })
        .collect();
    let again = Outcome::Retry { after_ms: RETRY_AFTER_MS };
    let latest = claims.lease_deadline();
    let Ok(keys) = claims.hand_over(UnixMillis::now()) else {
        let problem =
            unavailable("the request took longer than its claims last; nothing was stored");
        stored.iter().for_each(|(at, _)| settle(&mut events, *at, again.clone()));
        return Delivered { place, form, events, failure: Some(problem) };
    };
    match wal.append(batch, latest).await {
        Ok(_) => {
            let rows = stored.iter().filter_map(|(at, settled)| {
                let event = events.get(*at)?;
                Some((u32::try_from(*at).unwrap_or(u32::MAX), event.event_id, *settled))
            });
            let rows: Vec<_> = rows.collect();
            keys.commit(&rows).await;
            Delivered { place, form, events, failure: None }
        }
        Err(error) => {
            let outcome = if error == AppendError::TooLarge { too_large() } else { again };
            stored.iter().for_each(|(at, _)| settle(&mut events, *at, outcome.clone()));
            // After `Failed` the records may be on the disk: their keys stay in flight until the
            // restart that is about to come has looked.
            if error != AppendError::Failed {
                keys.release().await;
            }
            Delivered { place, form, events, failure: Some(problem(error)) }
        }
    }
}

fn settle(events: &mut [Event], at: usize, outcome: Outcome) {
    if let Some(event) = events.get_mut(at) {
        event.state = State::Settled(outcome);
    }
}

/// What became of an event, as it is written.
struct Judged<'a> {
    settled: Settled,
    judgement: &'a Judgement,
    findings: &'a [u8],
    context: &'a [u8],
}

fn push(
    batch: &mut RecordBatch,
    (event_id, open, identity): (EventId, &Open, &Identity),
    tenant: &TenantId,
    revision: Digest,
    judged: &Judged<'_>,
) -> Result<(), tidegate_wal::RecordTooLarge> {
    batch.push(&Record {
        event_id,
        status: match judged.settled {
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
        patches: &judged.judgement.patches,
        findings: judged.findings,
        context: judged.context,
    })
}

/// A JSON array, empty bytes for none.
fn findings_json(judgement: &Judgement) -> Vec<u8> {
    if judgement.findings.is_empty() {
        return Vec::new();
    }
    serde_json::to_vec(&judgement.findings).expect("findings are plain texts")
}

/// Nothing that was still on its way is stored.
async fn refused(
    place: OwnedSemaphorePermit,
    form: Form,
    mut events: Vec<Event>,
    claims: HeldKeys,
    problem: Problem,
) -> Delivered {
    claims.release().await;
    for event in events.iter_mut().filter(|event| event.open().is_some()) {
        event.state = State::Settled(too_large());
    }
    Delivered { place, form, events, failure: Some(problem) }
}

/// Sending them again as they are would end the same way.
fn too_large() -> Outcome {
    let detail = "the request is larger than the log takes at once; send it in parts";
    Outcome::Rejected { findings: vec![host_finding("request-too-large", "", detail)] }
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
