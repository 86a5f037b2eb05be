//! The headers of a record.
//!
//! | header | what |
//! |---|---|
//! | `content-type` | `application/json`, or `application/cloudevents+json` where the value is a CloudEvent itself |
//! | `tidegate-event-id` | the id that the receipt names: the same in each copy of a record |
//! | `tidegate-tenant` | the tenant |
//! | `tidegate-revision` | the digest of the revision that judged the event, where one did |
//! | `traceparent` | W3C trace context, where the event came with it |
//! | `ce_specversion`, `ce_id`, `ce_source`, `ce_type`, `ce_time` | the attributes of a CloudEvent in binary mode, where the value is not one itself: `ce_id` is the event's id, `ce_time` is there where the event says its time |
//! | `tidegate-findings` | of an event in quarantine: a JSON array |
//! | `tidegate-dead-code`, `-detail`, `-sink`, `-stands-for` | of a dead letter: why, in a word and for people; which sink refused it; how many letters it counts |

use rdkafka::message::{Header, OwnedHeaders};
use tidegate_sinks::{Kind, Message, NO_REVISION};

/// Most headers that a record has.
const MOST: usize = 14;

/// Of a value that is the event's data.
const JSON: &[u8] = b"application/json";
/// Of a value that is a CloudEvent in structured form.
const CLOUD_EVENT: &[u8] = b"application/cloudevents+json; charset=UTF-8";

/// Headers in the making.
struct Making(OwnedHeaders);

impl Making {
    fn add(self, key: &str, value: &[u8]) -> Self {
        Self(self.0.insert(Header { key, value: Some(value) }))
    }
}

/// The headers of a message.
pub(crate) fn of(message: &Message<'_>) -> OwnedHeaders {
    let id = message.event_id.text();
    let content_type = if message.cloud_event { CLOUD_EVENT } else { JSON };
    let mut headers = Making(OwnedHeaders::new_with_capacity(MOST))
        .add("content-type", content_type)
        .add("tidegate-event-id", &id)
        .add("tidegate-tenant", message.tenant.as_bytes());
    if message.revision != NO_REVISION {
        headers = headers.add("tidegate-revision", message.revision.to_string().as_bytes());
    }
    if let Some(trace) = message.traceparent {
        headers = headers.add("traceparent", trace.as_bytes());
    }
    if !message.cloud_event {
        headers = headers
            .add("ce_specversion", b"1.0")
            .add("ce_id", &id)
            .add("ce_source", message.source.as_bytes())
            .add("ce_type", message.event_type.as_bytes());
        if let Some(time) = message.event_time {
            headers = headers.add("ce_time", &time.rfc3339());
        }
    }
    let headers = match message.kind {
        Kind::Accepted => headers,
        Kind::Quarantined { findings } => {
            headers.add("tidegate-findings", if findings.is_empty() { b"[]" } else { findings })
        }
        Kind::Dead(reason) => headers
            .add("tidegate-dead-code", reason.code.as_bytes())
            .add("tidegate-dead-detail", reason.detail.as_bytes())
            .add("tidegate-dead-sink", reason.sink.as_bytes())
            .add("tidegate-dead-stands-for", reason.stands_for.to_string().as_bytes()),
    };
    headers.0
}
