//! What a revision says of events that have their ids already.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_event::{Document, Node};
use tidegate_plugin_host::{Batch, EvaluateError, Judgement, Occurrences, Replaced, Row};
use tidegate_types::{EventId, EventType, Finding, Severity, Status, TenantId};

use super::diff::Diff;
use crate::event::Identity;
use crate::event::context::Context;
use crate::force::revision::Revision;
use crate::stage::identify::{Envelope, Wrong, identity};
use crate::stage::validate::violations;

/// An event that is to be judged.
#[derive(Clone, Debug)]
pub struct Subject {
    pub event_id: EventId,
    pub document: Arc<Document>,
    /// Index of its value in the document.
    pub root: u32,
    /// What it was judged under the first time. Numbers that were not counted then are 1.
    pub context: Context,
}

impl Subject {
    pub(crate) fn node(&self) -> Node<'_> {
        self.document.at(self.root)
    }
}

/// What a revision says of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Accepted, quarantined or rejected.
    pub status: Status,
    /// `None` where it could not be told.
    pub event_type: Option<EventType>,
    pub findings: Vec<Finding>,
    /// As `tidegate_event::patch` encodes them; empty for rejected events, whose patches are dropped.
    pub patches: Vec<u8>,
    /// Rules that did not judge it themselves.
    pub replaced: Vec<Replaced>,
}

impl Outcome {
    pub(crate) fn refused(event_type: Option<EventType>, findings: Vec<Finding>) -> Self {
        let (patches, replaced) = (Vec::new(), Vec::new());
        Self { status: Status::Rejected, event_type, findings, patches, replaced }
    }

    pub(crate) fn of(event_type: EventType, judgement: Judgement) -> Self {
        let status = match judgement.worst() {
            None | Some(Severity::Info | Severity::Warn) => Status::Accepted,
            Some(Severity::Soft) => Status::Quarantined,
            Some(Severity::Hard) => Status::Rejected,
        };
        let Judgement { findings, patches, replaced, .. } = judgement;
        let patches = if status == Status::Rejected { Vec::new() } else { patches };
        Self { status, event_type: Some(event_type), findings, patches, replaced }
    }
}

/// An event and what was said of it.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub subject: Subject,
    pub outcome: Outcome,
}

/// What a revision says of some events, with the time that its rules took.
#[derive(Debug)]
pub struct Judged {
    /// In the order of the events.
    pub outcomes: Vec<Outcome>,
    pub took: Duration,
}

impl Revision {
    /// Judges events by envelope, schema and rules. Nothing is stored, and nothing is counted among
    /// what the revision has done.
    ///
    /// # Errors
    /// Where there is no room to run the rules.
    pub async fn judge(
        &self,
        tenant: &TenantId,
        node: &Arc<str>,
        subjects: &[Subject],
    ) -> Result<Judged, EvaluateError> {
        let mut outcomes: Vec<Option<Outcome>> = Vec::with_capacity(subjects.len());
        let mut rows = Vec::with_capacity(subjects.len());
        for subject in subjects {
            match self.row(tenant, subject) {
                Ok(row) => {
                    rows.push((outcomes.len(), subject.context.node.clone(), row));
                    outcomes.push(None);
                }
                Err(outcome) => outcomes.push(Some(outcome)),
            }
        }
        let mut took = Duration::ZERO;
        // Rules may read the gateway's name, so events that several gateways took are apart.
        for part in rows.chunk_by(|(_, one, _), (_, other, _)| one == other) {
            let name = part.first().and_then(|(_, name, _)| name.as_ref()).unwrap_or(node);
            let of_part = part.iter().map(|(_, _, row)| row.clone()).collect();
            let batch = Batch::recorded(tenant.clone(), Arc::clone(name), of_part);
            let types: Vec<EventType> =
                batch.rows.iter().map(|row| row.event_type.clone()).collect();
            let begun = Instant::now();
            let judgements = self.plan.evaluate(batch).await?;
            took += begun.elapsed();
            for (((at, _, _), event_type), judgement) in part.iter().zip(types).zip(judgements) {
                if let Some(slot) = outcomes.get_mut(*at) {
                    *slot = Some(Outcome::of(event_type, judgement));
                }
            }
        }
        let outcomes: Option<Vec<Outcome>> = outcomes.into_iter().collect();
        Ok(Judged { outcomes: outcomes.ok_or(EvaluateError::Failed)?, took })
    }

