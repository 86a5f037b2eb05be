//! The chain of a revision's rules over one batch: validators, then quality rules, then enrichers,
//! every rule over every row of its event types. The worst finding decides; the pipeline derives
//! the status.

mod replaced;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tidegate_event::{Document, patch};
use tidegate_types::problem::ProblemPart;
use tidegate_types::revision::OnFault;
use tidegate_types::{Digest, EventType, Finding, RuleName, Severity, TableName, TenantId};

use super::outcome::{RowFinding, RowPatch};
use super::rows::{Batch, Occurrences, Row};
use super::rule::{NotRun, Rule, Said, Work};
use super::together::Together;
use crate::guest::contract::ContractVersion;
use crate::guest::manifest::{Field, Manifest, Source};
use crate::host::observe::counters::Meters;
use crate::table::Table;
use replaced::Spoken;
pub use replaced::{Replaced, StandIn};

/// The reference tables of a revision.
pub type Tables = HashMap<TableName, Arc<Table>>;

/// A rule in its place in a plan.
pub struct PlanRule {
    pub(crate) name: RuleName,
    pub(crate) rule: Arc<Rule>,
    pub(crate) tables: Arc<[Arc<Table>]>,
    pub(crate) on_fault: OnFault,
    /// All where it is `None`.
    pub(crate) event_types: Option<Vec<EventType>>,
    /// An earlier rule writes what this one, or its fall-back, reads.
    reads_patched: bool,
    /// Judges while the rule's breaker is open.
    fallback: Option<Box<PlanRule>>,
    meters: Arc<Meters>,
}

/// An earlier version of a rule that cannot stand in for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FallbackError {
    #[error("the earlier version is the same component with the same configuration")]
    Same,
    #[error("the earlier version has another role")]
    Role,
    #[error("the earlier version writes `{0}`, which the rule does not declare")]
    Writes(Arc<str>),
}

impl PlanRule {
    /// Its name in the revision.
    #[must_use]
    pub fn name(&self) -> &RuleName {
        &self.name
    }

    /// Does it judge events of this type?
    #[must_use]
    pub fn sees(&self, event_type: &EventType) -> bool {
        self.event_types.as_ref().is_none_or(|types| types.contains(event_type))
    }

    /// The component that judges.
    #[must_use]
    pub fn component(&self) -> Digest {
        self.rule.component
    }

    /// What the component declared.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.rule.manifest
    }

    /// The version of the contract that the component needs.
    #[must_use]
    pub fn contract(&self) -> ContractVersion {
        self.rule.contract
    }

    pub(crate) fn new(
        name: RuleName,
        rule: Arc<Rule>,
        tables: Arc<[Arc<Table>]>,
        on_fault: OnFault,
        event_types: Option<Vec<EventType>>,
        meters: Meters,
    ) -> Self {
        let (reads_patched, fallback, meters) = (false, None, Arc::new(meters));
        Self { name, rule, tables, on_fault, event_types, reads_patched, fallback, meters }
    }

    /// Lets an earlier version of the rule, admitted for the same tenant, judge while this one
    /// faults too often. Its name, event types and policy do not count, nor does a fall-back of its own.
    ///
    /// # Errors
    /// Where it could do what this one may not. The rule stays without a fall-back then.
    pub fn set_fallback(&mut self, earlier: PlanRule) -> Result<(), FallbackError> {
        let (own, other) = (&self.rule.manifest, &earlier.rule.manifest);
        if (self.rule.component, self.rule.config) == (earlier.rule.component, earlier.rule.config)
        {
            return Err(FallbackError::Same);
        }
        if own.role != other.role {
            return Err(FallbackError::Role);
        }
        let undeclared = |text: &Arc<str>| own.writes.iter().all(|(write, _)| write != text);
        if let Some((text, _)) = other.writes.iter().find(|(text, _)| undeclared(text)) {
            return Err(FallbackError::Writes(Arc::clone(text)));
        }
        self.fallback = Some(Box::new(PlanRule { fallback: None, ..earlier }));
        Ok(())
    }

    fn work<'w>(&'w self, batch: &'w Arc<Batch>) -> Work<'w> {
        Work { batch, tables: &self.tables, meters: &self.meters }
    }

    /// What the rule reads, and what its fall-back does.
    fn reads(&self) -> impl Iterator<Item = &Field> {
        let fallback = self.fallback.as_deref().map(|fallback| &fallback.rule.manifest.reads);
        self.rule.manifest.reads.iter().chain(fallback.into_iter().flatten())
    }
}

