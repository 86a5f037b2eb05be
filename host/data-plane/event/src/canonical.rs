//! The canonical form of an event, for the fingerprint that tells one payload from another: no
//! white space, object members sorted by the bytes of their names, strings escaped minimally,
//! numbers as written.

use sha2::{Digest as _, Sha256};

use crate::document::{Kind, Node};
use crate::text::push_string;

/// The first 16 bytes of the SHA-256 of the canonical form, without the member at `except`
/// (the idempotency key itself).
#[must_use]
pub fn fingerprint(root: Node<'_>, except: Option<Node<'_>>) -> [u8; 16] {
    let mut out = Vec::with_capacity(root.span().len());
    write(&mut out, root, except.map(|node| node.index));
    let digest: [u8; 32] = Sha256::digest(&out).into();
    let mut first = [0; 16];
    first.copy_from_slice(digest.first_chunk::<16>().unwrap_or(&[0; 16]));
    first
}

/// Appends the canonical form. The depth is bounded by the parser's limit.
fn write(out: &mut Vec<u8>, node: Node<'_>, except: Option<u32>) {
    match node.kind() {
        Kind::Object => {
            let mut members: Vec<_> =
                node.members().filter(|(_, value)| Some(value.index) != except).collect();
            members.sort_unstable_by_key(|(name, _)| name.as_text_bytes());
            out.push(b'{');
            for (place, (name, value)) in members.into_iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                push_string(out, name.as_str().unwrap_or_default());
                out.push(b':');
                write(out, value, except);
            }
            out.push(b'}');
        }
        Kind::Array => {
            out.push(b'[');
            for (place, element) in node.elements().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                write(out, element, except);
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
    write(out, node, None);
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
