//! Events in quarantine, settled: judged anew under the active revision and released, or discarded.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tidegate_admin_api::{HeldDecision, HeldPatch, NotSettled, Rest, SettlePage, Settled};
use tidegate_event::{Document, patch};
use tidegate_ingest::Revision;
use tidegate_ingest::rejudge::{Outcome, Subject};
use tidegate_storage::StoredEvent;
use tidegate_storage::quarantine::{
    Act, Decision, Done, Held, HeldLookup, OpenEvents, Release, SettleError, Settlement,
};
use tidegate_storage::read::{Cursor, Filter, PageLimit, ReadError};
use tidegate_types::{EventId, Finding, Lsn, Problem, ProblemType, Status, TenantId, UnixMillis};
use tidegate_wal::{Action, AppendError, Stored};

use super::held::{blocking, settled, stored_filter};
use super::{as_judged, unreadable};
use crate::serve::data_plane::Node;

/// Bytes of events that are settled at a time.
const PAGE_BYTES: usize = 4 << 20;
/// Decisions of others that are passed over where a job counts its own.
const MAX_PASSED_OVER: usize = 5000;

/// What is to become of an event.
enum Ready {
    Discard,
    Release(Box<Judged>),
    /// It stays open.
    HeldAgain(Outcome),
    Wrong(Problem),
}

/// An event that is released, as it was judged.
struct Judged {
    original: Vec<u8>,
    event_time: Option<UnixMillis>,
    patches: Vec<u8>,
    findings: Vec<Finding>,
    /// As they are stored.
    findings_text: Vec<u8>,
    /// What the event came with, and what stood in for rules this time.
    context: Vec<u8>,
}

/// Events that are about to be settled, and by which revision they were judged.
struct Batch {
    revision: Option<Arc<Revision>>,
    events: Vec<(Held, Ready)>,
}

impl Node {
    pub(super) async fn settle_one(
        &self,
        tenant: &TenantId,
        event_id: EventId,
        decision: &HeldDecision,
        by: &str,
    ) -> Result<Value, NotSettled> {
        let held = match self.look_up(tenant, event_id).await? {
            HeldLookup::Open(held) => held,
            HeldLookup::Settled { settlement, .. } => {
                return already(decision, settlement.as_ref());
            }
            other => return Err(self.not_held(&other).into()),
        };
        let batch = self.judge_held(tenant, vec![held], decision).await?;
        let (batch, outcomes) = self.append(batch, decision, by).await?;
        let (Some((_, ready)), Some(outcome)) = (batch.events.first(), outcomes.into_iter().next())
        else {
            return Err(Problem::new(ProblemType::Internal, "nothing was decided").into());
        };
        let revision = batch.revision.as_ref().map(|revision| revision.digest);
        match (outcome, ready) {
            (Some(Ok(Done { action, at, lsn })), ready) => {
                let mut view = json!({
                    "event_id": event_id, "action": action.as_str(), "at": at.to_rfc3339(),
                    "by": by, "reason": reason(decision), "lsn": lsn,
                });
                if let (Some(members), Ready::Release(judged)) = (view.as_object_mut(), ready) {
                    members.insert("revision".to_owned(), json!(revision));
                    members.insert("findings".to_owned(), json!(judged.findings));
                }
                Ok(view)
            }
            (Some(Err(SettleError::AlreadySettled { settlement })), _) => {
                already(decision, settlement.as_deref())
            }
            (Some(Err(error)), _) => Err(problem(&error).into()),
            (None, Ready::Wrong(problem)) => Err(problem.clone().into()),
            (None, Ready::HeldAgain(outcome)) => {
                let detail = "the active revision does not accept the event, so it stays open: mend \
                              the rule or the event, or send `force` to release it all the same";
                let about = Map::from_iter([
                    ("event_status".to_owned(), json!(outcome.status)),
                    ("revision".to_owned(), json!(revision)),
                    ("findings".to_owned(), json!(outcome.findings)),
                ]);
                Err(NotSettled { problem: Problem::new(ProblemType::HeldAgain, detail), about })
            }
            (None, Ready::Discard | Ready::Release(_)) => {
                Err(Problem::new(ProblemType::Internal, "nothing was decided").into())
            }
        }
    }