    /// Judges one event as it was judged before: breakers are not asked, and what stood in for rules
    /// stands in again, where this revision has it.
    ///
    /// # Errors
    /// Where there is no room to run the rules.
    pub async fn judge_as_before(
        &self,
        tenant: &TenantId,
        node: &Arc<str>,
        subject: &Subject,
    ) -> Result<Outcome, EvaluateError> {
        let row = match self.row(tenant, subject) {
            Ok(row) => row,
            Err(outcome) => return Ok(outcome),
        };
        let Context { node: name, replaced, .. } = &subject.context;
        let (node, event_type) = (name.as_ref().unwrap_or(node), row.0.event_type.clone());
        let batch = Batch::as_before(tenant.clone(), Arc::clone(node), row, replaced.clone());
        let judgement = self.plan.evaluate(batch).await?.pop().ok_or(EvaluateError::Failed)?;
        Ok(Outcome::of(event_type, judgement))
    }

    /// The event as rules see it, or why they never do.
    fn row(&self, tenant: &TenantId, subject: &Subject) -> Result<(Row, Occurrences), Outcome> {
        let Context { cloud_event, key, occurrences, .. } = &subject.context;
        let envelope = Envelope { tenant, cloud_event: *cloud_event, header: key.as_deref() };
        let Identity { route, key, .. } =
            identity(subject.node(), self, &envelope).map_err(|wrong| match wrong {
                Wrong::Event(findings) => Outcome::refused(None, findings),
                Wrong::Header(problem) => {
                    let at = problem.pointer.as_deref().unwrap_or_default();
                    let finding = crate::event::host_finding("key", at, &*problem.detail);
                    Outcome::refused(None, vec![finding])
                }
            })?;
        let findings = violations(subject.node(), &route);
        let event_type = route.event_type.clone();
        if !findings.is_empty() {
            return Err(Outcome::refused(Some(event_type), findings));
        }
        let row = Row {
            document: Arc::clone(&subject.document),
            root: subject.root,
            event_id: subject.event_id,
            event_type,
            key: key.map(|keyed| keyed.text),
        };
        Ok((row, occurrences.clone()))
    }
}

/// What is done where the tenant's share of CPU time is left to the events that come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenBusy {
    /// The events are not compared.
    GiveUp,
    /// They are compared later.
    Wait,
}

/// Has a candidate judge events that were judged before, and notes what came out differently.
pub async fn compare(
    candidate: &Revision,
    tenant: &TenantId,
    node: &Arc<str>,
    recorded: &[Recorded],
    diff: &Diff,
    when_busy: WhenBusy,
) {
    let subjects: Vec<Subject> = recorded.iter().map(|one| one.subject.clone()).collect();
    loop {
        match candidate.judge(tenant, node, &subjects).await {
            Ok(judged) => diff.enter(candidate, recorded, &judged),
            Err(EvaluateError::TenantBusy { retry_after_ms }) if when_busy == WhenBusy::Wait => {
                tokio::time::sleep(Duration::from_millis(retry_after_ms.min(MOST_WAIT_MS))).await;
                continue;
            }
            Err(EvaluateError::TenantBusy { .. }) => diff.shed(recorded.len()),
            Err(_) => diff.failed(recorded.len()),
        }
        return;
    }
}

/// A tenant's share may change while it is waited for.
const MOST_WAIT_MS: u64 = 1000;
