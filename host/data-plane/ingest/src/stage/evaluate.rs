//! What do the tenant's rules say? The worst finding decides: hard rejects, soft quarantines.

use std::sync::Arc;

use tidegate_dedup::{Claims, Settled};
use tidegate_plugin_host::{Batch, Judgement, Row};
use tidegate_types::{Problem, ProblemType, Severity, TenantId};
use tokio::sync::OwnedSemaphorePermit;

use super::decode::Form;
use super::validate::Validated;
use crate::event::Event;
use crate::revision::Revision;

/// Events with their judgements.
pub struct Evaluated {
    pub(super) tenant: TenantId,
    pub(super) revision: Arc<Revision>,
    pub(super) place: OwnedSemaphorePermit,
    pub(super) form: Form,
    pub(super) events: Vec<Event>,
    pub(super) claims: Claims,
    /// The gateway's name, where rules read it.
    pub(super) node: Option<Arc<str>>,
    /// The events that are to be stored, by their place in the request.
    pub(super) verdicts: Vec<(usize, Settled, Judgement)>,
}

/// Runs the revision's rules over the events that are still on their way, as one batch.
///
/// # Errors
/// 503 `overloaded` where there is no room to run them: load is not guilt, so nothing is
/// quarantined for it, and all keys are free again.
pub async fn evaluate(validated: Validated, node: &Arc<str>) -> Result<Evaluated, Problem> {
    let Validated { tenant, revision, place, form, mut events, mut claims } = validated;
    let mut places = Vec::with_capacity(events.len());
    let mut rows = Vec::with_capacity(events.len());
    for (at, event) in events.iter().enumerate() {
        if let Some(row) = row(event) {
            places.push(at);
            rows.push(row);
        }
    }
    let judged = match <[Row; 1]>::try_from(rows) {
        Ok([row]) => revision.plan.evaluate_one(&tenant, node, row).await.map(|one| vec![one]),
        Err(rows) => {
            revision.plan.evaluate(Batch::new(tenant.clone(), Arc::clone(node), rows)).await
        }
    };
    let judgements = judged.map_err(|error| {
        Problem::new(ProblemType::Overloaded, format!("{error}; nothing was stored"))
            .retry_after(1000)
    })?;
    let mut verdicts = Vec::with_capacity(judgements.len());
    for (at, judgement) in places.into_iter().zip(judgements) {
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
    let node = revision.plan.reads_node().then(|| Arc::clone(node));
    Ok(Evaluated { tenant, revision, place, form, events, claims, node, verdicts })
}

fn row(event: &Event) -> Option<Row> {
    let open = event.open()?;
    let identity = open.identity.as_ref()?;
    Some(Row {
        document: Arc::clone(&open.document),
        root: open.root,
        event_id: event.event_id,
        event_type: identity.route.event_type.clone(),
        key: identity.key.as_ref().map(|keyed| keyed.text.clone()),
    })
}
