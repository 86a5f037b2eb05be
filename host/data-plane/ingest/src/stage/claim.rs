//! Have we seen it before? Claiming comes before the schema and the rules: a retry gets its first
//! receipt also when the rules have changed in between, and costs no evaluation.

use std::sync::Arc;

use tidegate_dedup::{Claim, Claims, Dedup, Moment};
use tidegate_types::{Problem, ProblemType, TenantId, UnixMillis};
use tokio::sync::OwnedSemaphorePermit;

use super::decode::Form;
use super::identify::Identified;
use crate::event::{Event, Outcome, State};
use crate::force::rollout::InForce;

/// Events whose keys are ours, and those whose outcome is known by their keys.
pub struct Claimed {
    pub(super) tenant: TenantId,
    pub(super) in_force: Arc<InForce>,
    pub(super) place: OwnedSemaphorePermit,
    pub(super) form: Form,
    pub(super) events: Vec<Event>,
    pub(super) claims: Claims,
}

/// Claims the key of each event that has one.
///
/// # Errors
/// 503 `dedup-full` where the store of keys has no room; nothing is claimed then.
pub fn claim(identified: Identified, dedup: &Dedup) -> Result<Claimed, Problem> {
    let Identified { tenant, in_force, place, form, received_at, mut events } = identified;
    let mut claims = dedup.claims();
    let now = Moment { wall: received_at.max(UnixMillis(0)), ..Moment::now() };
    for (at, event) in events.iter_mut().enumerate() {
        let Some(keyed) = event.open().and_then(|open| open.identity.as_ref()?.key.as_ref()) else {
            continue;
        };
        let row = u32::try_from(at).unwrap_or(u32::MAX);
        let outcome = match claims.claim(row, keyed.key, keyed.fingerprint, now) {
            Claim::New => continue,
            Claim::Own { row } => Outcome::CopyOf(row as usize),
            Claim::Committed { event_id, first } => {
                Outcome::Duplicate { first_id: event_id, first }
            }
            Claim::OwnConflict | Claim::Conflict => Outcome::Conflict,
            Claim::InFlight { retry_after_ms } => Outcome::Retry { after_ms: retry_after_ms },
            Claim::Full => {
                let detail =
                    "the store of idempotency keys is full; nothing was stored, try again later";
                return Err(Problem::new(ProblemType::DedupFull, detail).retry_after(5000));
            }
        };
        event.state = State::Settled(outcome);
    }
    Ok(Claimed { tenant, in_force, place, form, events, claims })
}
