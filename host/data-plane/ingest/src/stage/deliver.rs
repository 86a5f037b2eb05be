//! Makes events durable, or has them delivered: one append for what the route wants in the log,
//! answered after its fdatasync; one shipment to each sink for what it wants delivered.

mod direct;

use std::sync::Arc;

use tidegate_dedup::{HeldKeys, LoggedKeys, Settled};
use tidegate_plugin_host::Judgement;
use tidegate_types::revision::delivery::Ack;
use tidegate_types::{Digest, EventId, Problem, ProblemType, TenantId, UnixMillis};
use tidegate_wal::{AppendError, KeyMark, Record, RecordBatch, RecordTooLarge, Stored, Wal};
use tokio::sync::OwnedSemaphorePermit;

use super::decode::Form;
use super::evaluate::{Evaluated, Verdict};
use crate::event::context::Context;
use crate::event::{Event, Identity, Open, Outcome, State, host_finding};
use crate::force::rollout::InForce;
use crate::gateway::Gateway;

/// Events whose outcome is certain, or known to be unknown.
pub struct Delivered {
    pub(super) place: OwnedSemaphorePermit,
    pub(super) form: Form,
    pub(super) events: Vec<Event>,
    /// Why nothing was taken, where that is so.
    pub(super) failure: Option<Problem>,
    /// Of what was stored, the weakest.
    pub(super) ack: Option<Ack>,
}

impl Delivered {
    /// Nothing was stored.
    fn nothing(
        place: OwnedSemaphorePermit,
        form: Form,
        events: Vec<Event>,
        failure: Option<Problem>,
    ) -> Self {
        Self { place, form, events, failure, ack: None }
    }
}

/// How long a sender should wait before it tries again what could not be taken.
const RETRY_AFTER_MS: u64 = 1000;

/// What all events of a request share.
struct Request<'a> {
    tenant: &'a TenantId,
    in_force: &'a InForce,
    form: Form,
    node: &'a Arc<str>,
    /// W3C trace context that came with it.
    trace: Option<&'a str>,
}

/// Appends events to the log or sends them to their sinks, and settles their keys by what is heard.
pub(crate) async fn deliver(
    evaluated: Evaluated,
    gateway: &Gateway,
    trace: Option<Arc<str>>,
) -> Delivered {
    let Evaluated { tenant, in_force, place, form, mut events, mut claims, node, verdicts, .. } =
        evaluated;
    let request = Request {
        tenant: &tenant,
        in_force: &in_force,
        form,
        node: &node,
        trace: trace.as_deref(),
    };
    let (direct, durable): (Vec<Verdict>, Vec<Verdict>) =
        verdicts.into_iter().partition(|(at, ..)| ack(&events, *at) == Ack::Delivered);
    let (direct, shut) = direct::admitted(direct, &events, &gateway.sinks);
    for (at, retry_after_ms) in &shut.rows {
        claims.release_row(u32::try_from(*at).unwrap_or(u32::MAX));
        settle(&mut events, *at, Outcome::Retry { after_ms: *retry_after_ms });
    }
    if direct.is_empty() && durable.is_empty() {
        claims.release().await;
        return Delivered::nothing(place, form, events, shut.problem);
    }
    let (batch, stored) = match to_log(durable, &events, &request) {
        Ok(to_log) => to_log,
        Err(error) => {
            let problem = Problem::new(ProblemType::TooLarge, error.to_string());
            return refused(place, form, events, claims, problem).await;
        }
    };
    let latest = claims.lease_deadline();
    let Ok(mut keys) = claims.hand_over(UnixMillis::now()) else {
        let problem =
            unavailable("the request took longer than its claims last; nothing was stored");
        let rows = stored.iter().map(|(at, ..)| *at).chain(direct.iter().map(|(at, ..)| *at));
        rows.for_each(|at| settle(&mut events, at, Outcome::Retry { after_ms: RETRY_AFTER_MS }));
        return Delivered::nothing(place, form, events, Some(problem));
    };
    let sent = direct::send(direct, &mut events, &request, &gateway.sinks, &mut keys);
    // The events wait without their texts and what was made of them: what many requests hold at once
    // would push everything else out of the caches.
    let stored: Vec<_> = stored
        .into_iter()
        .map(|(at, settled, findings)| {
            settle(&mut events, at, Outcome::Stored { settled, findings });
            (at, settled)
        })
        .collect();
    let log_failure = append(&gateway.wal, (batch, latest), keys, &mut events, &stored).await;
    let sink_failure = sent.settle(&mut events, &gateway.tasks).await;
    let failure = log_failure.or(sink_failure).or(shut.problem);
    // Where some were taken, each receipt says what became of its event.
    let is_taken = events.iter().any(is_stored);
    let failure = failure.filter(|_| !is_taken);
    let ack = if stored.is_empty() { Ack::Delivered } else { Ack::Durable };
    Delivered { place, form, events, failure, ack: is_taken.then_some(ack) }
}

