//! Stored events judged once more: replayed under a candidate, explained under their own revision,
//! or, held in quarantine, judged under the active one to be released.

mod held;
pub(super) mod receipts;
mod settle;
mod workbench;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use tidegate_admin_api::{ReplayProgress, ReplayRequest};
use tidegate_catalog::{Catalog, Selector, StoredRevision};
use tidegate_event::Document;
use tidegate_ingest::Revision;
use tidegate_ingest::rejudge::{self, Context, Diff, Outcome, Recorded, Subject};
use tidegate_storage::StoredEvent;
use tidegate_storage::read::{Filter, Lookup, Page, PageLimit, Scan};
use tidegate_types::revision::KERNELS;
use tidegate_types::{EventId, EventType, Problem, ProblemType, Status, TenantId};
use tidegate_wal::Stored;

use super::data_plane::{Node, told};
use receipts::receipt;

/// Events that are judged at a time.
const PAGE: PageLimit = PageLimit { events: 500, bytes: 8 << 20 };

impl Node {
    /// Judges a tenant's stored events under a candidate; answers the difference.
    pub(super) async fn replay_stored(
        &self,
        tenant: &TenantId,
        request: &ReplayRequest,
        progress: &ReplayProgress,
    ) -> Result<Value, Problem> {
        let candidate = self.judge_of(tenant, &request.candidate).await?;
        let filter = Filter {
            since: request.since,
            until: request.until,
            event_types: request.event_types.clone(),
            ..Filter::default()
        };
        let diff = Diff::default();
        let mut scan = self.storage.events().scan(tenant.as_str(), filter, None);
        let (mut left, mut expired) = (request.limit, 0);
        loop {
            let (page, rest) = next_page(scan).await?;
            scan = rest;
            expired += page.expired_files;
            let mut recorded = Vec::with_capacity(page.events.len());
            for event in page.events.into_iter().take(usize::try_from(left).unwrap_or(usize::MAX)) {
                recorded.push(as_judged(event)?);
            }
            left -= recorded.len() as u64;
            diff.saw(recorded.len());
            let node = self.gateway.node();
            let wait = rejudge::WhenBusy::Wait;
            rejudge::compare(&candidate, tenant, node, &recorded, &diff, wait).await;
            let (at, end) = scan.progress();
            progress.position.store(at.0, Ordering::Relaxed);
            progress.end.store(end.0, Ordering::Relaxed);
            progress.events.fetch_add(recorded.len() as u64, Ordering::Relaxed);
            if page.is_last || left == 0 || progress.is_cancelled() {
                break;
            }
            // Live events go first.
            tokio::task::yield_now().await;
        }
        Ok(json!({ "diff": diff.report(), "expired_files": expired, "complete": left > 0 }))
    }

    /// A revision that judges outside of the way of events.
    async fn judge_of(
        &self,
        tenant: &TenantId,
        stored: &StoredRevision,
    ) -> Result<Arc<Revision>, Problem> {
        if let Some(running) = self.known(tenant, &stored.digest) {
            return Ok(running);
        }
        let built = self.build(tenant, &stored.document, None).await;
        built.map(Arc::new).map_err(|problems| {
            let detail = format!("the revision cannot run: {}", told(&problems));
            Problem::new(ProblemType::InvalidRequest, detail)
        })
    }

    /// The same with the rules that it fell back to when it judged an event.
    async fn judge_as_then(
        &self,
        tenant: &TenantId,
        stored: &StoredRevision,
        context: &Context,
    ) -> Result<Arc<Revision>, Problem> {
        let Some(earlier) = context.earlier else { return self.judge_of(tenant, stored).await };
        let known = self.known(tenant, &stored.digest);
        if let Some(known) = known.filter(|known| known.earlier == Some(earlier)) {
            return Ok(known);
        }
        let owner = tenant.clone();
        let find = move |catalog: &Catalog| catalog.revision(&owner, &Selector::Digest(earlier));
        let earlier = self.ask(find).await.map_err(|error| unreadable(&*error))?;
        match self.build(tenant, &stored.document, Some(&earlier.document)).await {
            Ok(built) => Ok(Arc::new(built)),
            // Without them the explanation says what is missing, or why nothing can run.
            Err(_) => self.judge_of(tenant, stored).await,
        }
    }

