//! What became of each event: told once per event, in the order they settle.

use std::time::Duration;

use bytes::Bytes;
use tidegate_types::{Receipt, Status};

use crate::exchange::answer::ProblemBody;

/// One event's end.
#[derive(Clone, Debug)]
pub struct Settled {
    /// The event's place in the input, from 0.
    pub index: u64,
    /// The event as it was sent.
    pub event: Bytes,
    pub outcome: Outcome,
    /// Requests that carried the event; 0 where it was never sent.
    pub attempts: u32,
    /// From sending the last request to having its whole answer.
    pub ack: Duration,
    /// From sending the first request to the outcome, waits included.
    pub waited: Duration,
}

/// How an event ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The gateway's receipt; its status is never `retry`.
    Receipt(Receipt),
    /// It cannot be sent: it is no JSON text, or the gateway refuses every request that holds it.
    Refused(ProblemBody),
    /// It may be stored or not; sending it again under the same key is safe.
    Unsettled(Unsettled),
}

/// Why an event has no outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsettled {
    /// All attempts or all the time allowed were used up; the text says what failed last.
    GaveUp(String),
    /// The run stopped before its answer came.
    Stopped,
}

/// One event on its way.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    pub(crate) index: u64,
    pub(crate) event: Bytes,
    pub(crate) attempts: u32,
    /// When it was first sent.
    pub(crate) since: Option<std::time::Instant>,
}

impl Pending {
    pub(crate) fn new(index: u64, event: Bytes) -> Self {
        Self { index, event, attempts: 0, since: None }
    }

    pub(crate) fn settle(self, outcome: Outcome, ack: Duration) -> Settled {
        let Self { index, event, attempts, since } = self;
        let waited = since.map(|since| since.elapsed()).unwrap_or_default();
        Settled { index, event, outcome, attempts, ack, waited }
    }
}

/// One request, for metrics.
#[derive(Clone, Debug)]
pub struct RequestRecord {
    pub events: usize,
    /// 1 for the first request of these events; more: they are sent again.
    pub attempt: u32,
    /// `None` where there was no whole answer.
    pub http_status: Option<u16>,
    pub event_bytes: usize,
    /// As sent, compressed or not.
    pub body_bytes: usize,
    pub elapsed: Duration,
    /// Receipts by status, in the order of [`Status::ALL`].
    pub receipts: [usize; Status::ALL.len()],
    /// What a [`Client`](crate::Client) took and has not settled.
    pub held: Held,
}

/// Events, and their bytes, in memory or in the spool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    pub events: usize,
    pub bytes: usize,
}
