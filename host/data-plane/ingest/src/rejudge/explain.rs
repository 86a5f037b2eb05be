//! Why an event was judged as it was: what each rule read, what it said, and whether the same
//! revision says the same again.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use tidegate_event::{Document, Node, Pointer, patch};
use tidegate_plugin_host::{EvaluateError, PlanRule, Replaced, Source, StandIn};
use tidegate_types::{Digest, Finding, Status, TenantId};

use super::judge::{Outcome, Recorded, Subject};
use super::sample;
use crate::force::revision::{Revision, Route};

/// The way to one event's verdict.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The revision that was asked.
    pub revision: Digest,
    pub status: Status,
    /// All findings, the host's and the schema's included.
    pub findings: Vec<Finding>,
    /// Rules that saw the event, in the order in which they ran.
    pub rules: Vec<RuleExplanation>,
    /// Did it say what is stored?
    pub reproduced: bool,
    /// What came out differently.
    pub differences: Vec<&'static str>,
}

/// What one rule read and said.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleExplanation {
    pub rule: String,
    /// What judged: `rule`, or its `fall-back` while it faulted too often, or, where it had none,
    /// nobody: `on-fault`.
    pub by: &'static str,
    /// The component that judged; the rule's own, where nobody did.
    pub component: Digest,
    pub role: &'static str,
    /// By pointer or host column; what the event does not have is not there. Sensitive values are
    /// redacted.
    pub inputs: BTreeMap<String, Value>,
    pub findings: Vec<Finding>,
    pub patches: Vec<PatchExplanation>,
}

/// One change to the event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PatchExplanation {
    pub op: &'static str,
    pub pointer: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
}

/// Judges an event again, as it was judged, and compares.
///
/// # Errors
/// Where there is no room to run the rules.
pub async fn explain(
    revision: &Revision,
    tenant: &TenantId,
    node: &Arc<str>,
    recorded: &Recorded,
) -> Result<Explanation, EvaluateError> {
    let Recorded { subject, outcome: stored } = recorded;
    let outcome = revision.judge_as_before(tenant, node, subject).await?;
    let mut differences = Vec::new();
    if subject.context.replaced.iter().any(|replaced| is_missing(revision, replaced)) {
        differences.push("fall-back");
    }
    if outcome.status != stored.status {
        differences.push("status");
    }
    if outcome.findings != stored.findings {
        differences.push("findings");
    }
    if outcome.patches != stored.patches {
        differences.push("patches");
    }
    let route = outcome.event_type.as_ref().and_then(|name| revision.routes.get(name));
    let rules = match route {
        Some(route) => rules(revision, tenant, node, subject, &outcome, route),
        None => Vec::new(),
    };
    Ok(Explanation {
        revision: revision.digest,
        status: outcome.status,
        findings: outcome.findings,
        rules,
        reproduced: differences.is_empty(),
        differences,
    })
}

/// Was an event judged by a fall-back that the revision does not have now?
fn is_missing(revision: &Revision, replaced: &Replaced) -> bool {
    let rule = revision.plan.rules().iter().find(|rule| *rule.name() == replaced.rule);
    let has = rule.is_some_and(|rule| rule.stand_in(&replaced.by).is_some());
    matches!(replaced.by, StandIn::Fallback { .. }) && !has
}

/// The rule, or what stood in for it, and what that is called.
fn judge_of<'r>(rule: &'r PlanRule, subject: &Subject) -> (Option<&'r PlanRule>, &'static str) {
    let mut replaced = subject.context.replaced.iter();
    match replaced.find(|replaced| replaced.rule == *rule.name()).map(|replaced| &replaced.by) {
        None => (Some(rule), "rule"),
        Some(StandIn::OnFault { .. }) => (None, "on-fault"),
        Some(by) => match rule.stand_in(by) {
            Some(fallback) => (Some(fallback), "fall-back"),
            None => (Some(rule), "rule"),
        },
    }
}

