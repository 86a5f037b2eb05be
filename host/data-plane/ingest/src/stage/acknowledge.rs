//! The answer: one receipt per event, in request order.

use http::HeaderValue;
use tidegate_dedup::Settled;
use tidegate_types::revision::delivery::Ack;
use tidegate_types::{EventId, Finding, Problem, Status};

use super::decode::Form;
use super::deliver::Delivered;
use crate::event::{Outcome, State};
use crate::observe::events::Tally;

/// What the client is told.
#[derive(Debug)]
pub struct Answer {
    pub form: Form,
    /// JSON: a receipt for a single event; receipts with commas between them for a batch.
    pub receipts: Vec<u8>,
    /// Of a single event that has one, as a header tells it.
    pub key: Option<HeaderValue>,
    /// Of a single event.
    pub status: Status,
    pub accepted: u64,
    pub rejected: u64,
    /// How many events have which status.
    pub(crate) tally: Tally,
    /// Of what was stored by this request, the weakest.
    pub(crate) ack: Option<Ack>,
    /// Of a single event that was rejected.
    pub findings: Vec<Finding>,
    /// Of a single event that is to be sent again.
    pub retry_after_ms: Option<u64>,
    /// Why nothing could be stored.
    pub failure: Option<Problem>,
}

/// Writes the receipts and counts the statuses.
#[must_use]
pub fn acknowledge(delivered: Delivered) -> Answer {
    let Delivered { place, form, events, failure, ack } = delivered;
    let mut tally: Tally = [0; Status::ALL.len()];
    let mut receipts = Vec::with_capacity(events.len() * 128);
    let mut status = Status::Retry;
    for (at, event) in events.iter().enumerate() {
        if at > 0 {
            receipts.push(b',');
        }
        let receipt = receipt(event.event_id, &event.state, &events);
        status = receipt.status;
        if let Some(count) = tally.get_mut(status as usize) {
            *count += 1;
        }
        receipt.write(&mut receipts);
    }
    let mut answer = Answer {
        form,
        receipts,
        key: None,
        status,
        accepted: 0,
        rejected: 0,
        tally,
        ack,
        findings: Vec::new(),
        retry_after_ms: None,
        failure,
    };
    for (status, count) in Status::ALL.into_iter().zip(tally) {
        if status.is_taken() { answer.accepted += count } else { answer.rejected += count }
    }
    if form.is_single()
        && let Some(State::Settled(outcome)) = events.into_iter().next().map(|event| event.state)
    {
        match outcome {
            Outcome::Rejected { findings } => answer.findings = findings,
            Outcome::Retry { after_ms } => answer.retry_after_ms = Some(after_ms),
            Outcome::Stored { .. }
            | Outcome::Duplicate { .. }
            | Outcome::Conflict
            | Outcome::CopyOf(_) => {}
        }
    }
    drop(place);
    answer
}

/// A receipt before it is written.
struct Written<'a> {
    event_id: EventId,
    status: Status,
    first: Option<Status>,
    findings: Findings<'a>,
    retry_after_ms: Option<u64>,
}

enum Findings<'a> {
    None,
    /// As they are in the log.
    Json(&'a [u8]),
    List(&'a [Finding]),
}

fn receipt<'a>(
    event_id: EventId,
    state: &'a State,
    events: &'a [crate::event::Event],
) -> Written<'a> {
    let plain = |status| Written {
        event_id,
        status,
        first: None,
        findings: Findings::None,
        retry_after_ms: None,
    };
    let replay = |event_id, first: Settled| {
        let first = Some(first.into());
        Written {
            event_id,
            status: Status::Duplicate,
            first,
            findings: Findings::None,
            retry_after_ms: None,
        }
    };
    let outcome = match state {
        // Every stage settles what it does not pass on, and the last passes nothing on.
        State::Open(_) => return plain(Status::Retry),
        State::Settled(outcome) => outcome,
    };
    match outcome {
        Outcome::Stored { settled, findings } => {
            Written { findings: Findings::Json(findings), ..plain((*settled).into()) }
        }
        Outcome::Duplicate { first_id, first } => replay(*first_id, *first),
        Outcome::Rejected { findings } => {
            Written { findings: Findings::List(findings), ..plain(Status::Rejected) }
        }
        Outcome::Conflict => plain(Status::Conflict),
        Outcome::Retry { after_ms } => {
            Written { retry_after_ms: Some(*after_ms), ..plain(Status::Retry) }
        }
        Outcome::CopyOf(first) => match events.get(*first) {
            Some(first) => match &first.state {
                State::Settled(Outcome::Stored { settled, .. }) => replay(first.event_id, *settled),
                // A copy of what was not stored shares its fate.
                state => Written { event_id, ..receipt(first.event_id, state, &[]) },
            },
            None => plain(Status::Retry),
        },
    }
}

impl Written<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"event_id\":\"");
        out.extend_from_slice(&self.event_id.text());
        out.extend_from_slice(b"\",\"received_at\":\"");
        out.extend_from_slice(&self.event_id.received_at().rfc3339());
        out.extend_from_slice(b"\",\"status\":\"");
        out.extend_from_slice(self.status.as_str().as_bytes());
        out.push(b'"');
        if let Some(first) = self.first {
            out.extend_from_slice(b",\"first_status\":\"");
            out.extend_from_slice(first.as_str().as_bytes());
            out.push(b'"');
        }
        match self.findings {
            Findings::None | Findings::Json([]) | Findings::List([]) => {}
            Findings::Json(json) => {
                out.extend_from_slice(b",\"findings\":");
                out.extend_from_slice(json);
            }
            Findings::List(list) => {
                out.extend_from_slice(b",\"findings\":");
                out.extend_from_slice(&serde_json::to_vec(list).expect("findings are plain texts"));
            }
        }
        if let Some(millis) = self.retry_after_ms {
            out.extend_from_slice(format!(",\"retry_after_ms\":{millis}").as_bytes());
        }
        out.push(b'}');
    }
}
