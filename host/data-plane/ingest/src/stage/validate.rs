//! Does the event satisfy the schema of its type? Every violated place is named.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_dedup::HeldKeys;
use tidegate_event::Node;
use tidegate_types::{Finding, RuleName, Severity, TenantId};
use tokio::sync::OwnedSemaphorePermit;

use super::claim::Claimed;
use super::decode::Form;
use crate::event::Event;
use crate::force::revision::Route;
use crate::force::rollout::InForce;

/// Events that satisfy their schemas.
pub struct Validated {
    pub(super) tenant: TenantId,
    pub(super) in_force: Arc<InForce>,
    pub(super) place: OwnedSemaphorePermit,
    pub(super) form: Form,
    pub(super) events: Vec<Event>,
    pub(super) claims: HeldKeys,
}

/// How long events are checked before other requests get their turn.
const TURN: Duration = Duration::from_millis(1);

/// Checks each event; one that violates its schema is rejected and its key is free again.
pub async fn validate(claimed: Claimed) -> Validated {
    let Claimed { tenant, in_force, place, form, mut events, mut claims } = claimed;
    let mut begun = Instant::now();
    for (at, event) in events.iter_mut().enumerate() {
        if begun.elapsed() > TURN {
            tokio::task::yield_now().await;
            begun = Instant::now();
        }
        let identity = event.open().and_then(|open| Some((open, open.identity.as_ref()?)));
        let Some((open, identity)) = identity else { continue };
        let (findings, side) = (violations(open.node(), &identity.route), identity.side);
        if !findings.is_empty() {
            in_force.on(side).stats.refused(1);
            claims.release_row(u32::try_from(at).unwrap_or(u32::MAX));
            event.reject(findings);
        }
    }
    Validated { tenant, in_force, place, form, events, claims }
}

/// What a route's schema says against an event; all of it is hard.
pub(crate) fn violations(node: Node<'_>, route: &Route) -> Vec<Finding> {
    let Some(schema) = route.schema.as_ref().filter(|schema| !schema.is_valid(node)) else {
        return Vec::new();
    };
    let rule = RuleName::new("schema").expect("`schema` is a good name");
    schema
        .violations(node)
        .into_iter()
        .map(|violation| Finding {
            rule: rule.clone(),
            code: violation.keyword.into(),
            severity: Severity::Hard,
            pointer: Some(violation.pointer.into()),
            detail: violation.message.into(),
        })
        .collect()
}