fn rules(
    revision: &Revision,
    tenant: &TenantId,
    node: &Arc<str>,
    subject: &Subject,
    outcome: &Outcome,
    route: &Route,
) -> Vec<RuleExplanation> {
    let patches: Vec<patch::Patch<'_>> =
        patch::decode(&outcome.patches).filter_map(Result::ok).collect();
    let (mut so_far, mut out) = (Vec::new(), Vec::new());
    for rule in revision.plan.rules().iter().filter(|rule| rule.sees(&route.event_type)) {
        let event = patched(subject, &so_far);
        let host = Host { tenant, node, subject, route };
        let (judge, by) = judge_of(rule, subject);
        let manifest = judge.unwrap_or(rule).manifest();
        let own: Vec<_> = patches
            .iter()
            .filter(|patch| manifest.writes.iter().any(|(text, _)| **text == *patch.pointer))
            .collect();
        out.push(RuleExplanation {
            rule: rule.name().to_string(),
            by,
            component: judge.unwrap_or(rule).component(),
            role: manifest.role.as_str(),
            inputs: judge.map(|judge| inputs(judge, event.root(), &host)).unwrap_or_default(),
            findings: outcome
                .findings
                .iter()
                .filter(|finding| finding.rule == *rule.name())
                .cloned()
                .collect(),
            patches: own.iter().map(|patch| shown(patch, route)).collect(),
        });
        for patch in own {
            // It was encoded before, so it can be again.
            patch::encode(&mut so_far, *patch).ok();
        }
    }
    out
}

/// The event as the rules so far have left it.
fn patched(subject: &Subject, patches: &[u8]) -> Arc<Document> {
    let original = subject.node().lexeme().as_bytes();
    let delivered = patch::apply(original, patches).unwrap_or_else(|_| original.to_vec());
    match Document::parse(delivered) {
        Ok(document) => Arc::new(document),
        Err(_) => Arc::clone(&subject.document),
    }
}

/// What host columns are made from.
struct Host<'a> {
    tenant: &'a TenantId,
    node: &'a Arc<str>,
    subject: &'a Subject,
    route: &'a Route,
}

fn inputs(rule: &PlanRule, event: Node<'_>, host: &Host<'_>) -> BTreeMap<String, Value> {
    let context = &host.subject.context;
    let mut out = BTreeMap::new();
    for field in &rule.manifest().reads {
        let value: Option<Value> = match &field.source {
            Source::Event(pointer) => {
                pointer.resolve(event).map(|found| sample::value(found, pointer, Some(host.route)))
            }
            Source::Tenant => Some(host.tenant.as_str().into()),
            Source::EventId => Some(host.subject.event_id.to_string().into()),
            Source::EventType => Some(host.route.event_type.as_str().into()),
            Source::Key => key(event, host),
            Source::Node => Some(context.node.as_ref().unwrap_or(host.node).as_ref().into()),
            Source::ReceivedAt => Some(host.subject.event_id.received_at().to_rfc3339().into()),
            Source::Occurrence(_) => {
                let known = context.occurrences.iter().find(|(name, _)| *name == field.text);
                Some(known.map_or(1, |(_, number)| *number).into())
            }
        };
        if let Some(value) = value {
            out.insert(field.text.to_string(), value);
        }
    }
    out
}

fn key(event: Node<'_>, host: &Host<'_>) -> Option<Value> {
    let context = &host.subject.context;
    let own = match &host.route.key {
        Some(pointer) => pointer.resolve(event).map(|found| (found, pointer.clone())),
        None if context.cloud_event => {
            event.get("id").map(|found| (found, "/id".parse::<Pointer>().unwrap_or_default()))
        }
        None => None,
    };
    match own {
        Some((found, pointer)) => Some(sample::value(found, &pointer, Some(host.route))),
        None => context.key.as_ref().map(|key| (**key).into()),
    }
}

fn shown(patch: &patch::Patch<'_>, route: &Route) -> PatchExplanation {
    let value = match patch.op {
        patch::Op::Remove => None,
        patch::Op::Set => Some(match Document::parse(patch.value.to_vec()) {
            Ok(document) => {
                let pointer = patch.pointer.parse::<Pointer>().unwrap_or_default();
                sample::value(document.root(), &pointer, Some(route))
            }
            Err(_) => Value::Null,
        }),
    };
    let op = if patch.op == patch::Op::Set { "set" } else { "remove" };
    PatchExplanation { op, pointer: patch.pointer.to_owned(), value }
}
