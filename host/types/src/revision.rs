//! The revision document: everything that decides a tenant's events. It is stored as canonical
//! JSON (sorted keys, no spaces); its SHA-256 is the revision's digest.

pub mod delivery;
pub mod rollout;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Digest, EventType, RuleName, SinkName, TableName};
use delivery::{Ack, SinkTarget};

/// What the host's own part of a verdict depends on: the version of its kernels (regular
/// expressions, schemas, ranges, table lookup). It is part of every revision's digest.
pub const KERNELS: &str = "1:regex-1,jsonschema-0.60";

/// A revision as a person writes it (`C` and `S` are references by name) or as it is stored (both
/// are digests).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevisionDocument<C = Digest, S = Digest, T = TableVersion> {
    /// Where an event says its type: a JSON pointer to a string. CloudEvents say it themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub type_pointer: Option<String>,
    /// The type of events that do not say theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_type: Option<EventType>,
    /// The types that are taken; an event of another type is rejected.
    pub event_types: BTreeMap<EventType, Route<S>>,
    /// The rules. Validators run first, then quality rules, then enrichers; within a role in the
    /// order given.
    #[serde(default = "Vec::new")]
    pub rules: Vec<Rule<C>>,
    /// The reference tables that rules may use.
    #[serde(default = "BTreeMap::new")]
    pub tables: BTreeMap<TableName, T>,
}

/// What is done with the events of one type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route<S = Digest> {
    /// The JSON Schema (2020-12 or draft-07) that every event must satisfy.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub schema: Option<S>,
    /// Where the idempotency key is: a JSON pointer to a string or number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Where the event's own time is (RFC 3339 text); it decides the storage partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Where the producer's name is; it is part of the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Where the event names its tenant, which must then be the credentials' own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// What the sender's answer waits for.
    #[serde(default, skip_serializing_if = "Ack::is_durable")]
    pub ack: Ack,
    /// Where events go that pass, besides the node's own files with the ack level `durable`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sinks: Vec<SinkTarget>,
    /// Where events go that a rule holds. With the ack level `delivered` there must be one wherever
    /// there are rules, and the answer waits for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<SinkName>,
}

fn none<S>() -> Option<S> {
    None
}

/// One rule: a component with its configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule<C = Digest> {
    /// Unique within the revision; findings carry it.
    pub name: RuleName,
    pub component: C,
    /// Given to the component as it is.
    #[serde(default = "empty_object")]
    pub config: serde_json::Value,
    #[serde(default)]
    pub on_fault: OnFault,
    /// The event types that the rule sees; all where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_types: Option<Vec<EventType>>,
}

fn empty_object() -> serde_json::Value {
    serde_json::Value::Object(serde_json::Map::new())
}

/// What a fault of a rule costs the events it could not judge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnFault {
    /// Finding `rule-fault`, soft: the event is held.
    #[default]
    Quarantine,
    /// Finding `rule-fault`, warn: the event goes on without this rule's judgement.
    Pass,
    /// Finding `rule-fault`, hard: the event is refused.
    Reject,
}

/// One generation of a reference table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableVersion {
    pub digest: Digest,
    pub generation: u64,
    /// Each new generation makes a revision of its own, derived from the active one, and activates it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub follow: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_false(value: &bool) -> bool {
    !*value
}

impl RevisionDocument {
    /// The tables that it follows.
    pub fn followed(&self) -> impl Iterator<Item = (&TableName, &TableVersion)> {
        self.tables.iter().filter(|(_, version)| version.follow)
    }

    /// The canonical bytes: JSON with sorted keys, and the version of the kernels.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        // `serde_json::Value` keeps its maps sorted; no crate of the workspace asks for another order.
        let value = serde_json::json!({ "kernels": KERNELS, "revision": self });
        value.to_string().into_bytes()
    }

    /// The digest of the canonical bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.canonical())
    }
}
