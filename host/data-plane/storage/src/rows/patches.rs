//! Patches as readable JSON: `[{"op":"set","pointer":"/a","value":1},{"op":"remove","pointer":"/b"}]`.

use tidegate_event::patch::{self, Op, Patch, PatchError};
use tidegate_event::text::push_string;

/// The encoded patches as JSON; values as the rule wrote them.
pub(super) fn to_json(patches: &[u8]) -> Result<Vec<u8>, PatchError> {
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
