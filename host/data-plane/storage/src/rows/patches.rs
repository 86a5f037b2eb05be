//! Patches as readable JSON, and back: `[{"op":"set","pointer":"/a","value":1},{"op":"remove","pointer":"/b"}]`.

use serde_json::value::RawValue;
use tidegate_event::patch::{self, Op, Patch, PatchError};
use tidegate_event::text::push_string;

/// The encoded patches as JSON; values as the rule wrote them.
pub(crate) fn to_json(patches: &[u8]) -> Result<Vec<u8>, PatchError> {
    let mut out = vec![b'['];
    for patch in patch::decode(patches) {
        let Patch { op, pointer, value } = patch?;
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(match op {
            Op::Set => br#"{"op":"set","pointer":"#,
            Op::Remove => br#"{"op":"remove","pointer":"#,
        });
        push_string(&mut out, pointer);
        if op == Op::Set {
            out.extend_from_slice(br#","value":"#);
            out.extend_from_slice(value);
        }
        out.push(b'}');
    }
    out.push(b']');
    Ok(out)
}

/// The patches of [`to_json`], encoded as they were, byte for byte. `None` for any other text.
pub(crate) fn from_json(json: &str) -> Option<Vec<u8>> {
    let mut rest = json.strip_prefix('[')?.strip_suffix(']')?;
    let mut out = Vec::with_capacity(json.len());
    while !rest.is_empty() {
        rest = rest.strip_prefix(r#"{"op":""#)?;
        let (op, after) = if let Some(after) = rest.strip_prefix(r#"set","pointer":"#) {
            (Op::Set, after)
        } else {
            (Op::Remove, rest.strip_prefix(r#"remove","pointer":"#)?)
        };
        let (pointer, after) = take_json(after)?;
        let pointer: String = serde_json::from_str(pointer).ok()?;
        let (value, after) = match op {
            // White space around a value is as the rule wrote it.
            Op::Set => take_json(after.strip_prefix(r#","value":"#)?)?,
            Op::Remove => ("", after),
        };
        let patch = Patch { op, pointer: &pointer, value: value.as_bytes() };
        patch::encode(&mut out, patch).ok()?;
        rest = after.strip_prefix('}')?;
        rest = rest.strip_prefix(',').unwrap_or(rest);
    }
    Some(out)
}

/// Splits a JSON value, with the white space around it, off a text.
fn take_json(text: &str) -> Option<(&str, &str)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    values.next()?.ok()?;
    let end = values.byte_offset();
    let blank = text.get(end..)?;
    let blank = blank.len() - blank.trim_start_matches([' ', '\t', '\n', '\r']).len();
    text.split_at_checked(end + blank)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn patches_come_back_byte_for_byte(patches in proptest::collection::vec(
            ("(/\\PC{0,9}){0,3}", prop_oneof![
                Just("1.50"), Just(" [1 , {\"a\\u0062\":null}]\n"), Just("\"\\ud834\\udd1e\""),
                Just("{}"), Just("true"), Just("-0e5 "), Just("\"}, {\""),
            ], any::<bool>()), 1..5,
        )) {
            let mut encoded = Vec::new();
            for (pointer, value, set) in &patches {
                let (op, value) = if *set { (Op::Set, *value) } else { (Op::Remove, "") };
                patch::encode(&mut encoded, Patch { op, pointer, value: value.as_bytes() }).unwrap();
            }
            let json = String::from_utf8(to_json(&encoded).unwrap()).unwrap();
            serde_json::from_str::<Vec<serde_json::Value>>(&json).unwrap();
            prop_assert_eq!(from_json(&json).unwrap(), encoded, "{}", json);
        }
    }

    #[test]
    fn other_texts_are_no_patches() {
        for text in ["", "{}", "[1]", "[{}]", r#"[{"op":"set","pointer":"/a"}]"#, r#"[{"op":"set"#]
        {
            assert_eq!(from_json(text), None, "{text}");
        }
        assert_eq!(from_json("[]"), Some(Vec::new()));
    }
}
