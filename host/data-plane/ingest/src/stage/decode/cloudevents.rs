//! CloudEvents 1.0.2 over HTTP. An event in binary mode is put into the structured form, its data
//! as it came, so that rules, schemas and storage see one form whatever the mode was.
//!
//! Sources: CloudEvents specification 1.0.2, HTTP protocol binding (sections 3.1 and 3.1.3.2) and
//! JSON event format.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::HeaderMap;
use tidegate_event::{Kind, text::push_string};
use tidegate_types::{Finding, Problem, ProblemType, UnixMillis};

use crate::event::{Event, State, host_finding};

/// Attributes that every event has.
const REQUIRED: [&str; 4] = ["specversion", "id", "source", "type"];

/// The structured form of an event in binary mode.
pub(super) fn structured(headers: &HeaderMap, body: &[u8]) -> Result<Vec<u8>, Problem> {
    let fail = |detail: String| Problem::new(ProblemType::MalformedCloudEvent, detail);
    let mut out = Vec::with_capacity(body.len() + 512);
    out.push(b'{');
    for name in headers.keys() {
        let Some(attribute) = name.as_str().strip_prefix("ce-") else { continue };
        if matches!(attribute, "datacontenttype" | "data" | "data_base64") {
            return Err(fail(format!(
                "the header ce-{attribute} is not allowed: data goes into the body, its type into Content-Type"
            )));
        }
        if attribute.is_empty()
            || !attribute.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        {
            return Err(fail(format!(
                "`{attribute}` is no attribute name: lower-case letters and digits"
            )));
        }
        let mut values = headers.get_all(name).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(fail(format!("the header ce-{attribute} is there more than once")));
        };
        let text = header_text(value.as_bytes()).ok_or_else(|| {
            fail(format!("the value of ce-{attribute} is not percent-encoded UTF-8"))
        })?;
        push_member(&mut out, attribute);
        push_string(&mut out, &text);
    }
    push_data(&mut out, headers, body)?;
    out.push(b'}');
    Ok(out)
}

fn push_member(out: &mut Vec<u8>, name: &str) {
    if out.len() > 1 {
        out.push(b',');
    }
    push_string(out, name);
    out.push(b':');
}

fn push_data(out: &mut Vec<u8>, headers: &HeaderMap, body: &[u8]) -> Result<(), Problem> {
    let content_type =
        headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if let Some(content_type) = content_type {
        push_member(out, "datacontenttype");
        push_string(out, content_type);
    }
    if body.is_empty() {
        return Ok(());
    }
    let essence =
        content_type.unwrap_or("application/json").split(';').next().unwrap_or_default().trim();
    if essence == "application/json" || essence.ends_with("+json") {
        push_member(out, "data");
        // Another value after the data would become part of the envelope.
        tidegate_event::Document::parse(body.to_vec()).map_err(|error| {
            let detail = format!("the data is not JSON: {} at byte {}", error.what, error.offset);
            Problem::new(ProblemType::MalformedJson, detail).at(format!("/data{}", error.pointer))
        })?;
        out.extend_from_slice(body);
    } else if essence.starts_with("text/") {
        let text = std::str::from_utf8(body).map_err(|_| {
            Problem::new(ProblemType::MalformedCloudEvent, "the data is not valid UTF-8")
                .at("/data")
        })?;
        push_member(out, "data");
        push_string(out, text);
    } else {
        push_member(out, "data_base64");
        push_string(out, &BASE64.encode(body));
    }
    Ok(())
}

/// A header's value as text: one round of percent-decoding; a value in double quotes is unquoted.
fn header_text(value: &[u8]) -> Option<String> {
    let inner = match value {
        [b'"', inner @ .., b'"'] => unquote(inner)?,
        _ => value.to_vec(),
    };
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner.as_slice();
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        if *byte == b'%' {
            let (digits, tail) = rest.split_first_chunk::<2>()?;
            let digits = std::str::from_utf8(digits)
                .ok()
                .filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
            out.push(u8::from_str_radix(digits, 16).ok()?);
            rest = tail;
        } else {
            out.push(*byte);
        }
    }
    String::from_utf8(out).ok()
}

fn unquote(inner: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'\\' => *bytes.next()?,
            b'"' => return None,
            other => *other,
        });
    }
    Some(out)
}

/// Rejects an event that lacks what every CloudEvent has.
pub(super) fn check(event: &mut Event) {
    let State::Open(open) = &event.state else { return };
    let node = open.node();
    let mut findings: Vec<Finding> = Vec::new();
    for name in REQUIRED {
        let text = node.get(name).and_then(|value| value.as_str());
        let pointer = format!("/{name}");
        match text {
            Some("") | None => findings.push(host_finding(
                "cloudevent-attribute",
                &pointer,
                "the attribute must be a text that is not empty",
            )),
            Some(version) if name == "specversion" && version != "1.0" => {
                findings.push(host_finding(
                    "cloudevent-attribute", &pointer, "only version 1.0 is taken",
                ));
            }
            Some(_) => {}
        }
    }
    if let Some(time) = node.get("time").filter(|time| time.kind() != Kind::Null)
        && !time.as_str().is_some_and(UnixMillis::is_rfc3339)
    {
        findings.push(host_finding(
            "cloudevent-attribute",
            "/time",
            "the time must be an RFC 3339 timestamp",
        ));
    }
    if node.get("data").is_some() && node.get("data_base64").is_some() {
        findings.push(host_finding(
            "cloudevent-attribute",
            "/data_base64",
            "an event has data or data_base64, not both",
        ));
    }
    if !findings.is_empty() {
        event.reject(findings);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_values() {
        for (value, expected) in [
            ("abc", Some("abc")),
            ("Euro%20%E2%82%AC%20%F0%9F%98%80", Some("Euro € 😀")),
            ("%2525", Some("%25")),
            ("\"quoted \\\" %41\"", Some("quoted \" A")),
            ("%C0%A0", None),
            ("%4", None),
            ("%zz", None),
            ("%+1", None),
            ("\"a\"b\"", None),
            ("", Some("")),
        ] {
            assert_eq!(header_text(value.as_bytes()).as_deref(), expected, "{value}");
        }
    }
}