/// What the patches of one event usually take.
const PATCH_BYTES: usize = 256;

/// Rules in the order in which they run.
pub struct Plan {
    rules: Vec<PlanRule>,
    together: Together,
}

/// Rules that do not go together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the rules do not go together")]
pub struct PlanError(pub Vec<ProblemPart>);

/// Why a batch was not judged. No event has been judged then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EvaluateError {
    #[error("there is no room for another instance of a rule")]
    Exhausted,
    /// The tenant waits for itself: its rules took more CPU time than its share, or as many of its
    /// calls are under way and waiting as may be.
    #[error("the tenant's rules have used up the tenant's share of CPU time, or of calls at once")]
    TenantBusy { retry_after_ms: u64 },
    #[error("the rules could not be run")]
    Failed,
}

/// When a tenant whose calls take long is to come again.
const BUSY_MS: u64 = 1000;

impl From<NotRun> for EvaluateError {
    fn from(why: NotRun) -> Self {
        match why {
            NotRun::Exhausted => Self::Exhausted,
            NotRun::Busy => Self::TenantBusy { retry_after_ms: BUSY_MS },
        }
    }
}

/// What the rules said of one row.
#[derive(Debug, Clone, Default)]
pub struct Judgement {
    pub findings: Vec<Finding>,
    /// As `tidegate_event::patch` encodes them.
    pub patches: Vec<u8>,
    /// Occurrence numbers that rules could read, by host column.
    pub occurrences: Occurrences,
    /// Rules that did not judge it themselves.
    pub replaced: Vec<Replaced>,
}

impl Judgement {
    /// The highest severity of its findings.
    #[must_use]
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.severity).max()
    }
}

impl Plan {
    /// Puts rules into order and checks that they go together.
    ///
    /// # Errors
    /// Where two enrichers write overlapping fields.
    pub fn new(mut rules: Vec<PlanRule>) -> Result<Self, PlanError> {
        rules.sort_by_key(|rule| rule.rule.manifest.role);
        let mut problems = Vec::new();
        for (at, rule) in rules.iter().enumerate() {
            for earlier in rules.iter().take(at) {
                problems.extend(overlaps(earlier, rule));
            }
        }
        if !problems.is_empty() {
            return Err(PlanError(problems));
        }
        let mut written: Vec<tidegate_event::Pointer> = Vec::new();
        for rule in &mut rules {
            let reads_patched = rule.reads().any(|field| match &field.source {
                Source::Event(pointer) => written.iter().any(|write| write.overlaps(pointer)),
                _ => false,
            });
            rule.reads_patched = reads_patched;
            written.extend(rule.rule.manifest.writes.iter().map(|(_, pointer)| pointer.clone()));
        }
        let workers = rules.iter().map(|rule| rule.rule.pool.workers()).max();
        Ok(Self { rules, together: Together::new(workers.unwrap_or(1)) })
    }

    #[must_use]
    pub fn rules(&self) -> &[PlanRule] {
        &self.rules
    }

    /// Does any rule read the gateway's name? Its verdicts then depend on it.
    #[must_use]
    pub fn reads_node(&self) -> bool {
        self.reads(|source| matches!(source, Source::Node))
    }

    /// Does any rule read the event's key? Its verdicts then depend on it.
    #[must_use]
    pub fn reads_key(&self) -> bool {
        self.reads(|source| matches!(source, Source::Key | Source::Occurrence(None)))
    }

    fn reads(&self, what: impl Fn(&Source) -> bool) -> bool {
        let mut reads = self.rules.iter().flat_map(PlanRule::reads);
        reads.any(|field| what(&field.source))
    }

    /// Judges the one event of a request, together with those of other requests of the tenant that
    /// are ready at the same time.
    ///
    /// # Errors
    /// As for `evaluate`.
    pub async fn evaluate_one(
        &self,
        tenant: &TenantId,
        node: &Arc<str>,
        row: Row,
    ) -> Result<Judgement, EvaluateError> {
        if self.rules.is_empty() {
            return Ok(Judgement::default());
        }
        let judge = |rows| self.evaluate(Batch::apart(tenant.clone(), Arc::clone(node), rows));
        self.together.run(row, judge).await
    }

