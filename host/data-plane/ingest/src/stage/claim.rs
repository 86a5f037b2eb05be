//! Have we seen it before? Claiming comes before the schema and the rules: a retry gets its first
//! receipt also when the rules have changed in between, and costs no evaluation.

use std::sync::Arc;

use tidegate_dedup::{Claim, HeldKeys, Keys, Moment, Wanted};
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
    pub(super) claims: HeldKeys,
}

/// How long a sender should wait before it asks for the keys again.
const RETRY_AFTER_MS: u64 = 1000;

/// Claims the key of each event that has one.
///
/// # Errors
/// 503 `dedup-full` where the store of keys has no room, 503 `unavailable` where it does not answer;
/// nothing is claimed then.
pub async fn claim(identified: Identified, keys: &Keys) -> Result<Claimed, Problem> {
    let Identified { tenant, in_force, place, form, received_at, mut events } = identified;
    let now = Moment { wall: received_at.max(UnixMillis(0)), ..Moment::now() };
    let wanted: Vec<Wanted> = events.iter().enumerate().filter_map(wanted).collect();
    let claimed = keys.claim(&tenant, &wanted, now).await;
    let (claims, answers) = claimed.map_err(|error| {
        let detail = format!("{error}; nothing was stored, try again later");
        Problem::new(ProblemType::Unavailable, detail).retry_after(RETRY_AFTER_MS)
    })?;
    for (one, claim) in wanted.iter().zip(answers) {
        let outcome = match claim {
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
        if let Some(event) = events.get_mut(one.row as usize) {
            event.state = State::Settled(outcome);
        }
    }
    Ok(Claimed { tenant, in_force, place, form, events, claims })
}

/// The key of an event that is still on its way and has one.
fn wanted((at, event): (usize, &Event)) -> Option<Wanted> {
    let keyed = event.open()?.identity.as_ref()?.key.as_ref()?;
    let row = u32::try_from(at).unwrap_or(u32::MAX);
    Some(Wanted { row, key: keyed.key, fingerprint: keyed.fingerprint })
}
