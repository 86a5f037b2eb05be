//! An event on its way out, and why one is a dead letter.

use std::time::Instant;

use tidegate_types::{Digest, EventId, UnixMillis};

/// An event on its way out. Sinks that keep it beyond the call copy what they need.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    pub event_id: EventId,
    pub tenant: &'a str,
    pub event_type: &'a str,
    /// Who made it, as CloudEvents calls it: never empty.
    pub source: &'a str,
    /// When it happened, by its own account.
    pub event_time: Option<UnixMillis>,
    /// Messages with the same one stay in order. Never empty.
    pub partition_key: &'a str,
    /// The revision that judged it; [`NO_REVISION`] where none did.
    pub revision: Digest,
    /// W3C trace context: the `traceparent` that came with it.
    pub traceparent: Option<&'a str>,
    pub kind: Kind<'a>,
    /// The body is a CloudEvent in structured form, not the event's data alone.
    pub cloud_event: bool,
    /// JSON: the delivered form, that is the original with the patches applied.
    pub body: &'a [u8],
    /// After it, trying ends and the message is reported errored. `None`: it is tried until it is
    /// delivered or rejected. Sinks whose client cannot give up a single message may ignore it.
    pub latest: Option<Instant>,
    /// It may be taken by this generation of the sink alone ([`crate::Sink::generation`]); a later one
    /// reports it errored. For senders that keep an order beyond one call.
    pub generation: Option<u64>,
}

/// Of what is no event of a tenant.
pub const NO_REVISION: Digest = Digest([0; 32]);

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// An event that passed.
    Accepted,
    /// An event that a rule holds, with its findings: a JSON array, empty bytes for none.
    Quarantined { findings: &'a [u8] },
    /// A dead letter: it goes where the sink keeps those.
    Dead(Reason<'a>),
}

/// Why a message is a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason<'a> {
    /// A stable word: `too-large`, `refused`.
    pub code: &'a str,
    /// For people.
    pub detail: &'a str,
    /// The sink that refused it.
    pub sink: &'a str,
    /// How many letters this one stands for: beyond 1 it is a count of alike ones that were not
    /// written, and its body says which.
    pub stands_for: u64,
}
