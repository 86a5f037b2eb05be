//! Findings: what a rule says of an event. The highest severity decides the event's status.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::RuleName;

/// How much a finding weighs. `Soft` quarantines the event, `Hard` rejects it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Info,
    Warn,
    Soft,
    Hard,
}

impl Severity {
    /// The severity of its number in the contract: 0 info, 1 warn, 2 soft, 3 hard.
    #[must_use]
    pub fn from_contract(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Info),
            1 => Some(Self::Warn),
            2 => Some(Self::Soft),
            3 => Some(Self::Hard),
            _ => None,
        }
    }
}

/// What one rule says of one event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The rule's name in its revision; the host's own findings come from `host` or `schema`.
    pub rule: RuleName,
    /// What is wrong, as a word of the rule's manifest.
    pub code: Arc<str>,
    pub severity: Severity,
    /// The field that it is about: a JSON pointer or a host column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<Arc<str>>,
    /// For people. May be empty.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub detail: Arc<str>,
}

impl Finding {
    /// The host's code where a rule could not judge the event.
    pub const FAULT: &str = "rule-fault";
    /// The host's code where an earlier version of the rule judged in its place.
    pub const FALLBACK: &str = "rule-fallback";
    /// The host's code where a sink that the answer waits for refuses the event itself.
    pub const SINK_REJECTED: &str = "sink-rejected";
    /// The host's code where the event names another tenant than the credentials.
    pub const OTHER_TENANT: &str = "other-tenant";
    /// The host's code where the credentials do not cover the event's type.
    pub const SCOPE: &str = "scope";
    /// The host's code where a patch of the rule does not fit the event.
    pub const PATCH_CONFLICT: &str = "patch-conflict";
}
