//! From bytes to events. The body is read once and strictly: UTF-8, JSON grammar, distinct names,
//! depth, sizes. Bytes that are no JSON fail the request, for nobody can tell where the next event
//! begins; what is wrong within one event costs that event alone.

mod cloudevents;

use std::cell::RefCell;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use tidegate_event::{Builder, Document, Flaw, JsonError, Kind, Limits};
use tidegate_types::event_id::Minter;
use tidegate_types::{EventId, Problem, ProblemType, TenantId, UnixMillis};
use tokio::sync::OwnedSemaphorePermit;

use super::admit::Admitted;
use crate::event::{Event, Open, State, host_finding};
use crate::force::keys::WriteScope;
use crate::force::rollout::InForce;
use crate::options::IngressOptions;

/// What a body is, by its content type and endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One JSON event.
    Single,
    /// `{"events":[…]}`
    Batch,
    /// One JSON event a line.
    Lines,
    /// A CloudEvent in structured mode.
    CloudEvent,
    /// CloudEvents in batched mode: a JSON array.
    CloudEventBatch,
    /// A CloudEvent in binary mode: attributes in headers, data in the body.
    CloudEventBinary,
}

impl Form {
    /// Is the answer one receipt, or a list of them?
    #[must_use]
    pub fn is_single(self) -> bool {
        match self {
            Self::Single | Self::CloudEvent | Self::CloudEventBinary => true,
            Self::Batch | Self::Lines | Self::CloudEventBatch => false,
        }
    }

    pub(crate) fn is_cloud_event(self) -> bool {
        match self {
            Self::CloudEvent | Self::CloudEventBatch | Self::CloudEventBinary => true,
            Self::Single | Self::Batch | Self::Lines => false,
        }
    }
}

/// The events of a request, in order.
#[derive(Debug)]
pub struct Decoded {
    pub(super) tenant: TenantId,
    pub(super) write: WriteScope,
    pub(super) in_force: Arc<InForce>,
    pub(super) place: OwnedSemaphorePermit,
    pub(super) form: Form,
    pub(super) received_at: UnixMillis,
    pub(super) events: Vec<Event>,
}

impl Decoded {
    /// How many events it has.
    pub(crate) fn count(&self) -> usize {
        self.events.len()
    }
}

/// Reads a body.
///
/// # Errors
/// Where it is no JSON text, or none of the form it claims to have.
pub fn decode(
    admitted: Admitted,
    headers: &HeaderMap,
    form: Form,
    body: Bytes,
    options: &IngressOptions,
) -> Result<Decoded, Problem> {
    let (tenant, write, in_force, place) = admitted.into_parts();
    let body = match form {
        Form::CloudEventBinary => cloudevents::structured(headers, &body)?,
        Form::Single | Form::Batch | Form::Lines | Form::CloudEvent | Form::CloudEventBatch => {
            Vec::from(body)
        }
    };
    let event_depth = match form {
        Form::Batch => 2,
        Form::CloudEventBatch => 1,
        Form::Single | Form::Lines | Form::CloudEvent | Form::CloudEventBinary => 0,
    };
    let limits = Limits { depth: options.max_depth, event_depth };
    let builder = Builder::new(body, limits).map_err(malformed)?;
    let parts = match form {
        Form::Lines => lines(builder, options),
        Form::Single | Form::CloudEvent | Form::CloudEventBinary => whole(builder),
        Form::Batch => elements(builder, Some("events"), options),
        Form::CloudEventBatch => elements(builder, None, options),
    }?;
    let received_at = UnixMillis::now();
    let mut events = parts.into_events(received_at, options);
    if form.is_cloud_event() {
        events.iter_mut().for_each(cloudevents::check);
    }
    Ok(Decoded { tenant, write, in_force, place, form, received_at, events })
}

/// A parsed body and where its events are in it.
struct Parts {
    document: Document,
    /// The event's value, or why there is none.
    events: Vec<Result<u32, JsonError>>,
}

impl Parts {
    fn into_events(self, now: UnixMillis, options: &IngressOptions) -> Vec<Event> {
        let document = Arc::new(self.document);
        self.events
            .into_iter()
            .map(|root| {
                let event_id = mint(now);
                let open = |root| {
                    State::Open(Open { document: Arc::clone(&document), root, identity: None })
                };
                let mut event = Event { event_id, state: open(*root.as_ref().unwrap_or(&0)) };
                match root {
                    Err(error) => event
                        .reject(vec![host_finding("malformed-json", &error.pointer, error.what)]),
                    Ok(root) => {
                        let node = document.at(root);
                        if node.kind() != Kind::Object {
                            event.reject(vec![host_finding(
                                "not-an-object", "", "an event is a JSON object",
                            )]);
                        } else if node.span().len() > options.max_event_bytes {
                            let detail = format!(
                                "the event has {} bytes; at most {} are taken",
                                node.span().len(),
                                options.max_event_bytes
                            );
                            event.reject(vec![host_finding("event-too-large", "", detail)]);
                        }
                    }
                }
                event
            })
            .collect()
    }
}

