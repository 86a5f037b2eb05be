//! The data of a record: what is known of an event, as JSON.
//!
//! A CloudEvent 1.0 in structured form (`cloudevents/formats/json-format.md`, section 3):
//!
//! | attribute | is |
//! |---|---|
//! | `specversion`, `id`, `source`, `type` | `1.0`, the event's id, who made it, its type |
//! | `time` | when it happened, where the event says so |
//! | `datacontenttype`, `data` | `application/json`, the event byte for byte as it is delivered |
//! | `tenantid` | whose it is, by the credentials it came with |
//! | `receivedat` | when the gateway took it |
//! | `traceparent` | the trace context it came with, if any |
//! | `tidegaterevision` | the digest of the revision that judged it |
//! | `tidegatestatus`, `tidegatefindings` | `quarantined` and the findings (JSON as text), where a rule holds it |
//! | `tidegatedeadreason`, `tidegatedeaddetail`, `tidegatedeadsink`, `tidegatedeadcount` | of dead letters: the word, the explanation, the sink, and how many it stands for where that is more than one |
//!
//! An event that is a CloudEvent itself keeps its members as they are, and those that it lacks are put behind
//! them. `tenantid`, `receivedat` and all `tidegate…` are the gateway's word: a sender's own are replaced.

mod members;

use tidegate_sinks::{Kind, Message, NO_REVISION};

use crate::options::Envelope;
use members::Members;

/// Why there can be no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotAnObject;

/// The record's data.
///
/// # Errors
/// Where members are to be put into a body that is no JSON object.
pub(crate) fn encode(message: &Message<'_>, envelope: Envelope) -> Result<Vec<u8>, NotAnObject> {
    match (envelope, message.kind) {
        (Envelope::Event, Kind::Accepted) => with_tenant(message),
        (Envelope::Event, Kind::Quarantined { .. } | Kind::Dead(_))
        | (Envelope::CloudEvents, _) => {
            let attributes = attributes(message);
            if message.cloud_event {
                added(message.body, &attributes)
            } else {
                Ok(wrapped(message.body, &attributes))
            }
        }
    }
}

