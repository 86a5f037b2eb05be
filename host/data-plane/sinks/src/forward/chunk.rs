//! A group of the log on its way to the sink.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidegate_event::patch::PatchError;
use tidegate_types::{Digest, EventId, Lsn, SinkName};
use tidegate_wal::{Action, Entry, Group, Record, Stored};

use crate::message::{Kind, Message};
use crate::ready::{Ready, Trail};
use crate::route::{Routing, Targets};
use crate::ticket::Failure;

/// A group of the log, and what became of its messages so far.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) number: u64,
    /// The position after it.
    pub(super) end: Lsn,
    /// `None` once everything is delivered or buried.
    pub(super) group: Option<Group>,
    /// Bytes that it holds of what may be under way.
    bytes: usize,
    /// Tickets that are not back.
    pub(super) open: u32,
    /// It could not be sent, and the forwarder stops.
    pub(super) is_unsent: bool,
    /// Numbers of events that errored.
    events: Vec<u32>,
    /// Letters that errored.
    pub(super) letters: Vec<Letter>,
    /// Numbers of letters that went without their bodies.
    pub(super) stripped: BTreeSet<u32>,
}

/// An event that the sink rejected.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    pub(super) number: u32,
    pub(super) code: &'static str,
    pub(super) why: Arc<str>,
    /// It was too large as a letter.
    pub(super) without_body: bool,
    /// It was sent before.
    pub(super) again: bool,
}

impl Chunk {
    pub(super) fn new(number: u64, end: Lsn, group: Group) -> Self {
        Self {
            number,
            end,
            bytes: group.bytes(),
            group: Some(group),
            open: 0,
            is_unsent: false,
            events: Vec::new(),
            letters: Vec::new(),
            stripped: BTreeSet::new(),
        }
    }

    /// Is everything delivered or buried?
    pub(super) fn is_done(&self) -> bool {
        self.open == 0 && !self.is_unsent && self.errored() == 0
    }

    /// How much errored and is to be sent again.
    pub(super) fn errored(&self) -> usize {
        self.events.len() + self.letters.len()
    }

    /// What errored, with the chunk's number; it is the caller's to send it.
    pub(super) fn take_errored(&mut self) -> (u64, Vec<u32>, Vec<Letter>) {
        (self.number, std::mem::take(&mut self.events), std::mem::take(&mut self.letters))
    }

    /// Lets go of the bytes; answers how many.
    pub(super) fn release(&mut self) -> usize {
        self.group = None;
        std::mem::take(&mut self.bytes)
    }

    /// What became of events: answers whether something errored, and what is to be buried.
    pub(super) fn note_events(&mut self, reports: Vec<(u32, Failure)>) -> (bool, Vec<Letter>) {
        let mut letters = Vec::new();
        for (number, failure) in reports {
            match failure {
                Failure::Errored { .. } => self.events.push(number),
                Failure::Rejected { code, why } => {
                    let (without_body, again) = (false, false);
                    letters.push(Letter { number, code, why, without_body, again });
                }
            }
        }
        (!self.events.is_empty(), letters)
    }
}

/// A record as its forwarder sees it.
pub(super) struct Outgoing<'a> {
    pub(super) number: u32,
    pub(super) record: Record<'a>,
    pub(super) ready: Ready<'a>,
    pub(super) trail: Trail<'a>,
}

/// Why a record cannot be sent now.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unready {
    #[error("the route of an event cannot be read: {0}")]
    Route(String),
    #[error("the delivered form of event {0} cannot be made: {1}")]
    Patches(EventId, PatchError),
}

/// The records of a group that go to a sink, in order, by their numbers within the group.
pub(super) fn outgoing<'g>(
    group: &'g Group,
    sink: &SinkName,
    routing: &dyn Routing,
) -> Result<Vec<Outgoing<'g>>, Unready> {
    let mut out = Vec::new();
    // Neighbours mostly have the same route.
    let mut last: Option<(&str, &str, Digest, Arc<Targets>)> = None;
    for (number, (_, entry)) in group.entries().enumerate() {
        let Some(record) = leaving(entry) else { continue };
        let Record { tenant, event_type, revision, .. } = record;
        let targets = match &last {
            Some((t, e, r, targets)) if (*t, *e, *r) == (tenant, event_type, revision) => {
                Arc::clone(targets)
            }
            _ => {
                let found =
                    routing.targets(tenant, event_type, &revision).map_err(Unready::Route)?;
                last = Some((tenant, event_type, revision, Arc::clone(&found)));
                found
            }
        };
        let target = match record.status {
            Stored::Accepted => match targets.target(sink) {
                Some(target) => Some(target),
                None => continue,
            },
            Stored::Quarantined if targets.quarantine.as_ref() == Some(sink) => None,
            Stored::Quarantined => continue,
        };
        let ready = Ready::make((tenant, &targets), target, record.original, record.patches);
        let ready = ready.map_err(|error| Unready::Patches(record.event_id, error))?;
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        out.push(Outgoing { number, record, ready, trail: Trail::read(record.context) });
    }
    Ok(out)
}

/// The event that leaves with an entry: one that came in, or one that is released.
fn leaving(entry: Entry<'_>) -> Option<Record<'_>> {
    match entry {
        Entry::Event(record) => Some(record),
        Entry::Disposition(one) => match one.action {
            Action::Released | Action::PatchedAndReleased => Some(one.record),
            Action::Discarded => None,
        },
    }
}

impl Outgoing<'_> {
    pub(super) fn message(&self, generation: u64) -> Message<'_> {
        let record = &self.record;
        Message {
            event_id: record.event_id,
            tenant: record.tenant,
            event_type: record.event_type,
            source: &self.ready.source,
            event_time: record.event_time,
            partition_key: &self.ready.partition_key,
            revision: record.revision,
            traceparent: self.trail.traceparent.as_deref(),
            kind: match record.status {
                Stored::Accepted => Kind::Accepted,
                Stored::Quarantined => Kind::Quarantined { findings: record.findings },
            },
            cloud_event: self.trail.cloud_event,
            body: &self.ready.body,
            latest: None,
            generation: Some(generation),
        }
    }
}
