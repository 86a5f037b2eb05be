//! Patches: what enrichers change in an event. The original bytes stay as they are; the delivered
//! form is made from both when it is needed.
//!
//! # Encoding
//! Patches stand one after the other, integers little-endian:
//! `op: u8 (0 set, 1 remove) · pointer bytes: u16 · pointer · value bytes: u32 · value (JSON)`.

mod splice;

use crate::document::{Kind, Node};
use crate::pointer::Pointer;
use splice::Edits;

/// What a patch does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    Set,
    Remove,
}

/// One patch, read from its encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patch<'a> {
    pub op: Op,
    pub pointer: &'a str,
    /// JSON; empty for a removal.
    pub value: &'a [u8],
}

/// Bytes that are no patches, or patches that do not fit their event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    #[error("the encoded patches end in the middle of one")]
    Truncated,
    #[error("operation {0} is neither set nor remove")]
    UnknownOp(u8),
    #[error(transparent)]
    Pointer(#[from] crate::pointer::InvalidPointer),
    #[error("the original event cannot be read: {0}")]
    Original(#[from] crate::JsonError),
    #[error("`{0}` cannot be patched: a value on the way is neither an object nor an array")]
    Blocked(String),
    #[error("the pointer or the value of a patch is too long")]
    TooLong,
}

/// Appends a patch.
///
/// # Errors
/// Where the pointer is longer than 65,535 bytes or the value than 4 GiB.
pub fn encode(out: &mut Vec<u8>, patch: Patch<'_>) -> Result<(), PatchError> {
    let pointer_len = u16::try_from(patch.pointer.len()).map_err(|_| PatchError::TooLong)?;
    let value_len = u32::try_from(patch.value.len()).map_err(|_| PatchError::TooLong)?;
    out.push(match patch.op {
        Op::Set => 0,
        Op::Remove => 1,
    });
    out.extend_from_slice(&pointer_len.to_le_bytes());
    out.extend_from_slice(patch.pointer.as_bytes());
    out.extend_from_slice(&value_len.to_le_bytes());
    out.extend_from_slice(patch.value);
    Ok(())
}

/// Reads patches one by one; ends after the first error.
pub fn decode(bytes: &[u8]) -> impl Iterator<Item = Result<Patch<'_>, PatchError>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let result = decode_one(&mut rest);
        if result.is_err() {
            rest = &[];
        }
        Some(result)
    })
}

fn decode_one<'a>(rest: &mut &'a [u8]) -> Result<Patch<'a>, PatchError> {
    let mut take = |len: usize| -> Result<&'a [u8], PatchError> {
        let (head, tail) = rest.split_at_checked(len).ok_or(PatchError::Truncated)?;
        *rest = tail;
        Ok(head)
    };
    let op = match take(1)? {
        [0] => Op::Set,
        [1] => Op::Remove,
        other => return Err(PatchError::UnknownOp(other.first().copied().unwrap_or_default())),
    };
    let len = take(2)?.try_into().map_or(0, u16::from_le_bytes);
    let pointer =
        std::str::from_utf8(take(usize::from(len))?).map_err(|_| PatchError::Truncated)?;
    let len = take(4)?.try_into().map_or(0, u32::from_le_bytes);
    let value = take(len as usize)?;
    Ok(Patch { op, pointer, value })
}

/// Can the field at `pointer` be set (or removed) in this event? Missing parents are created;
/// elements of arrays are only replaced.
#[must_use]
pub fn fits(root: Node<'_>, pointer: &Pointer, op: Op) -> bool {
    let mut node = root;
    let count = pointer.steps().len();
    for (place, step) in pointer.steps().iter().enumerate() {
        let last = place + 1 == count;
        match node.kind() {
            Kind::Object => match node.get(&step.name) {
                Some(child) => node = child,
                None => return true,
            },
            Kind::Array => match node.child(step) {
                Some(child) if !(last && op == Op::Remove) => node = child,
                Some(_) | None => return false,
            },
            Kind::Null | Kind::False | Kind::True | Kind::Number | Kind::String => return false,
        }
    }
    count > 0
}