/// An attribute: its name, its value as JSON, and whether it is the gateway's word.
type Attribute = (&'static str, Vec<u8>, bool);

fn attributes(message: &Message<'_>) -> Vec<Attribute> {
    let mut all = Vec::with_capacity(16);
    let mut of_event = |name, value: &str| all.push((name, json(value), false));
    of_event("specversion", "1.0");
    of_event("id", &message.event_id.to_string());
    of_event("source", message.source);
    of_event("type", message.event_type);
    if let Some(time) = message.event_time {
        of_event("time", &time.to_rfc3339());
    }
    of_event("datacontenttype", "application/json");
    if let Some(trace) = message.traceparent {
        of_event("traceparent", trace);
    }
    let mut of_gateway = |name, value: &str| all.push((name, json(value), true));
    of_gateway("tenantid", message.tenant);
    of_gateway("receivedat", &message.event_id.received_at().to_rfc3339());
    if message.revision != NO_REVISION {
        of_gateway("tidegaterevision", &message.revision.to_string());
    }
    match message.kind {
        Kind::Accepted => {}
        Kind::Quarantined { findings } => {
            of_gateway("tidegatestatus", "quarantined");
            if !findings.is_empty() {
                of_gateway("tidegatefindings", &String::from_utf8_lossy(findings));
            }
        }
        Kind::Dead(reason) => {
            of_gateway("tidegatedeadreason", reason.code);
            of_gateway("tidegatedeaddetail", reason.detail);
            of_gateway("tidegatedeadsink", reason.sink);
            if reason.stands_for > 1 {
                // An Integer of CloudEvents has 32 bits.
                let count = i32::try_from(reason.stands_for).unwrap_or(i32::MAX);
                all.push(("tidegatedeadcount", count.to_string().into_bytes(), true));
            }
        }
    }
    all
}

fn wrapped(body: &[u8], attributes: &[Attribute]) -> Vec<u8> {
    let room = attributes.iter().map(|(name, value, _)| name.len() + value.len() + 4);
    let mut out = Vec::with_capacity(room.sum::<usize>() + body.len() + 16);
    let mut before = b'{';
    for (name, value, _) in attributes {
        member(&mut out, before, name, value);
        before = b',';
    }
    member(&mut out, before, "data", if body.is_empty() { b"null" } else { body });
    out.push(b'}');
    out
}

/// A CloudEvent in structured form with the attributes that it lacks.
fn added(body: &[u8], attributes: &[Attribute]) -> Result<Vec<u8>, NotAnObject> {
    let members = Members::read(body).ok_or(NotAnObject)?;
    let mut missing: Vec<(&str, &[u8])> = Vec::new();
    let mut replaced: Vec<(&str, &[u8])> = Vec::new();
    for (name, value, is_ours) in attributes {
        match members.value(name) {
            // It says itself what its data is.
            None if *name != "datacontenttype" => missing.push((name, value)),
            Some(own) if *is_ours && own.as_bytes() != value.as_slice() => {
                replaced.push((name, value))
            }
            None | Some(_) => {}
        }
    }
    // A sender's claim of a status that this event does not have is taken away.
    let ours = |name: &str| attributes.iter().any(|(ours, _, _)| *ours == name);
    let forged = members.names().any(|name| name.starts_with("tidegate") && !ours(name));
    if replaced.is_empty() && !forged {
        return splice(body, members.is_empty(), &missing).ok_or(NotAnObject);
    }
    let mut out = Vec::with_capacity(body.len() + 512);
    let mut before = b'{';
    let of_sender = members.all().filter(|(name, _)| !name.starts_with("tidegate") || ours(name));
    for (name, own) in of_sender {
        let ours = replaced.iter().find(|(replaced, _)| *replaced == name);
        member(&mut out, before, name, ours.map_or(own.as_bytes(), |(_, value)| value));
        before = b',';
    }
    for (name, value) in &missing {
        member(&mut out, before, name, value);
        before = b',';
    }
    out.push(b'}');
    Ok(out)
}

/// The event with a member `tenantId`.
fn with_tenant(message: &Message<'_>) -> Result<Vec<u8>, NotAnObject> {
    let members = Members::read(message.body).ok_or(NotAnObject)?;
    if members.value("tenantId").is_some() {
        return Ok(message.body.to_vec());
    }
    let tenant = json(message.tenant);
    splice(message.body, members.is_empty(), &[("tenantId", &tenant)]).ok_or(NotAnObject)
}

/// An object with further members at its end, otherwise byte for byte as it was.
fn splice(object: &[u8], is_empty: bool, members: &[(&str, &[u8])]) -> Option<Vec<u8>> {
    let end = object.iter().rposition(|byte| *byte == b'}')?;
    let (head, tail) = object.split_at_checked(end)?;
    let room = members.iter().map(|(name, value)| name.len() + value.len() + 4);
    let mut out = Vec::with_capacity(object.len() + room.sum::<usize>());
    out.extend_from_slice(head);
    for (index, (name, value)) in members.iter().enumerate() {
        if is_empty && index == 0 {
            out.extend(json(name));
            out.push(b':');
            out.extend_from_slice(value);
        } else {
            member(&mut out, b',', name, value);
        }
    }
    out.extend_from_slice(tail);
    Some(out)
}

fn member(out: &mut Vec<u8>, before: u8, name: &str, value: &[u8]) {
    out.push(before);
    out.extend(json(name));
    out.push(b':');
    out.extend_from_slice(value);
}

fn json(text: &str) -> Vec<u8> {
    serde_json::to_vec(text).expect("text is JSON")
}

#[cfg(test)]
mod tests;
