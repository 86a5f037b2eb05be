//! References stay within the schema, are few, and can be read in one way alone.

use serde_json::Value;

use super::{SchemaError, walk};
use crate::pointer::push_step;

/// References beside `unevaluatedProperties` or `unevaluatedItems`, which the validator compiles
/// anew for each place that leads to them.
const BESIDE_UNEVALUATED: usize = 16;

/// Checks all references of a schema; at most `most` are taken.
///
/// # Errors
/// With the pointer of the reference that is refused.
pub(super) fn check(schema: &Value, most: usize) -> Result<(), SchemaError> {
    let mut found = Found { count: 0, unevaluated: false };
    walk::objects(schema, &mut |object, names, at| match object.as_object() {
        Some(members) if !names => {
            members.iter().try_for_each(|(name, member)| found.keyword(name, member, at))
        }
        _ => Ok(()),
    })?;
    let most = if found.unevaluated { most.min(BESIDE_UNEVALUATED) } else { most };
    if found.count <= most {
        return Ok(());
    }
    let beside =
        if found.unevaluated { " beside unevaluatedProperties and unevaluatedItems" } else { "" };
    let message = format!(
        "the schema has too many references: {}; at most {most} are taken{beside}",
        found.count
    );
    Err(SchemaError { pointer: String::new(), message })
}

struct Found {
    count: usize,
    unevaluated: bool,
}

impl Found {
    fn keyword(&mut self, name: &str, member: &Value, at: &str) -> Result<(), SchemaError> {
        self.unevaluated |= name.starts_with("unevaluated");
        let Some(target) = member.as_str() else { return Ok(()) };
        if !matches!(name, "$ref" | "$dynamicRef" | "$recursiveRef") {
            return Ok(());
        }
        let refuse = |message: &str| {
            let mut pointer = at.to_owned();
            push_step(&mut pointer, name);
            Err(SchemaError { pointer, message: message.to_owned() })
        };
        if !target.starts_with('#') {
            return refuse("a reference must stay within the schema: it begins with `#`");
        }
        if target.contains('%') && !target.starts_with("#/") {
            return refuse("write the name of an anchor without `%`");
        }
        self.count += 1;
        Ok(())
    }
}
