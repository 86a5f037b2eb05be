//! Does the event satisfy the schema of its type? Every violated place is named.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_dedup::Claims;
use tidegate_types::{Finding, RuleName, Severity, TenantId};
use tokio::sync::OwnedSemaphorePermit;

use super::claim::Claimed;
use super::decode::Form;
use crate::event::{Event, Open};
use crate::revision::Revision;

/// Events that satisfy their schemas.
pub struct Validated {
    pub(super) tenant: TenantId,
    pub(super) revision: Arc<Revision>,
    pub(super) place: OwnedSemaphorePermit,
    pub(super) form: Form,
    pub(super) events: Vec<Event>,
    pub(super) claims: Claims,
}

/// How long events are checked before other requests get their turn.
const TURN: Duration = Duration::from_millis(1);

/// Checks each event; one that violates its schema is rejected and its key is free again.
pub async fn validate(claimed: Claimed) -> Validated {
    let Claimed { tenant, revision, place, form, mut events, mut claims } = claimed;
    let mut begun = Instant::now();
    for (at, event) in events.iter_mut().enumerate() {
        if begun.elapsed() > TURN {
            tokio::task::yield_now().await;
            begun = Instant::now();
        }
        let findings = event.open().map(violations).unwrap_or_default();
        if !findings.is_empty() {
            claims.release_row(u32::try_from(at).unwrap_or(u32::MAX));
            event.reject(findings);
        }
    }
    Validated { tenant, revision, place, form, events, claims }
}

fn violations(open: &Open) -> Vec<Finding> {
    let schema = open.identity.as_ref().and_then(|identity| identity.route.schema.as_ref());
    let Some(schema) = schema.filter(|schema| !schema.is_valid(open.node())) else {
        return Vec::new();
    };
    let rule = RuleName::new("schema").expect("`schema` is a good name");
    schema
        .violations(open.node())
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