    /// Judges some rows of a batch, by their places; what is counted within a request is counted
    /// over all of it.
    ///
    /// # Errors
    /// As for `evaluate`.
    pub async fn evaluate_part(
        &self,
        whole: &Batch,
        rows: &[usize],
    ) -> Result<Vec<Judgement>, EvaluateError> {
        let mut whole = Arc::new(whole.clone());
        let mut counted = vec![Judgement::default(); whole.rows.len()];
        self.count_occurrences(&mut whole, &mut counted);
        self.evaluate(whole.part(rows)).await
    }

    /// Judges every row of a batch.
    ///
    /// # Errors
    /// Where the host has no room, or the tenant must wait: nothing is judged then, and the same
    /// batch may come again.
    pub async fn evaluate(
        &self,
        batch: impl Into<Arc<Batch>>,
    ) -> Result<Vec<Judgement>, EvaluateError> {
        let mut batch = batch.into();
        let tenant = self.rules.first().map(|rule| &rule.rule.source.tenant);
        let wait = tenant
            .and_then(|tenant| if batch.again { tenant.wait_for_spare() } else { tenant.debt() });
        if let Some(wait) = wait {
            let retry_after_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX) + 1;
            return Err(EvaluateError::TenantBusy { retry_after_ms });
        }
        let mut judgements = vec![Judgement::default(); batch.rows.len()];
        self.count_occurrences(&mut batch, &mut judgements);
        for rule in &self.rules {
            if rule.reads_patched {
                batch = Arc::new(patched(&batch, &judgements));
            }
            let rows = rule.rows(&batch);
            if rows.is_empty() {
                continue;
            }
            let Spoken { own, instead } = rule.say(&batch, &rows).await?;
            if let (Some(fallback), Some((rows, said))) = (rule.fallback(), instead) {
                rule.enter_fallback(&batch, fallback, &rows, said, &mut judgements);
            }
            rule.enter(&batch, rule, own, &mut judgements);
        }
        Ok(judgements)
    }

    fn count_occurrences(&self, batch: &mut Arc<Batch>, judgements: &mut [Judgement]) {
        let mut counted = false;
        for field in self.rules.iter().flat_map(PlanRule::reads) {
            if let Source::Occurrence(pointer) = &field.source {
                Arc::make_mut(batch).count_occurrences(&field.text, pointer.as_ref());
                counted = true;
            }
        }
        if counted {
            for (row, judgement) in judgements.iter_mut().enumerate() {
                judgement.occurrences = batch.context(row);
            }
        }
    }
}

fn overlaps(earlier: &PlanRule, later: &PlanRule) -> Vec<ProblemPart> {
    let mut out = Vec::new();
    for (text, pointer) in &later.rule.manifest.writes {
        if earlier.rule.manifest.writes.iter().any(|(_, other)| other.overlaps(pointer)) {
            let detail =
                format!("rules `{}` and `{}` both write `{text}`", earlier.name, later.name);
            out.push(ProblemPart { pointer: "/rules".into(), detail });
        }
    }
    out
}

/// The batch as the enrichers so far have left it.
fn patched(batch: &Batch, judgements: &[Judgement]) -> Batch {
    let mut out = batch.clone();
    for (row, judgement) in out.rows.iter_mut().zip(judgements) {
        if judgement.patches.is_empty() {
            continue;
        }
        // Each patch was checked against the event when it was entered.
        let delivered = patch::apply(row.root().lexeme().as_bytes(), &judgement.patches);
        if let Some(document) = delivered.ok().and_then(|bytes| Document::parse(bytes).ok()) {
            (row.document, row.root) = (Arc::new(document), 0);
        }
    }
    out
}

impl PlanRule {
    /// The rows that it sees.
    fn rows(&self, batch: &Batch) -> Vec<u32> {
        let all = batch.rows.iter().zip(0u32..);
        match &self.event_types {
            None => all.map(|(_, at)| at).collect(),
            Some(types) => {
                all.filter(|(row, _)| types.contains(&row.event_type)).map(|(_, at)| at).collect()
            }
        }
    }