fn is_stored(event: &Event) -> bool {
    matches!(&event.state, State::Settled(Outcome::Stored { .. }))
}

fn ack(events: &[Event], at: usize) -> Ack {
    let identity = events.get(at).and_then(Event::open).and_then(|open| open.identity.as_ref());
    identity.map_or(Ack::Durable, |identity| identity.route.targets.ack)
}

/// The events for the log: the batch, and of each its place, what it is, and its findings as JSON.
type ToLog = (RecordBatch, Vec<(usize, Settled, Vec<u8>)>);

fn to_log(
    verdicts: Vec<Verdict>,
    events: &[Event],
    request: &Request<'_>,
) -> Result<ToLog, RecordTooLarge> {
    let mut batch = RecordBatch::default();
    let mut stored = Vec::with_capacity(verdicts.len());
    for (at, settled, judgement) in &verdicts {
        let findings = findings_json(judgement);
        let Some(event) = events.get(*at) else { continue };
        let identified = event.open().and_then(|open| Some((open, open.identity.as_ref()?)));
        let Some((open, identity)) = identified else { continue };
        let revision = request.in_force.on(identity.side);
        let context = Context::of(revision, identity, judgement, request.form, request.node);
        let context = Context { traceparent: request.trace.map(Into::into), ..context }.to_bytes();
        let judged =
            Judged { settled: *settled, judgement, findings: &findings, context: &context };
        let event = (event.event_id, open, identity);
        push(&mut batch, event, request.tenant, revision.digest, &judged)?;
        stored.push((*at, *settled, findings));
    }
    Ok((batch, stored))
}

/// Appends, and settles the keys by the log's answer. Answers why it failed, where it did.
async fn append(
    wal: &Wal,
    (batch, latest): (RecordBatch, Option<std::time::Instant>),
    keys: LoggedKeys,
    events: &mut [Event],
    stored: &[(usize, Settled)],
) -> Option<Problem> {
    if stored.is_empty() {
        keys.commit(&[]).await;
        return None;
    }
    match wal.append(batch, latest).await {
        Ok(_) => {
            let rows = stored.iter().filter_map(|(at, settled)| {
                let event = events.get(*at)?;
                Some((u32::try_from(*at).unwrap_or(u32::MAX), event.event_id, *settled))
            });
            let rows: Vec<_> = rows.collect();
            keys.commit(&rows).await;
            None
        }
        Err(error) => {
            let again = Outcome::Retry { after_ms: RETRY_AFTER_MS };
            let outcome = if error == AppendError::TooLarge { too_large() } else { again };
            stored.iter().for_each(|(at, _)| settle(events, *at, outcome.clone()));
            // After `Failed` the records may be on the disk: their keys stay in flight until the
            // restart that is about to come has looked.
            if error != AppendError::Failed {
                keys.release().await;
            }
            Some(problem(error))
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
) -> Result<(), RecordTooLarge> {
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
    Delivered::nothing(place, form, events, Some(problem))
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
