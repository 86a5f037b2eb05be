//! What decides a tenant's events now: the active revision, and the candidate that is tried beside
//! it. The split of a canary comes before judging, event by event, and never changes for a key.

use std::sync::Arc;
use std::time::Instant;

use tidegate_dedup::DedupKey;
use tidegate_types::EventId;
use tidegate_types::rollout::{Stage, Thresholds};

use super::revision::Revision;
use super::stats::Tally;
use crate::rejudge::diff::Diff;

/// What decides a tenant's events.
#[derive(Debug)]
pub struct InForce {
    /// The active revision.
    pub revision: Arc<Revision>,
    pub rollout: Option<Rollout>,
    /// When the active revision is taken back.
    pub watch: Option<Watch>,
}

/// What a newly active revision is held against.
#[derive(Clone, Debug)]
pub struct Watch {
    /// The activation's number.
    pub sequence: u64,
    pub thresholds: Thresholds,
    pub since: Instant,
    /// What the revision itself had done when it was activated: it may have been active earlier.
    pub begun: Tally,
    /// What the revision before it had done when it was replaced; `None` where that is not known.
    pub before: Option<Tally>,
}

/// A candidate that is tried.
#[derive(Clone, Debug)]
pub struct Rollout {
    /// The number that the control plane knows it by.
    pub id: u64,
    pub candidate: Arc<Revision>,
    pub stage: Stage,
    pub thresholds: Thresholds,
    /// What candidate and active revision had done when the stage began on this node.
    pub begun: (Tally, Tally),
    /// What a shadow has found so far.
    pub diff: Arc<Diff>,
}

/// Which revision judges an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Active,
    Candidate,
}

impl InForce {
    pub(crate) fn on(&self, side: Side) -> &Arc<Revision> {
        match (side, &self.rollout) {
            (Side::Candidate, Some(rollout)) => &rollout.candidate,
            (Side::Active | Side::Candidate, _) => &self.revision,
        }
    }

    /// The candidate, where it is a canary that takes this event.
    pub(crate) fn canary(&self, key: Option<DedupKey>, id: EventId) -> Option<&Arc<Revision>> {
        let rollout = self.rollout.as_ref()?;
        match rollout.stage {
            Stage::Canary { percent } if percent.takes(split(key, id)) => Some(&rollout.candidate),
            Stage::Canary { .. } | Stage::Shadow => None,
        }
    }

    /// The rollout, where its candidate judges copies.
    pub(crate) fn shadow(&self) -> Option<&Rollout> {
        self.rollout.as_ref().filter(|rollout| rollout.stage == Stage::Shadow)
    }
}

/// The hash that a canary splits by: of the event's key, so that sending it again changes nothing,
/// or else of the id that it got.
fn split(key: Option<DedupKey>, id: EventId) -> u64 {
    let bytes = key.map_or(id.0, |key| key.0);
    // The second half: in an event id it is the random one.
    let (_, half) = bytes.split_at(8);
    half.iter().fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}