    pub(super) async fn settle_some(
        &self,
        page: SettlePage<'_>,
        rest: Option<Rest>,
    ) -> Result<Settled, Problem> {
        let [from, end] = page.range.map(Lsn);
        let mut scan = match rest.and_then(|rest| rest.downcast::<OpenEvents>().ok()) {
            Some(scan) => *scan,
            None => {
                let (quarantine, filter) = (self.storage.quarantine(), stored_filter(page.filter));
                quarantine.open_events(page.tenant.as_str(), filter, Some(Cursor(from)))
            }
        };
        let limit = PageLimit { events: page.events, bytes: PAGE_BYTES };
        let read = move || Ok::<_, ReadError>((scan.next_page(limit)?, scan));
        let (found, scan) = blocking(read).await?;
        let mut events = found.events;
        events.retain(|held| held.event().lsn < end);
        let next = found.next.0.min(end);
        let mut done =
            Settled { next: next.0, is_last: found.is_last || next >= end, ..Settled::default() };
        let batch = self.judge_held(page.tenant, events, page.decision).await?;
        let (batch, outcomes) = self.append(batch, page.decision, page.by).await?;
        for ((held, ready), outcome) in batch.events.iter().zip(outcomes) {
            match (outcome, ready) {
                (Some(Ok(Done { action: Action::Discarded, .. })), _) => done.discarded += 1,
                (Some(Ok(_)), _) => done.released += 1,
                // Somebody else was faster.
                (Some(Err(SettleError::AlreadySettled { .. })), _) => {}
                (Some(Err(error)), _) if is_passing(&error) => {
                    // The next page begins with it, a little later.
                    let at = held.event().lsn;
                    if at == from {
                        return Err(problem(&error));
                    }
                    (done.next, done.is_last) = (at.0, false);
                    return Ok(done);
                }
                (Some(Err(error @ SettleError::Full { .. })), _) => return Err(problem(&error)),
                (Some(Err(error)), _) => failed(&mut done, held, &error.to_string()),
                (None, Ready::HeldAgain(_)) => done.held_again += 1,
                (None, Ready::Wrong(problem)) => failed(&mut done, held, &problem.detail),
                (None, Ready::Discard | Ready::Release(_)) => {}
            }
        }
        done.rest = (!done.is_last).then(|| Box::new(scan) as Rest);
        Ok(done)
    }

    pub(super) async fn count_settled_by(&self, page: SettlePage<'_>) -> Result<Settled, Problem> {
        let [from, end] = page.range.map(Lsn);
        let (events, quarantine) = (self.storage.events(), self.storage.quarantine());
        let filter = Filter { status: Some(Stored::Quarantined), ..stored_filter(page.filter) };
        let (tenant, by, most) = (page.tenant.to_string(), page.by.to_owned(), page.events);
        blocking(move || {
            let mut scan = events.scan(&tenant, filter, Some(Cursor(from)));
            let mut done = Settled { next: from.0, ..Settled::default() };
            let (mut open, mut passed_over) = (0, 0);
            loop {
                let found = scan.next_page(PageLimit::default())?;
                for event in found.events.iter().take_while(|event| event.lsn < end) {
                    match quarantine.settlement(&tenant, event.event_id)? {
                        None => open += 1,
                        Some(one) if one.by == by && one.action == Action::Discarded => {
                            done.discarded += 1;
                        }
                        Some(one) if one.by == by => done.released += 1,
                        Some(_) => passed_over += 1,
                    }
                    // A page had no more open events than this.
                    if open >= most || passed_over >= MAX_PASSED_OVER {
                        return Ok::<_, ReadError>(done);
                    }
                }
                if found.is_last || found.next.0 >= end {
                    return Ok(done);
                }
            }
        })
        .await
    }