    /// Enters what an earlier version said in the rule's place, and that it was the one: a verdict
    /// names what it depends on.
    fn enter_fallback(
        &self,
        batch: &Batch,
        fallback: &PlanRule,
        rows: &[u32],
        said: Said,
        judgements: &mut [Judgement],
    ) {
        let detail: Arc<str> = format!(
            "{} with configuration {} judged in place of {}, which faults too often",
            fallback.rule.component, fallback.rule.config, self.rule.component
        )
        .into();
        for (row, _) in &said.faults {
            self.replaced(judgements, *row, fallback.as_stand_in());
        }
        let unjudged: HashSet<u32> =
            said.faults.iter().map(|(row, _)| *row).chain(said.refused.iter().copied()).collect();
        for row in rows.iter().filter(|row| !unjudged.contains(row)) {
            let (rule, code, detail) =
                (self.name.clone(), Finding::FALLBACK.into(), Arc::clone(&detail));
            let severity = Severity::Warn;
            self.replaced(judgements, *row, fallback.as_stand_in());
            self.find(judgements, *row, Finding { rule, code, severity, pointer: None, detail });
        }
        self.enter(batch, fallback, said, judgements);
    }

    /// Enters what the rule, or its fall-back, said.
    fn enter(&self, batch: &Batch, by: &PlanRule, mut said: Said, judgements: &mut [Judgement]) {
        if !said.refused.is_empty() {
            let until = said.open_until.to_rfc3339();
            let why: Arc<str> =
                format!("the rule faults too often: its breaker is open, at least until {until}")
                    .into();
            for row in &said.refused {
                let why = Arc::clone(&why);
                self.replaced(judgements, *row, StandIn::OnFault { why });
            }
            said.faults.extend(said.refused.iter().map(|row| (*row, Arc::clone(&why))));
        }
        for RowFinding { row, code, severity, field, detail } in said.findings {
            by.find(
                judgements,
                row,
                Finding { rule: self.name.clone(), code, severity, pointer: field, detail },
            );
        }
        for (row, why) in said.faults {
            let severity = match self.on_fault {
                OnFault::Quarantine => Severity::Soft,
                OnFault::Pass => Severity::Warn,
                OnFault::Reject => Severity::Hard,
            };
            let (rule, code) = (self.name.clone(), Finding::FAULT.into());
            by.find(judgements, row, Finding { rule, code, severity, pointer: None, detail: why });
        }
        for patch in said.patches {
            self.patch(batch, by, patch, judgements);
        }
    }

    /// Notes that another judged a row, or nobody.
    fn replaced(&self, judgements: &mut [Judgement], row: u32, by: StandIn) {
        if let Some(judgement) = judgements.get_mut(row as usize) {
            judgement.replaced.push(Replaced { rule: self.name.clone(), by });
        }
    }

    /// Enters a finding, which counts as this version's.
    fn find(&self, judgements: &mut [Judgement], row: u32, finding: Finding) {
        self.meters.finding(finding.severity, &finding.code);
        if let Some(judgement) = judgements.get_mut(row as usize) {
            judgement.findings.push(finding);
        }
    }

    fn patch(
        &self,
        batch: &Batch,
        by: &PlanRule,
        RowPatch { row, op, field, value }: RowPatch,
        judgements: &mut [Judgement],
    ) {
        let (Some(event), Some((text, pointer))) =
            (batch.rows.get(row as usize), by.rule.manifest.writes.get(field as usize))
        else {
            return;
        };
        let encoded = patch::fits(event.root(), pointer, op)
            && judgements.get_mut(row as usize).is_some_and(|judgement| {
                let patch = patch::Patch { op, pointer: text, value: &value };
                if judgement.patches.is_empty() {
                    judgement.patches.reserve(PATCH_BYTES);
                }
                patch::encode(&mut judgement.patches, patch).is_ok()
            });
        if !encoded {
            let (rule, code) = (self.name.clone(), Finding::PATCH_CONFLICT.into());
            let detail =
                "a value on the way is neither an object nor an array, or the element is not there"
                    .into();
            let pointer = Some(Arc::clone(text));
            by.find(
                judgements,
                row,
                Finding { rule, code, severity: Severity::Soft, pointer, detail },
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_finding_counts() {
        let finding = |severity| Finding {
            rule: RuleName::new("r").expect("name"),
            code: "c".into(),
            severity,
            pointer: None,
            detail: "".into(),
        };
        let findings =
            vec![finding(Severity::Warn), finding(Severity::Hard), finding(Severity::Soft)];
        assert_eq!(Judgement { findings, ..Judgement::default() }.worst(), Some(Severity::Hard));
        assert_eq!(Judgement::default().worst(), None);
    }
}
