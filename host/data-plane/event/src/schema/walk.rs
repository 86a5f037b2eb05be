//! The one walk over the objects of a schema: data that a schema holds is passed over, whatever it
//! looks like, and names are told from keywords.

use serde_json::Value;

use super::SchemaError;
use crate::pointer::push_step;

/// What is done with an object: it, whether its members are names and no keywords, its pointer.
type Visit<'v, 'a> = dyn FnMut(&'a Value, bool, &str) -> Result<(), SchemaError> + 'v;

/// Visits every object of a schema, in the order of the text.
///
/// # Errors
/// The first that the visitor answers.
pub(super) fn objects<'a>(schema: &'a Value, visit: &mut Visit<'_, 'a>) -> Result<(), SchemaError> {
    walk(schema, false, &mut String::new(), visit)
}

fn walk<'a>(
    value: &'a Value,
    names: bool,
    at: &mut String,
    visit: &mut Visit<'_, 'a>,
) -> Result<(), SchemaError> {
    let length = at.len();
    match value {
        Value::Object(members) => {
            visit(value, names, at)?;
            for (name, member) in members {
                if names || !is_data(name) {
                    push_step(at, name);
                    walk(member, !names && holds_names(name), at, visit)?;
                    at.truncate(length);
                }
            }
        }
        Value::Array(elements) => {
            for (place, element) in elements.iter().enumerate() {
                push_step(at, &place.to_string());
                walk(element, false, at, visit)?;
                at.truncate(length);
            }
        }
        _ => {}
    }
    Ok(())
}

/// The keywords whose values are data and no subschemas.
fn is_data(keyword: &str) -> bool {
    matches!(keyword, "const" | "enum" | "default" | "examples")
}

/// The keywords whose members are names, each with a subschema.
fn holds_names(keyword: &str) -> bool {
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