/// The delivered form: the original with the patches applied in order. Values that no patch
/// touches come out as they were written; white space between them does not. The original is
/// trusted to be an event that was parsed before: only what lies on the way to patches is read.
///
/// # Errors
/// Where the patches cannot be decoded, or do not fit the original.
pub fn apply(original: &[u8], patches: &[u8]) -> Result<Vec<u8>, PatchError> {
    if patches.is_empty() {
        return Ok(original.to_vec());
    }
    let original = std::str::from_utf8(original).map_err(unreadable)?;
    let mut edits = Edits::default();
    for patch in decode(patches) {
        edits.insert(patch?)?;
    }
    let mut out = Vec::with_capacity(original.len() + patches.len());
    edits.write(&mut out, original)?;
    Ok(out)
}

fn unreadable(error: impl std::fmt::Display) -> PatchError {
    let (what, pointer) = (error.to_string(), String::new());
    PatchError::Original(crate::JsonError { what, offset: 0, pointer })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(original: &str, patches: &[(Op, &str, &str)]) -> Result<String, PatchError> {
        let mut bytes = Vec::new();
        for (op, pointer, value) in patches {
            encode(&mut bytes, Patch { op: *op, pointer, value: value.as_bytes() }).expect("short");
        }
        apply(original.as_bytes(), &bytes).map(|out| String::from_utf8(out).expect("text"))
    }

    #[test]
    fn delivered_forms() {
        use Op::{Remove, Set};
        for (original, patches, expected) in [
            (r#"{ "a" : 1.50 }"#, &[][..], r#"{ "a" : 1.50 }"#),
            (r#"{ "a" : 1.50e0, "b":2 }"#, &[(Set, "/b", "3")], r#"{"a":1.50e0,"b":3}"#),
            (
                r#"{"a":{"x":1}}"#,
                &[(Set, "/a/y", "2"), (Set, "/c/d/e", "true")],
                r#"{"a":{"x":1,"y":2},"c":{"d":{"e":true}}}"#,
            ),
            (
                r#"{"a":1,"b":2,"c":3}"#,
                &[(Remove, "/b", ""), (Remove, "/z/y", "")],
                r#"{"a":1,"c":3}"#,
            ),
            (r#"{"a":1}"#, &[(Remove, "/a", "")], "{}"),
            (r#"{"a":1}"#, &[(Set, "/a", "2"), (Set, "/a", "3")], r#"{"a":3}"#),
            (r#"{"a":1}"#, &[(Set, "/a", "2"), (Remove, "/a", "")], "{}"),
            (
                r#"{"a":[1,{"b":2},3]}"#,
                &[(Set, "/a/1/b", "[]"), (Set, "/a/0", "null")],
                r#"{"a":[null,{"b":[]},3]}"#,
            ),
            (
                r#"{"a~b":{"/":1}}"#,
                &[(Set, "/a~0b/~1", "2"), (Set, "/\"\n", "1")],
                "{\"a~b\":{\"/\":2},\"\\\"\\n\":1}",
            ),
            ("{}", &[(Set, "/a/b", "1")], r#"{"a":{"b":1}}"#),
        ] {
            assert_eq!(run(original, patches).expect("fits"), expected, "{original} {patches:?}");
        }
    }

    #[test]
    fn blocked_places() {
        for (original, op, pointer) in [
            (r#"{"a":1}"#, Op::Set, "/a/b"),
            (r#"{"a":null}"#, Op::Set, "/a/b"),
            (r#"{"a":[1]}"#, Op::Set, "/a/1"),
            (r#"{"a":[1]}"#, Op::Set, "/a/-"),
            (r#"{"a":[1]}"#, Op::Remove, "/a/0"),
            ("[]", Op::Set, "/a"),
            ("{}", Op::Set, ""),
        ] {
            assert_eq!(
                run(original, &[(op, pointer, "1")]),
                Err(PatchError::Blocked(pointer.into())),
                "{original}"
            );
        }
    }

    #[test]
    fn cut_encodings_are_refused() {
        let mut bytes = Vec::new();
        encode(&mut bytes, Patch { op: Op::Set, pointer: "/a", value: b"1" }).expect("short");
        for len in 1..bytes.len() {
            let cut: Vec<_> = decode(&bytes[..len]).collect();
            assert_eq!(cut, [Err(PatchError::Truncated)], "{len}");
        }
        assert_eq!(decode(&[7]).collect::<Vec<_>>(), [Err(PatchError::UnknownOp(7))]);
    }
}
