//! What certification answers: plain data, which is stored and shown as JSON.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tidegate_types::Digest;

use crate::limits::Limits;

/// Problems that one step tells.
const MAX_PROBLEMS: usize = 32;

/// The steps, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepName {
    Scanned,
    Compiled,
    Linked,
    Configured,
    SelfTested,
    Costed,
}

impl StepName {
    pub const ALL: [Self; 6] = [
        Self::Scanned,
        Self::Compiled,
        Self::Linked,
        Self::Configured,
        Self::SelfTested,
        Self::Costed,
    ];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scanned => "scanned",
            Self::Compiled => "compiled",
            Self::Linked => "linked",
            Self::Configured => "configured",
            Self::SelfTested => "self-tested",
            Self::Costed => "costed",
        }
    }
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepState {
    Passed,
    Failed,
    /// Not carried out; the step's note says why.
    Skipped,
}

/// How certification ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// No step failed.
    Admitted,
    Failed,
    /// The host could not decide; the same bytes may come again.
    Error,
}

/// Everything that certification found out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CertifyReport {
    pub digest: Digest,
    pub verdict: Verdict,
    pub steps: Vec<StepReport>,
    /// Why the host could not decide, and in which step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<HostTrouble>,
}

/// A failure of the host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostTrouble {
    pub step: StepName,
    pub detail: String,
}

/// What one step found out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepReport {
    pub step: StepName,
    pub state: StepState,
    /// Wall time.
    pub duration_ms: u64,
    /// Why it was skipped, or what to know of how it was carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    pub facts: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    /// Problems beyond those that are told.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub problems_left_off: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(count: &usize) -> bool {
    *count == 0
}

/// Something wrong with a component: what, where, and how to mend it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    pub detail: String,
    #[serde(default, skip_serializing_if = "Place::is_empty")]
    pub place: Place,
    pub mend: String,
    /// What a golden case expects of an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Value>,
    /// What came in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub got: Option<Value>,
}

/// Where something is wrong; what does not apply is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Place {
    /// Offset in the component's bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub byte: Option<usize>,
    /// Index of a function in its module, imported ones included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<u32>,
    /// Name of an import.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub import: Option<String>,
    /// Name of an export.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub export: Option<String>,
    /// JSON pointer into the manifest, or into a configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// File of a golden case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// Line in that file, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// Event of that case, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<usize>,
}

impl Place {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A failure that is not the component's.
#[derive(Debug)]
pub(super) struct Trouble(pub(super) String);

/// A step that is under way.
#[derive(Debug, Default)]
pub(super) struct Step {
    facts: Map<String, Value>,
    problems: Vec<Problem>,
    problems_left_off: usize,
    note: Option<String>,
    skipped: bool,
}

impl Step {
    pub(super) fn fact(&mut self, name: &str, value: impl Into<Value>) {
        self.facts.insert(name.to_owned(), value.into());
    }

    pub(super) fn note(&mut self, note: &str) {
        self.note = Some(note.to_owned());
    }

    /// Notes the limits that the component is called under, and where they are not the host's.
    pub(super) fn under(&mut self, limits: &Limits, host: &Limits) {
        let (own, host) = (limits.of_call(), host.of_call());
        let members = own.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value)));
        self.fact("limits", Map::from_iter(members));
        let apart = own.iter().zip(&host).filter(|(own, host)| own != host);
        let apart: Vec<String> = apart
            .map(|((name, own), (_, host))| format!("{name} {own} in place of {host}"))
            .collect();
        if !apart.is_empty() {
            let apart = apart.join(", ");
            self.note(&format!(
                "under limits that this tenant or component has of its own: {apart}"
            ));
        }
    }

    pub(super) fn skipped(&mut self, note: &str) {
        self.skipped = true;
        self.note(note);
    }

    pub(super) fn problem(&mut self, detail: impl Into<String>, place: Place, mend: &str) {
        let (detail, mend) = (detail.into(), mend.to_owned());
        self.add(Problem { detail, place, mend, expected: None, got: None });
    }

    pub(super) fn add(&mut self, problem: Problem) {
        if self.full() {
            self.problems_left_off += 1;
        } else {
            self.problems.push(problem);
        }
    }

    /// Are there as many problems as are told?
    pub(super) fn full(&self) -> bool {
        self.problems.len() >= MAX_PROBLEMS
    }

    pub(super) fn failed(&self) -> bool {
        !self.problems.is_empty()
    }

    /// The step with its product, unless it failed.
    pub(super) fn with<T>(self, product: T) -> (Self, Option<T>) {
        let product = (!self.failed()).then_some(product);
        (self, product)
    }
}

impl CertifyReport {
    pub(super) fn new(digest: Digest) -> Self {
        Self { digest, verdict: Verdict::Error, steps: Vec::new(), trouble: None }
    }

    pub(super) fn enter(&mut self, name: StepName, step: Step, took: Duration) {
        let state = match (step.failed(), step.skipped) {
            (true, _) => StepState::Failed,
            (false, true) => StepState::Skipped,
            (false, false) => StepState::Passed,
        };
        let Step { facts, problems, problems_left_off, note, .. } = step;
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let step = name;
        let report =
            StepReport { step, state, duration_ms, note, facts, problems, problems_left_off };
        self.steps.push(report);
    }

    pub(super) fn skip_rest(&mut self, note: &str) {
        for step in StepName::ALL.into_iter().skip(self.steps.len()) {
            let mut skipped = Step::default();
            skipped.skipped(note);
            self.enter(step, skipped, Duration::ZERO);
        }
    }

    pub(super) fn settle(&mut self) {
        self.verdict = match self.failed_step() {
            Some(_) => Verdict::Failed,
            None => Verdict::Admitted,
        };
    }

    pub(super) fn trouble(&mut self, step: StepName, detail: String) {
        self.verdict = Verdict::Error;
        self.trouble = Some(HostTrouble { step, detail });
    }

    /// The step that failed.
    #[must_use]
    pub fn failed_step(&self) -> Option<&StepReport> {
        self.steps.iter().find(|step| step.state == StepState::Failed)
    }

    /// A step that was carried out or skipped.
    #[must_use]
    pub fn step(&self, name: StepName) -> Option<&StepReport> {
        self.steps.iter().find(|step| step.step == name)
    }
}
