//! One event of which two revisions say different things, as it is shown to people: the fields
//! that rules declared, nothing else of it; what the schema marks as sensitive is redacted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidegate_event::{Kind, Node, Pointer};
use tidegate_plugin_host::Source;
use tidegate_types::{EventId, Finding, Status};

use super::judge::{Outcome, Recorded};
use crate::force::revision::{Revision, Route};

/// Bytes of one value that are shown.
const MAX_VALUE_BYTES: usize = 256;
/// Fields of one event that are shown.
const MAX_FIELDS: usize = 64;
/// Findings of one side that are shown.
const MAX_FINDINGS: usize = 16;

/// What stands for a sensitive value.
pub const REDACTED: &str = "[redacted]";

/// An event with both verdicts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    pub event_id: EventId,
    pub from: Status,
    pub to: Status,
    /// What was found before.
    pub before: Vec<Finding>,
    /// What the candidate finds.
    pub candidate: Vec<Finding>,
    /// The declared fields that the event has, by pointer.
    pub fields: BTreeMap<String, Value>,
}

impl Sample {
    pub(super) fn of(candidate: &Revision, before: &Recorded, after: &Outcome) -> Self {
        let event_type = after.event_type.as_ref().or(before.outcome.event_type.as_ref());
        let route = event_type.and_then(|name| candidate.routes.get(name));
        let redact = |findings: &[Finding]| {
            findings.iter().take(MAX_FINDINGS).map(|finding| shown(finding, route)).collect()
        };
        Self {
            event_id: before.subject.event_id,
            from: before.outcome.status,
            to: after.status,
            before: redact(&before.outcome.findings),
            candidate: redact(&after.findings),
            fields: fields(candidate, before.subject.node(), route.map(|route| &**route)),
        }
    }

    pub(super) fn is_of(&self, from: Status, to: Status) -> bool {
        self.from == from && self.to == to
    }
}

/// The declared fields of an event.
fn fields(revision: &Revision, event: Node<'_>, route: Option<&Route>) -> BTreeMap<String, Value> {
    let reads = revision.plan.rules().iter().flat_map(|rule| &rule.manifest().reads);
    let declared = reads.filter_map(|field| match &field.source {
        Source::Event(pointer) => Some(pointer),
        _ => None,
    });
    let mut out = BTreeMap::new();
    for pointer in declared {
        if out.len() < MAX_FIELDS
            && !out.contains_key(pointer.as_str())
            && let Some(node) = pointer.resolve(event)
        {
            out.insert(pointer.as_str().to_owned(), value(node, pointer, route));
        }
    }
    out
}

/// A value as it is shown.
pub(super) fn value(node: Node<'_>, pointer: &Pointer, route: Option<&Route>) -> Value {
    if is_sensitive(pointer, route) {
        return REDACTED.into();
    }
    let lexeme = node.lexeme();
    let scalar = !matches!(node.kind(), Kind::Object | Kind::Array);
    match serde_json::from_str(lexeme) {
        Ok(value)
            if lexeme.len() <= MAX_VALUE_BYTES
                || (scalar && !matches!(value, Value::String(_))) =>
        {
            value
        }
        _ => {
            let end = lexeme.floor_char_boundary(MAX_VALUE_BYTES);
            format!("{}…", lexeme.get(..end).unwrap_or_default()).into()
        }
    }
}

/// What is known of a route decides; without one, everything could be sensitive.
fn is_sensitive(pointer: &Pointer, route: Option<&Route>) -> bool {
    route.is_none_or(|route| {
        route.schema.as_ref().is_some_and(|schema| schema.sensitive().touches(pointer))
    })
}

/// A finding whose detail could quote something sensitive loses it.
fn shown(finding: &Finding, route: Option<&std::sync::Arc<Route>>) -> Finding {
    let pointer = finding.pointer.as_deref().filter(|text| text.starts_with('/'));
    let pointer = pointer.and_then(|text| text.parse::<Pointer>().ok());
    let route = route.map(|route| &**route);
    let sensitive = match &pointer {
        Some(pointer) => is_sensitive(pointer, route),
        // About no field in particular: its detail may be about any.
        None => is_sensitive(&Pointer::default(), route),
    };
    match sensitive && !finding.detail.is_empty() {
        true => Finding { detail: REDACTED.into(), ..finding.clone() },
        false => finding.clone(),
    }
}
