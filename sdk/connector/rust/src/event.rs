//! One event as it is sent: checked, and with its idempotency key.

use std::fmt;

use bytes::{BufMut as _, Bytes, BytesMut};
use serde::Deserializer;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

const MOST_KEY_BYTES: usize = 255;
const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

/// Why an event cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEvent {
    #[error("the event is not valid JSON: {0}")]
    NotJson(String),
    #[error("the event must be a JSON object")]
    NotAnObject,
    #[error("the member {field} must be a text or number of 1 to {MOST_KEY_BYTES} bytes")]
    Key { field: String },
    #[error("the event is longer than all that may be held")]
    TooLong,
}

/// An event that can be sent.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) text: Bytes,
    pub(crate) key: Option<String>,
}

/// Checks an event and gives it a key where it lacks one. Without a `key_field` it goes as it is, any
/// JSON text.
pub(crate) fn prepare(event: Bytes, key_field: Option<&str>) -> Result<Prepared, InvalidEvent> {
    let not_json = |detail: &dyn fmt::Display| InvalidEvent::NotJson(detail.to_string());
    let text = std::str::from_utf8(&event).map_err(|error| not_json(&error))?;
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| not_json(&error))?;
    let text = event.slice_ref(text.trim_matches(SPACE).as_bytes());
    let Some(field) = key_field else { return Ok(Prepared { text, key: None }) };
    if !text.starts_with(b"{") {
        return Err(InvalidEvent::NotAnObject);
    }
    let mut parser = serde_json::Deserializer::from_slice(&text);
    let member = Member(field).deserialize(&mut parser).map_err(|error| not_json(&error))?;
    if let Some(member) = member {
        let key = key_in(&member).ok_or_else(|| InvalidEvent::Key { field: field.to_owned() })?;
        return Ok(Prepared { text, key: Some(key) });
    }
    let key = minted();
    let text = with_member(&text, field, &key);
    Ok(Prepared { text, key: Some(key) })
}

/// A random UUID, version 4 (RFC 9562).
fn minted() -> String {
    let random: u128 = rand::random();
    let bits = random & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    let (a, rest) = hex.split_at(8);
    let (b, rest) = rest.split_at(4);
    let (c, rest) = rest.split_at(4);
    let (d, e) = rest.split_at(4);
    format!("{a}-{b}-{c}-{d}-{e}")
}

fn with_member(object: &[u8], field: &str, key: &str) -> Bytes {
    let rest = object.get(1..).unwrap_or_default();
    let is_empty = rest.trim_ascii_start().starts_with(b"}");
    let name = serde_json::Value::from(field).to_string();
    let mut text = BytesMut::with_capacity(object.len() + name.len() + key.len() + 4);
    text.put_u8(b'{');
    text.put_slice(name.as_bytes());
    text.put_slice(b":\"");
    text.put_slice(key.as_bytes());
    text.put_slice(if is_empty { b"\"" } else { b"\"," });
    text.put_slice(rest);
    text.freeze()
}

/// A text as it reads, a number as it is written.
fn key_in(member: &RawValue) -> Option<String> {
    let raw = member.get();
    let key = match raw.as_bytes().first()? {
        b'"' => serde_json::from_str(raw).ok()?,
        b'-' | b'0'..=b'9' => raw.to_owned(),
        _ => return None,
    };
    Some(key).filter(|key: &String| (1..=MOST_KEY_BYTES).contains(&key.len()))
}

/// Finds a member of an object; of several with one name, the last.
struct Member<'f>(&'f str);

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = Option<Box<RawValue>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<Box<RawValue>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(name) = map.next_key::<String>()? {
            if name == self.0 {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minted_keys_are_uuids_of_version_4() {
        let (one, other) = (minted(), minted());
        assert_ne!(one, other);
        for key in [one, other] {
            let lengths: Vec<usize> = key.split('-').map(str::len).collect();
            assert_eq!(lengths, [8, 4, 4, 4, 12], "{key}");
            assert_eq!(&key[14..15], "4", "{key}");
            assert!("89ab".contains(&key[19..20]), "{key}");
        }
    }

    #[test]
    fn events_are_those_of_the_table() {
        let rules: serde_json::Value =
            serde_json::from_str(include_str!("../../conformance/rules.json")).unwrap();
        for row in rules["events"].as_array().unwrap() {
            let field = match row.get("key_field") {
                None => Some("idempotencyKey"),
                Some(field) => field.as_str(),
            };
            let text = row["text"].as_str().unwrap().to_owned();
            match (prepare(text.into(), field), row.get("error")) {
                (Ok(event), None) => {
                    let minted = event.key.clone().unwrap_or_default();
                    let key = row["key"].as_str().map(|key| key.replace("MINTED", &minted));
                    assert_eq!(event.key, key, "{row}");
                    assert_eq!(
                        event.text,
                        row["sent"].as_str().unwrap().replace("MINTED", &minted)
                    );
                    let again = prepare(event.text.clone(), field).unwrap();
                    assert_eq!((again.text, again.key), (event.text, event.key), "{row}");
                }
                (Err(error), Some(word)) => {
                    assert!(error.to_string().contains(word.as_str().unwrap()), "{row}: {error}");
                }
                (prepared, _) => panic!("{row}: {prepared:?}"),
            }
        }
    }
}
