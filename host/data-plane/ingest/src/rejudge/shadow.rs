//! A candidate judges a copy of what the active revision judges, off the path of the ack: on one
//! thread of low priority. What it cannot keep up with is shed, and counted.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tidegate_event::Document;
use tidegate_types::{EventId, TenantId};
use tokio::sync::mpsc;

use super::judge::{Outcome, Recorded, Subject, WhenBusy, compare};
use crate::event::context::Context;
use crate::event::{self, Event};
use crate::force::rollout::InForce;
use crate::stage::evaluate::Evaluated;

/// Requests that may wait.
const MAX_REQUESTS: usize = 256;
/// Bytes of the documents that may wait.
const MAX_BYTES: usize = 32 << 20;

/// The way to the thread that judges copies.
#[derive(Debug)]
pub struct Shadows {
    sender: mpsc::Sender<Copied>,
    bytes: Arc<AtomicUsize>,
}

/// The events of a request before anything was said of them.
pub(crate) struct Before(Vec<Option<(EventId, Arc<Document>, u32)>>);

/// A request's events with what the active revision said.
struct Copied {
    tenant: TenantId,
    node: Arc<str>,
    in_force: Arc<InForce>,
    recorded: Vec<Recorded>,
    bytes: usize,
    took: Duration,
}

impl Shadows {
    /// Starts the thread; it ends when this is dropped.
    ///
    /// # Errors
    /// Where the thread cannot be started.
    pub fn start() -> io::Result<Self> {
        let (sender, receiver) = mpsc::channel(MAX_REQUESTS);
        let bytes = Arc::new(AtomicUsize::new(0));
        let held = Arc::clone(&bytes);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        std::thread::Builder::new().name("shadow".into()).spawn(move || {
            // On Linux this is the thread's own.
            if let Err(error) = rustix::process::nice(10) {
                tracing::info!(%error, "shadows run at the usual priority");
            }
            runtime.block_on(judge(receiver, &held));
        })?;
        Ok(Self { sender, bytes })
    }

    /// Offers what has just been judged. Never waits.
    pub(crate) fn offer(&self, before: Option<Before>, evaluated: &Evaluated) {
        let (Some(before), Some(rollout)) = (before, evaluated.in_force.shadow()) else { return };
        let recorded = recorded(before, evaluated);
        if recorded.is_empty() {
            return;
        }
        rollout.diff.saw(recorded.len());
        let bytes = size(&recorded);
        let events = recorded.len();
        let held = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let copied = Copied {
            tenant: evaluated.tenant.clone(),
            node: Arc::clone(&evaluated.node),
            in_force: Arc::clone(&evaluated.in_force),
            recorded,
            bytes,
            took: evaluated.took,
        };
        if held + bytes > MAX_BYTES || self.sender.try_send(copied).is_err() {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            rollout.diff.shed(events);
        }
    }
}

async fn judge(mut receiver: mpsc::Receiver<Copied>, held: &AtomicUsize) {
    while let Some(copied) = receiver.recv().await {
        if let Some(rollout) = copied.in_force.shadow() {
            let Copied { tenant, node, recorded, took, .. } = &copied;
            rollout.diff.took_before(*took);
            compare(&rollout.candidate, tenant, node, recorded, &rollout.diff, WhenBusy::GiveUp)
                .await;
        }
        held.fetch_sub(copied.bytes, Ordering::Relaxed);
    }
}

impl Before {
    /// Keeps the events, where a shadow is to see them.
    pub(crate) fn of(in_force: &InForce, events: &[Event]) -> Option<Self> {
        in_force.shadow()?;
        let kept = events.iter().map(|event| {
            let open = event.open()?;
            Some((event.event_id, Arc::clone(&open.document), open.root))
        });
        Some(Self(kept.collect()))
    }
}

/// Bytes of the documents, each counted once; events of one request share theirs.
fn size(recorded: &[Recorded]) -> usize {
    let mut last: Option<&Arc<Document>> = None;
    let mut bytes = 0;
    for one in recorded {
        let document = &one.subject.document;
        if last.is_none_or(|last| !Arc::ptr_eq(last, document)) {
            bytes += document.source().len();
        }
        last = Some(document);
    }
    bytes
}

/// The events that the active revision has judged, as it judged them.
fn recorded(before: Before, evaluated: &Evaluated) -> Vec<Recorded> {
    let Evaluated { in_force, form, events, node, verdicts, .. } = evaluated;
    let mut verdicts = verdicts.iter().peekable();
    let mut out = Vec::with_capacity(before.0.len());
    for ((at, event), kept) in events.iter().enumerate().zip(before.0) {
        let verdict = verdicts.next_if(|(place, _, _)| *place == at);
        let Some((event_id, document, root)) = kept else { continue };
        let (context, outcome) = match (verdict, &event.state) {
            (Some((_, _, judgement)), event::State::Open(open)) => {
                let Some(identity) = &open.identity else { continue };
                let context = Context::of(&in_force.revision, identity, judgement, *form, node);
                let key = identity.key.as_ref().filter(|keyed| keyed.from_header);
                let key = key.map(|keyed| keyed.text.clone());
                let event_type = identity.route.event_type.clone();
                (Context { key, ..context }, Outcome::of(event_type, judgement.clone()))
            }
            (None, event::State::Settled(event::Outcome::Rejected { findings })) => {
                let outcome = Outcome::refused(None, findings.clone());
                (Context { cloud_event: form.is_cloud_event(), ..Context::default() }, outcome)
            }
            // A duplicate and the like: nothing was said of it.
            _ => continue,
        };
        out.push(Recorded { subject: Subject { event_id, document, root, context }, outcome });
    }
    out
}
