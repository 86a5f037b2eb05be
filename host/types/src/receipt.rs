//! Receipts: our answer to the producer, one per event, in request order.

use serde::{Deserialize, Serialize};

use crate::{EventId, Finding};

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Durable, and on its way to the sinks.
    Accepted,
    /// Durable, and held by a rule.
    Quarantined,
    /// The same key and payload came before; the receipt tells the first outcome.
    Duplicate,
    /// Refused; not stored, and its key is free again.
    Rejected,
    /// The same key came before with another payload.
    Conflict,
    /// Not stored; the same event may be sent again.
    Retry,
}

impl Status {
    /// All of them, in the order of documentation and metrics.
    pub const ALL: [Self; 6] = [
        Self::Accepted,
        Self::Quarantined,
        Self::Duplicate,
        Self::Rejected,
        Self::Conflict,
        Self::Retry,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Quarantined => "quarantined",
            Self::Duplicate => "duplicate",
            Self::Rejected => "rejected",
            Self::Conflict => "conflict",
            Self::Retry => "retry",
        }
    }

    /// Does it count as accepted in a batch's tally?
    #[must_use]
    pub fn is_taken(self) -> bool {
        match self {
            Self::Accepted | Self::Quarantined | Self::Duplicate => true,
            Self::Rejected | Self::Conflict | Self::Retry => false,
        }
    }
}

/// The answer for one event, as clients read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    pub event_id: EventId,
    /// RFC 3339, UTC, milliseconds.
    pub received_at: String,
    pub status: Status,
    /// Of a duplicate: what became of the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_status: Option<Status>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// When to send again, in milliseconds from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}
