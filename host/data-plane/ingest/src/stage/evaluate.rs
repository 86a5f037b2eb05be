//! What do the tenant's rules say? The worst finding decides: hard rejects, soft quarantines.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_dedup::{HeldKeys, Settled};
use tidegate_plugin_host::{Batch, EvaluateError, Judgement, Row};
use tidegate_types::{Problem, ProblemType, Severity, TenantId};
use tokio::sync::OwnedSemaphorePermit;

use super::decode::Form;
use super::validate::Validated;
use crate::event::Event;
use crate::force::rollout::{InForce, Side};

/// An event that is to be stored or delivered, by its place in the request.
pub(crate) type Verdict = (usize, Settled, Judgement);

/// Events with their judgements.
pub struct Evaluated {
    pub(crate) tenant: TenantId,
    pub(crate) in_force: Arc<InForce>,
    pub(super) place: OwnedSemaphorePermit,
    pub(crate) form: Form,
    pub(crate) events: Vec<Event>,
    pub(super) claims: HeldKeys,
    /// The gateway's name.
    pub(crate) node: Arc<str>,
    /// The events that are to be stored, by their place in the request.
    pub(crate) verdicts: Vec<Verdict>,
    /// What judging took.
    pub(crate) took: Duration,
}

/// Runs the revision's rules over the events that are still on their way, as one batch for each revision that judges some.
///
/// # Errors
/// 503 `overloaded` where there is no room to run them, 429 `too-many-requests` where the tenant's
/// rules have taken more than their share: load is not guilt, so nothing is quarantined for it, and
/// all keys are free again.
pub async fn evaluate(validated: Validated, node: &Arc<str>) -> Result<Evaluated, Problem> {
    let Validated { tenant, in_force, place, form, mut events, mut claims } = validated;
    let mut places = Vec::with_capacity(events.len());
    let mut rows = Vec::with_capacity(events.len());
    for (at, event) in events.iter().enumerate() {
        if let Some((side, row)) = row(event) {
            places.push((at, side));
            rows.push(row);
        }
    }
    let batch = Batch::new(tenant.clone(), Arc::clone(node), rows);
    let begun = Instant::now();
    let judged = judge(&in_force, batch, &places).await;
    let took = begun.elapsed();
    let judgements = judged.map_err(|error| {
        let (kind, retry_after_ms) = match error {
            EvaluateError::TenantBusy { retry_after_ms } => {
                (ProblemType::TooManyRequests, retry_after_ms)
            }
            EvaluateError::Exhausted | EvaluateError::Failed => (ProblemType::Overloaded, 1000),
        };
        Problem::new(kind, format!("{error}; nothing was stored")).retry_after(retry_after_ms)
    })?;
    let mut verdicts = Vec::with_capacity(judgements.len());
    for ((at, _), judgement) in places.into_iter().zip(judgements) {
        let settled = match judgement.worst() {
            None | Some(Severity::Info | Severity::Warn) => Settled::Accepted,
            Some(Severity::Soft) => Settled::Quarantined,
            Some(Severity::Hard) => {
                claims.release_row(u32::try_from(at).unwrap_or(u32::MAX));
                if let Some(event) = events.get_mut(at) {
                    event.reject(judgement.findings);
                }
                continue;
            }
        };
        verdicts.push((at, settled, judgement));
    }
    let node = Arc::clone(node);
    Ok(Evaluated { tenant, in_force, place, form, events, claims, node, verdicts, took })
}

/// Runs each revision over the events that are its own.
async fn judge(
    in_force: &InForce,
    batch: Batch,
    places: &[(usize, Side)],
) -> Result<Vec<Judgement>, EvaluateError> {
    let of = |wanted: Side| {
        let sides = places.iter().enumerate();
        sides.filter(move |(_, (_, side))| *side == wanted).map(|(row, _)| row)
    };
    let candidates = of(Side::Candidate).count();
    if candidates == 0 {
        return in_force.revision.run(batch).await;
    }
    if candidates == places.len() {
        return in_force.on(Side::Candidate).run(batch).await;
    }
    let mut judgements = vec![Judgement::default(); places.len()];
    for side in [Side::Active, Side::Candidate] {
        let rows: Vec<usize> = of(side).collect();
        let judged = in_force.on(side).run_part(&batch, &rows).await?;
        for (row, judgement) in rows.into_iter().zip(judged) {
            if let Some(slot) = judgements.get_mut(row) {
                *slot = judgement;
            }
        }
    }
    Ok(judgements)
}

fn row(event: &Event) -> Option<(Side, Row)> {
    let open = event.open()?;
    let identity = open.identity.as_ref()?;
    let row = Row {
        document: Arc::clone(&open.document),
        root: open.root,
        event_id: event.event_id,
        event_type: identity.route.event_type.clone(),
        key: identity.key.as_ref().map(|keyed| keyed.text.clone()),
    };
    Some((identity.side, row))
}