    /// Mends events where that is asked for, and judges them under the active revision.
    async fn judge_held(
        &self,
        tenant: &TenantId,
        held: Vec<Held>,
        decision: &HeldDecision,
    ) -> Result<Batch, Problem> {
        let HeldDecision::Release { patch, force, .. } = decision else {
            let events = held.into_iter().map(|held| (held, Ready::Discard)).collect();
            return Ok(Batch { revision: None, events });
        };
        let revision = self.active_revision(tenant)?;
        let patches = encoded(patch)?;
        let mut subjects = Vec::with_capacity(held.len());
        let prepared: Vec<_> = held
            .into_iter()
            .map(|held| match prepare(&revision, tenant, held.event(), &patches) {
                Ok((subject, event_time)) => {
                    subjects.push(subject);
                    (held, Ok(event_time))
                }
                Err(problem) => (held, Err(problem)),
            })
            .collect();
        let judged = revision.judge(tenant, self.gateway.node(), &subjects).await;
        let judged = judged.map_err(|error| {
            Problem::new(ProblemType::Overloaded, error.to_string()).retry_after(1000)
        })?;
        let mut outcomes = subjects.into_iter().zip(judged.outcomes);
        let mut events = Vec::with_capacity(prepared.len());
        for (held, prepared) in prepared {
            let ready = match prepared {
                Err(problem) => Ready::Wrong(problem),
                Ok(event_time) => match outcomes.next() {
                    Some((subject, outcome)) if *force || outcome.status == Status::Accepted => {
                        released(&revision, &subject, event_time, outcome)
                    }
                    Some((_, outcome)) => Ready::HeldAgain(outcome),
                    None => Ready::Wrong(unjudged()),
                },
            };
            events.push((held, ready));
        }
        Ok(Batch { revision: Some(revision), events })
    }

    fn active_revision(&self, tenant: &TenantId) -> Result<Arc<Revision>, Problem> {
        let snapshot = self.gateway.snapshot();
        let in_force = snapshot.in_force(tenant).ok_or_else(|| {
            let detail = "no revision of the tenant is active: activate one that judges the events";
            Problem::new(ProblemType::NoRevision, detail)
        })?;
        Ok(Arc::clone(&in_force.revision))
    }

    /// Writes what was decided. Answers for each event what became of it; `None` where it was not
    /// to be settled.
    async fn append(
        &self,
        batch: Batch,
        decision: &HeldDecision,
        by: &str,
    ) -> Result<(Batch, Vec<Option<Result<Done, SettleError>>>), Problem> {
        let quarantine = self.storage.quarantine();
        let (by, reason) = (by.to_owned(), reason(decision).to_owned());
        let settling = tokio::task::spawn_blocking(move || {
            let mut acts = Vec::new();
            let mut is_act = Vec::with_capacity(batch.events.len());
            for (held, ready) in &batch.events {
                let decision = match (ready, &batch.revision) {
                    (Ready::Discard, _) => Some(Decision::Discard),
                    (Ready::Release(judged), Some(revision)) => Some(Decision::Release(Release {
                        revision: revision.digest,
                        event_time: judged.event_time,
                        original: &judged.original,
                        patches: &judged.patches,
                        findings: &judged.findings_text,
                        context: &judged.context,
                    })),
                    _ => None,
                };
                is_act.push(decision.is_some());
                let act = |decision| Act { held, decision, by: &by, reason: &reason };
                acts.extend(decision.map(act));
            }
            let mut outcomes = quarantine.settle(&acts).into_iter();
            let outcomes =
                is_act.into_iter().map(|is_act| if is_act { outcomes.next() } else { None });
            let outcomes = outcomes.collect();
            (batch, outcomes)
        });
        settling.await.map_err(|error| unreadable(&error))
    }
}

/// The event that is judged, mended where it is to be, and its own time.
fn prepare(
    revision: &Revision,
    tenant: &TenantId,
    event: &StoredEvent,
    patches: &[u8],
) -> Result<(Subject, Option<UnixMillis>), Problem> {
    let wrong = |detail: String| Problem::new(ProblemType::InvalidRequest, detail).at("/patch");
    let subject = as_judged(event.clone())?.subject;
    let mended = if patches.is_empty() {
        subject.clone()
    } else {
        let text =
            patch::apply(&event.original, patches).map_err(|error| wrong(error.to_string()))?;
        let document = Document::parse(text).map_err(|error| wrong(error.to_string()))?;
        let root = document.root().index();
        Subject { document: Arc::new(document), root, ..subject.clone() }
    };
    let Ok(facts) = revision.facts(tenant, &mended) else { return Ok((mended, None)) };
    if !patches.is_empty() {
        let before = revision.facts(tenant, &subject).ok().and_then(|facts| facts.key);
        if before != facts.key {
            let detail =
                "the patch changes the event's idempotency key; post it as a new event instead";
            return Err(wrong(detail.to_owned()));
        }
    }
    if facts.event_type.as_str() != event.event_type {
        let (was, is) = (&event.event_type, facts.event_type.as_str());
        let detail = format!(
            "the event was held as {was}, and would be released as {is}; a release does not change its type"
        );
        return Err(wrong(detail));
    }
    Ok((mended, facts.event_time))
}

