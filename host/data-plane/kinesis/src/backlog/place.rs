//! The two streams, and what is known of each.

use std::collections::BTreeMap;
use std::time::Instant;

use super::LaneId;
use crate::options::{MIB, MOST_CALL_BYTES};

/// Where a record goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Place {
    Events,
    DeadLetters,
}

impl Place {
    pub(crate) const ALL: [Self; 2] = [Self::Events, Self::DeadLetters];
}

/// How much a stream takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Limits {
    /// It has not said so yet. What every stream takes is sent; larger records are kept.
    #[default]
    Unknown,
    /// It will not say: we are not allowed to ask.
    Assumed,
    /// It takes records of so many bytes.
    Told { record_bytes: usize },
}

impl Limits {
    /// A larger record is refused.
    pub(crate) fn record_bytes(self) -> usize {
        match self {
            Self::Unknown => MOST_CALL_BYTES,
            Self::Assumed => MIB,
            Self::Told { record_bytes } => record_bytes.min(MOST_CALL_BYTES),
        }
    }

    /// A larger record is not sent yet.
    pub(super) fn sure_record_bytes(self) -> usize {
        match self {
            Self::Unknown | Self::Assumed => MIB,
            Self::Told { .. } => self.record_bytes(),
        }
    }

    pub(super) fn call_bytes(self) -> usize {
        if self.sure_record_bytes() > MIB { MOST_CALL_BYTES } else { 5 * MIB }
    }
}

/// One stream's lanes by what they wait for.
#[derive(Debug, Default)]
pub(super) struct Side {
    /// Lanes whose first record may be sent, by when it has waited long enough for others.
    pub(super) ready: BTreeMap<(Instant, u64), LaneId>,
    /// Bytes of those first records.
    pub(super) ready_bytes: usize,
    /// Lanes whose first record has failed, by when it may go again.
    pub(super) waiting: BTreeMap<(Instant, u64), LaneId>,
    pub(super) limits: Limits,
    /// Calls that failed as a whole, since the last one that did not.
    pub(super) failures: u32,
    pub(super) paused_until: Option<Instant>,
    /// Until then the stream counts as throttled.
    pub(super) throttled_until: Option<Instant>,
}
