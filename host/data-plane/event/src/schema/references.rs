//! References stay within the schema, are few, and can be read in one way alone.

use serde_json::Value;

use super::SchemaError;
use crate::pointer::push_step;

/// References beside `unevaluatedProperties` or `unevaluatedItems`, which the validator compiles
/// anew for each place that leads to them.
const BESIDE_UNEVALUATED: usize = 16;

/// The keywords whose values are data and no subschemas.
pub(super) fn is_data(keyword: &str) -> bool {
    matches!(keyword, "const" | "enum" | "default" | "examples")
}

/// The keywords whose members are names, each with a subschema.
pub(super) fn holds_names(keyword: &str) -> bool {
    matches!(
        keyword,
        "properties"
            | "patternProperties"
            | "$defs"
            | "definitions"
            | "dependentSchemas"
            | "dependencies"
    )
}

/// Checks all references of a schema; at most `most` are taken.
///
/// # Errors
/// With the pointer of the reference that is refused.
pub(super) fn check(schema: &Value, most: usize) -> Result<(), SchemaError> {
    let mut walk = Walk { count: 0, unevaluated: false };
    walk.visit(schema, false, &mut String::new())?;
    let most = if walk.unevaluated { most.min(BESIDE_UNEVALUATED) } else { most };
    if walk.count <= most {
        return Ok(());
    }
    let beside =
        if walk.unevaluated { " beside unevaluatedProperties and unevaluatedItems" } else { "" };
    let message = format!(
        "the schema has too many references: {}; at most {most} are taken{beside}",
        walk.count
    );
    Err(SchemaError { pointer: String::new(), message })
}

struct Walk {
    count: usize,
    unevaluated: bool,
}

impl Walk {
    fn visit(&mut self, value: &Value, names: bool, at: &mut String) -> Result<(), SchemaError> {
        let length = at.len();
        match value {
            Value::Object(members) => {
                for (name, member) in members {
                    if !names && is_data(name) {
                        continue;
                    }
                    push_step(at, name);
                    if !names {
                        self.keyword(name, member, at)?;
                    }
                    self.visit(member, !names && holds_names(name), at)?;
                    at.truncate(length);
                }
            }
            Value::Array(elements) => {
                for (place, element) in elements.iter().enumerate() {
                    push_step(at, &place.to_string());
                    self.visit(element, false, at)?;
                    at.truncate(length);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn keyword(&mut self, name: &str, member: &Value, at: &str) -> Result<(), SchemaError> {
        self.unevaluated |= name.starts_with("unevaluated");
        let Some(target) = member.as_str() else { return Ok(()) };
        if !matches!(name, "$ref" | "$dynamicRef" | "$recursiveRef") {
            return Ok(());
        }
        let refuse = |message: &str| {
            Err(SchemaError { pointer: at.to_owned(), message: message.to_owned() })
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
