//! Gives an idempotency key to events that have none, the same each time the same file is posted.

use std::fmt;
use std::path::Path;

use bytes::Bytes;
use serde::de::{Deserializer as _, IgnoredAny, MapAccess, Visitor};
use tidegate_types::Digest;

/// Adds the member `field` where the event is an object without it. The key is the first 128 bits
/// of a SHA-256 over the file's name, the record's number and the record: equal records of one file
/// get different keys, and posting the file again gives the same ones.
pub(super) fn add_key(event: Bytes, field: &str, path: &Path, number: u64) -> Bytes {
    let rest = event.trim_ascii_start().strip_prefix(b"{");
    let (Some(rest), Some(false)) = (rest, has_member(&event, field)) else { return event };
    let file = path.file_name().unwrap_or_default().as_encoded_bytes();
    let mut hashed = Vec::with_capacity(file.len() + 32 + event.len());
    // A file's name holds no zero byte, so the three parts cannot run into each other.
    hashed.extend_from_slice(file);
    hashed.push(0);
    hashed.extend_from_slice(&number.to_be_bytes());
    hashed.extend_from_slice(&event);
    let key: String = Digest::of(&hashed).hex().chars().take(32).collect();

    let name = serde_json::Value::from(field).to_string();
    let comma = if rest.trim_ascii_start().starts_with(b"}") { "" } else { "," };
    let mut out = format!("{{{name}:\"{key}\"{comma}").into_bytes();
    out.extend_from_slice(rest);
    out.into()
}

/// `None` where the event is no JSON object.
fn has_member(event: &[u8], field: &str) -> Option<bool> {
    let mut deserializer = serde_json::Deserializer::from_slice(event);
    let found = deserializer.deserialize_map(HasMember(field)).ok()?;
    deserializer.end().ok()?;
    Some(found)
}

struct HasMember<'a>(&'a str);

impl<'de> Visitor<'de> for HasMember<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut members: M) -> Result<bool, M::Error> {
        let mut found = false;
        while let Some(name) = members.next_key::<String>()? {
            found |= name == self.0;
            members.next_value::<IgnoredAny>()?;
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn with_key(event: &'static str, file: &str, number: u64) -> String {
        let event = add_key(Bytes::from_static(event.as_bytes()), "k\"1", Path::new(file), number);
        String::from_utf8(event.to_vec()).unwrap()
    }

    #[test]
    fn only_objects_without_a_key_get_one() {
        for event in [
            r#"{"k\"1":null}"#, r#"{"a":1,"k\u00221":"x"}"#, "[1]", "7", "", "{", "{}}",
            r#"{"a":}"#,
        ] {
            assert_eq!(with_key(event, "f", 1), event);
        }
        for (event, rest) in
            [("{}", "}"), (" { } ", " } "), (r#"{"a":{"k\"1":2}}"#, r#","a":{"k\"1":2}}"#)]
        {
            let text = with_key(event, "f", 1);
            assert!(text.starts_with(r#"{"k\"1":""#) && text.ends_with(rest), "{text}");
            let parsed: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(parsed["k\"1"].as_str().unwrap().len(), 32, "{text}");
        }
    }

    #[test]
    fn keys_differ_by_file_place_and_content_alone() {
        let keys: BTreeSet<_> = [("{}", "f", 1), ("{}", "f", 2), ("{}", "g", 1), ("{ }", "f", 1)]
            .map(|(e, f, n)| with_key(e, f, n))
            .into();
        assert_eq!(keys.len(), 4);
        assert_eq!(with_key("{}", "here/f", 1), with_key("{}", "there/f", 1));
    }
}