fn whole(mut builder: Builder) -> Result<Parts, Problem> {
    let root = builder.whole().map_err(malformed)?;
    match builder.take_flaws().into_iter().next() {
        Some(flaw) => Err(malformed(flaw.into())),
        None => Ok(Parts { document: builder.finish(), events: vec![Ok(root)] }),
    }
}

/// The elements of the body's array: of the member `name`, or of the body itself.
fn elements(
    mut builder: Builder,
    name: Option<&str>,
    options: &IngressOptions,
) -> Result<Parts, Problem> {
    let root = builder.whole().map_err(malformed)?;
    let flaws = builder.take_flaws();
    let document = builder.finish();
    let shape =
        |pointer: &str, detail: &str| Problem::new(ProblemType::MalformedBatch, detail).at(pointer);
    let list = match name {
        None => document.at(root),
        Some(name) => {
            let envelope = document.at(root);
            if let Some((other, _)) =
                envelope.members().find(|(member, _)| member.as_str() != Some(name))
            {
                let mut pointer = String::new();
                tidegate_event::pointer::push_step(
                    &mut pointer,
                    other.as_str().unwrap_or_default(),
                );
                return Err(shape(&pointer, "a batch has the member `events` and no other"));
            }
            envelope.get(name).ok_or_else(|| shape("", "a batch is `{\"events\":[…]}`"))?
        }
    };
    let at = if name.is_some() { "/events" } else { "" };
    if list.kind() != Kind::Array {
        return Err(shape(at, "the events of a batch are an array"));
    }
    check_count(list.len() as usize, at, options)?;
    let mut flaws = flaws.into_iter().peekable();
    let mut events = Vec::with_capacity(list.len() as usize);
    for (place, element) in list.elements().enumerate() {
        // Flaws come in the order of their offsets, and so do events.
        let first = flaws.next_if(|flaw| flaw.offset <= element.span().end);
        while flaws.next_if(|flaw| flaw.offset <= element.span().end).is_some() {}
        events.push(match first {
            None => Ok(element.index()),
            Some(flaw) => Err(within(flaw, &format!("{at}/{place}"))),
        });
    }
    // Names of the envelope itself.
    match flaws.next() {
        Some(flaw) => Err(malformed(flaw.into())),
        None => Ok(Parts { document, events }),
    }
}

/// A flaw with its pointer from the event instead of from the body.
fn within(flaw: Flaw, event: &str) -> JsonError {
    let mut error = JsonError::from(flaw);
    if let Some(rest) = error.pointer.strip_prefix(event) {
        error.pointer = rest.to_owned();
    }
    error
}

fn lines(mut builder: Builder, options: &IngressOptions) -> Result<Parts, Problem> {
    let mut ranges = Vec::new();
    let mut start = 0;
    for line in builder.source().split_inclusive('\n') {
        if !line.trim_ascii().is_empty() {
            ranges.push(start..start + line.trim_ascii_end().len());
            check_count(ranges.len(), "", options)?;
        }
        start += line.len();
    }
    check_count(ranges.len(), "", options)?;
    let mut events = Vec::with_capacity(ranges.len());
    for range in ranges {
        let value = builder.value(range);
        let flaw = builder.take_flaws().into_iter().next();
        events.push(value.and_then(|root| flaw.map_or(Ok(root), |flaw| Err(flaw.into()))));
    }
    Ok(Parts { document: builder.finish(), events })
}

fn check_count(count: usize, pointer: &str, options: &IngressOptions) -> Result<(), Problem> {
    let fail = |kind, detail: String| Err(Problem::new(kind, detail).at(pointer));
    if count == 0 {
        return fail(ProblemType::MalformedBatch, "the batch has no events".into());
    }
    if count > options.max_batch_events {
        let limit = options.max_batch_events;
        return fail(
            ProblemType::TooLarge,
            format!("the batch has more than {limit} events; send it in parts"),
        );
    }
    Ok(())
}

fn malformed(error: JsonError) -> Problem {
    let detail =
        format!("{} at byte {}; nothing of the request was stored", error.what, error.offset);
    Problem::new(ProblemType::MalformedJson, detail).at(error.pointer)
}

thread_local! {
    static MINTER: RefCell<Option<Minter>> = const { RefCell::new(None) };
}

/// A new id.
pub(crate) fn mint(now: UnixMillis) -> EventId {
    MINTER.with_borrow_mut(|minter| match minter {
        Some(minter) => minter.mint(now),
        None => {
            minter.insert(Minter::new().expect("the operating system has random bytes")).mint(now)
        }
    })
}
