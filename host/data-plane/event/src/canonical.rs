//! The canonical form of an event, for the fingerprint that tells one payload from another: no
//! white space, object members sorted by the bytes of their names, strings escaped minimally,
//! numbers as written.

use std::cell::RefCell;

use sha2::{Digest as _, Sha256};

use crate::document::{Kind, Node};
use crate::text::push_string;

/// The first 16 bytes of the SHA-256 of the canonical form, without the member at `except`
/// (the idempotency key itself).
#[must_use]
pub fn fingerprint(root: Node<'_>, except: Option<Node<'_>>) -> [u8; 16] {
    SCRATCH.with_borrow_mut(|Scratch { text, members }| {
        members.clear();
        write(text, members, root, except.map(|node| node.index));
        let digest: [u8; 32] = Sha256::digest(&*text).into();
        // A huge event must not keep its memory for ever.
        text.clear();
        text.shrink_to(MAX_KEPT);
        let mut first = [0; 16];
        first.copy_from_slice(digest.first_chunk::<16>().unwrap_or(&[0; 16]));
        first
    })
}

/// Bytes of text that a thread keeps from one fingerprint to the next.
const MAX_KEPT: usize = 64 << 10;

/// Memory that is used again.
#[derive(Default)]
struct Scratch {
    text: Vec<u8>,
    members: Vec<u32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Appends the canonical form. The depth is bounded by the parser's limit. `members` is a stack of
/// the names of the objects that are being written.
fn write(out: &mut Vec<u8>, members: &mut Vec<u32>, node: Node<'_>, except: Option<u32>) {
    match node.kind() {
        Kind::Object => {
            let document = node.document;
            let base = members.len();
            let kept = node.members().filter(|(_, value)| Some(value.index) != except);
            members.extend(kept.map(|(name, _)| name.index));
            if let Some(names) = members.get_mut(base..) {
                names.sort_unstable_by_key(|name| document.at(*name).as_text_bytes());
            }
            out.push(b'{');
            let end = members.len();
            for place in base..end {
                if place > base {
                    out.push(b',');
                }
                let name = document.at(members.get(place).copied().unwrap_or_default());
                match name.entry().escaped {
                    true => push_string(out, name.as_str().unwrap_or_default()),
                    // As it stands in the source, with its quotation marks.
                    false => out.extend_from_slice(name.lexeme().as_bytes()),
                }
                out.push(b':');
                write(out, members, document.at(name.index + 1), except);
            }
            members.truncate(base);
            out.push(b'}');
        }
        Kind::Array => {
            out.push(b'[');
            for (place, element) in node.elements().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                write(out, members, element, except);
            }
            out.push(b']');
        }
        Kind::String if node.entry().escaped => push_string(out, node.as_str().unwrap_or_default()),
        Kind::String | Kind::Number | Kind::Null | Kind::True | Kind::False => {
            out.extend_from_slice(node.lexeme().as_bytes());
        }
    }
}

/// Appends the canonical form of a whole value.
pub fn write_canonical(out: &mut Vec<u8>, node: Node<'_>) {
    write(out, &mut Vec::new(), node, None);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Document;

    fn canonical(text: &str) -> String {
        let document = Document::parse(text.into()).expect("valid");
        let mut out = Vec::new();
        write_canonical(&mut out, document.root());
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn order_space_and_escapes_do_not_matter_and_numbers_do() {
        assert_eq!(
            canonical(" { \"b\" : [ 1.0 , null ] , \"\\u0061\" : \"\\u0041\\n\\/\" } "),
            "{\"a\":\"A\\n/\",\"b\":[1.0,null]}"
        );
        assert_ne!(canonical("1.0"), canonical("1"));
    }

    #[test]
    fn the_key_is_left_out() {
        let print = |text: &str| {
            let document = Document::parse(text.into()).expect("valid");
            fingerprint(document.root(), document.root().get("id"))
        };
        assert_eq!(print(r#"{"id":1,"a":2}"#), print(r#"{"a":2,"id":7}"#));
        assert_ne!(print(r#"{"id":1,"a":2}"#), print(r#"{"id":1,"a":3}"#));
    }
}
