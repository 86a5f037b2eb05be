//! An event on its way: what is known of it so far, or what became of it.

pub(crate) mod context;

use std::sync::Arc;

use tidegate_dedup::{DedupKey, Fingerprint, Settled};
use tidegate_event::{Document, Node};
use tidegate_types::{EventId, Finding, RuleName, Severity, UnixMillis};

use crate::force::revision::Route;
use crate::force::rollout::Side;

/// An event in its place in the request.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) event_id: EventId,
    pub(crate) state: State,
}

/// How far an event is.
#[derive(Debug)]
pub(crate) enum State {
    /// Still on its way.
    Open(Open),
    /// Nothing more happens to it.
    Settled(Outcome),
}

/// An event that is still on its way.
#[derive(Debug)]
pub(crate) struct Open {
    pub(crate) document: Arc<Document>,
    /// Index of its value in the document.
    pub(crate) root: u32,
    /// Set by `identify`.
    pub(crate) identity: Option<Identity>,
}

impl Open {
    pub(crate) fn node(&self) -> Node<'_> {
        self.document.at(self.root)
    }
}

/// What its envelope says.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) route: Arc<Route>,
    pub(crate) key: Option<Keyed>,
    pub(crate) event_time: Option<UnixMillis>,
    /// Which revision judges it.
    pub(crate) side: Side,
}

/// An event's key, as text and as dedup knows it.
#[derive(Debug, Clone)]
pub(crate) struct Keyed {
    pub(crate) text: Box<str>,
    pub(crate) key: DedupKey,
    pub(crate) fingerprint: Fingerprint,
    /// It came in the request's header: the event does not have it.
    pub(crate) from_header: bool,
}

/// What became of an event.
#[derive(Debug, Clone)]
pub(crate) enum Outcome {
    /// In the log. The findings are JSON, empty for none.
    Stored {
        settled: Settled,
        findings: Vec<u8>,
    },
    /// The same key and payload came before.
    Duplicate {
        first_id: EventId,
        first: Settled,
    },
    Rejected {
        findings: Vec<Finding>,
    },
    Conflict,
    Retry {
        after_ms: u64,
    },
    /// The same key and payload came before in this request, at this place.
    CopyOf(usize),
}

impl Event {
    pub(crate) fn open(&self) -> Option<&Open> {
        match &self.state {
            State::Open(open) => Some(open),
            State::Settled(_) => None,
        }
    }

    pub(crate) fn reject(&mut self, findings: Vec<Finding>) {
        self.state = State::Settled(Outcome::Rejected { findings });
    }
}

/// In whose name the host finds something.
pub(crate) const HOST: &str = "host";

/// A finding of the host itself, hard.
pub(crate) fn host_finding(code: &str, pointer: &str, detail: impl Into<Arc<str>>) -> Finding {
    Finding {
        rule: RuleName::new(HOST).expect("it is a good name"),
        code: code.into(),
        severity: Severity::Hard,
        pointer: Some(pointer.into()),
        detail: detail.into(),
    }
}