fn encoded(patches: &[HeldPatch]) -> Result<Vec<u8>, Problem> {
    let mut out = Vec::new();
    for (place, one) in patches.iter().enumerate() {
        let (op, pointer, value) = match one {
            HeldPatch::Set { pointer, value } => (patch::Op::Set, pointer, value.to_string()),
            HeldPatch::Remove { pointer } => (patch::Op::Remove, pointer, String::new()),
        };
        let one = patch::Patch { op, pointer, value: value.as_bytes() };
        patch::encode(&mut out, one).map_err(|error| {
            let at = format!("/patch/{place}");
            Problem::new(ProblemType::InvalidRequest, error.to_string()).at(at)
        })?;
    }
    Ok(out)
}

fn released(
    revision: &Revision,
    subject: &Subject,
    event_time: Option<UnixMillis>,
    outcome: Outcome,
) -> Ready {
    let findings_text = match outcome.findings.as_slice() {
        [] => Ok(Vec::new()),
        findings => serde_json::to_vec(findings),
    };
    let Ok(findings_text) = findings_text else { return Ready::Wrong(unjudged()) };
    Ready::Release(Box::new(Judged {
        original: subject.document.root().lexeme().as_bytes().to_vec(),
        event_time,
        patches: outcome.patches,
        findings: outcome.findings,
        findings_text,
        context: subject.context.clone().judged_by(revision, &outcome.replaced).to_bytes(),
    }))
}

fn unjudged() -> Problem {
    Problem::new(ProblemType::Internal, "the event was not judged")
}

fn reason(decision: &HeldDecision) -> &str {
    let (HeldDecision::Release { reason, .. } | HeldDecision::Discard { reason }) = decision;
    reason
}

/// Asking again for what was decided is answered by it; asking for something else is not.
fn already(decision: &HeldDecision, found: Option<&Settlement>) -> Result<Value, NotSettled> {
    let is_same = found.is_some_and(|found| match decision {
        HeldDecision::Release { .. } => found.action != Action::Discarded,
        HeldDecision::Discard { .. } => found.action == Action::Discarded,
    });
    match found {
        Some(found) if is_same => Ok(settled(found)),
        Some(found) => {
            let detail =
                format!("{} by {} at {}", found.action.as_str(), found.by, found.at.to_rfc3339());
            let about = Map::from_iter([("settlement".to_owned(), settled(found))]);
            Err(NotSettled { problem: Problem::new(ProblemType::AlreadySettled, detail), about })
        }
        None => {
            let detail = "the file that told how was removed";
            Err(Problem::new(ProblemType::AlreadySettled, detail).into())
        }
    }
}

fn failed(done: &mut Settled, held: &Held, why: &str) {
    done.failed += 1;
    done.failure = Some(format!("{}: {why}", held.event().event_id));
}

/// May the same work a little later?
fn is_passing(error: &SettleError) -> bool {
    matches!(
        error,
        SettleError::InDoubt
            | SettleError::Append(
                AppendError::StorageFull | AppendError::Overloaded | AppendError::Closed
            )
    )
}

fn problem(error: &SettleError) -> Problem {
    let detail = error.to_string();
    match error {
        SettleError::Append(AppendError::StorageFull) => {
            Problem::new(ProblemType::StorageFull, detail).retry_after(10_000)
        }
        SettleError::Append(AppendError::Overloaded) => {
            Problem::new(ProblemType::Overloaded, detail).retry_after(1000)
        }
        SettleError::InDoubt | SettleError::Append(AppendError::Closed) => {
            Problem::new(ProblemType::Unavailable, detail).retry_after(1000)
        }
        SettleError::TooLarge(_) | SettleError::Append(AppendError::TooLarge) => {
            Problem::new(ProblemType::TooLarge, detail)
        }
        SettleError::NoReason | SettleError::Full { .. } => {
            Problem::new(ProblemType::InvalidRequest, detail)
        }
        SettleError::AlreadySettled { .. } => Problem::new(ProblemType::AlreadySettled, detail),
        SettleError::Append(AppendError::Expired | AppendError::Failed) | SettleError::Read(_) => {
            tracing::warn!(%error, "an event in quarantine cannot be settled");
            Problem::new(ProblemType::Internal, "the decision failed; the log has the cause")
        }
    }
}