    /// Why a stored event was judged as it was.
    pub(super) async fn explain_stored(
        &self,
        tenant: &TenantId,
        event_id: EventId,
    ) -> Result<Value, Problem> {
        let stored = self.storage.events();
        let owner = tenant.to_string();
        let found = tokio::task::spawn_blocking(move || stored.find(&owner, event_id)).await;
        let found =
            found.map_err(|error| unreadable(&error))?.map_err(|error| unreadable(&error))?;
        let event = match found {
            Lookup::Found(event) => *event,
            Lookup::Expired => {
                return Ok(json!({ "event_id": event_id, "state": "inputs-expired" }));
            }
            Lookup::NotStored => return Ok(json!({ "event_id": event_id, "state": "not-stored" })),
        };
        let (owner, digest) = (tenant.clone(), event.revision);
        let revision = self.ask(move |catalog| catalog.revision(&owner, &Selector::Digest(digest)));
        let revision = revision.await.map_err(|error| unreadable(&*error))?;
        let receipt = receipt(&event);
        let about = json!({ "number": revision.number, "digest": revision.digest, "kernels": revision.kernels });
        if revision.kernels != KERNELS {
            return Ok(json!({
                "event_id": event_id, "state": "other-kernels", "receipt": receipt, "revision": about,
                "detail": format!("this gateway's kernels are {KERNELS}: only a gateway with those of the revision can judge again"),
            }));
        }
        let recorded = as_judged(event)?;
        let running = self.judge_as_then(tenant, &revision, &recorded.subject.context).await?;
        let explained = rejudge::explain(&running, tenant, self.gateway.node(), &recorded).await;
        let explained = explained.map_err(|error| {
            Problem::new(ProblemType::Overloaded, error.to_string()).retry_after(1000)
        })?;
        let mut body = json!({
            "event_id": event_id, "state": "explained", "receipt": receipt, "revision": about,
        });
        if let (Some(members), Ok(Value::Object(explained))) =
            (body.as_object_mut(), serde_json::to_value(&explained))
        {
            for name in ["rules", "reproduced", "differences"] {
                members.insert(name.to_owned(), explained.get(name).cloned().unwrap_or_default());
            }
        }
        Ok(body)
    }
}

async fn next_page(mut scan: Scan) -> Result<(Page, Scan), Problem> {
    let read = tokio::task::spawn_blocking(move || {
        let page = scan.next_page(PAGE);
        (page, scan)
    });
    let (page, scan) = read.await.map_err(|error| unreadable(&error))?;
    Ok((page.map_err(|error| unreadable(&error))?, scan))
}

fn unreadable(error: &dyn std::error::Error) -> Problem {
    tracing::warn!(%error, "stored events cannot be read");
    Problem::new(ProblemType::Internal, "stored events cannot be read; the log has the cause")
}

fn damaged(event: &StoredEvent, what: &str) -> Problem {
    tracing::warn!(event_id = %event.event_id, what, "stored event cannot be read");
    let detail = format!("the stored event {} cannot be read: {what}", event.event_id);
    Problem::new(ProblemType::Internal, detail)
}

/// A stored event as it was judged.
fn as_judged(event: StoredEvent) -> Result<Recorded, Problem> {
    let damaged = |what: &str| damaged(&event, what);
    let document = Document::parse(event.original.clone()).map_err(|_| damaged("its text"))?;
    let context = Context::parse(&event.context).map_err(|_| damaged("its context"))?;
    let findings = event.findings().ok_or_else(|| damaged("its findings"))?;
    let event_type = EventType::new(&event.event_type).map_err(|_| damaged("its type"))?;
    let status = match event.status {
        Stored::Accepted => Status::Accepted,
        Stored::Quarantined => Status::Quarantined,
    };
    let root = document.root().index();
    let subject = Subject { event_id: event.event_id, document: Arc::new(document), root, context };
    let outcome = Outcome {
        status,
        event_type: Some(event_type),
        findings,
        patches: event.patches,
        replaced: subject.context.replaced.clone(),
    };
    Ok(Recorded { subject, outcome })
}
