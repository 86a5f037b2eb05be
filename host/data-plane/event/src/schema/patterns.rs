//! What the regular expressions of a schema may cost: matching is linear in the text, but what a
//! byte costs grows with the compiled expression, where its automaton does not fit into its cache.

use regex::RegexBuilder;
use serde_json::Value;

/// The size up to which a compiled expression costs no more than reading the text.
const CHEAP_BYTES: usize = 16 << 10;

/// Sizes of compiled expressions that are not cheap, in bytes, about.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sizes {
    /// The largest that values are matched with.
    pub(super) value: u64,
    /// All that names are matched with, together.
    pub(super) names: u64,
}

/// Measures the expressions of a schema. `most`: bytes that one may take.
pub(super) fn sizes(schema: &Value, most: usize) -> Sizes {
    let mut sizes = Sizes::default();
    // Any subschema may be one for names, by reference.
    measure(schema, most, has_schemas_for_names(schema), &mut sizes);
    sizes
}

fn has_schemas_for_names(schema: &Value) -> bool {
    match schema {
        Value::Object(members) => {
            members.contains_key("propertyNames") || members.values().any(has_schemas_for_names)
        }
        Value::Array(elements) => elements.iter().any(has_schemas_for_names),
        _ => false,
    }
}

fn measure(schema: &Value, most: usize, of_names: bool, sizes: &mut Sizes) {
    match schema {
        Value::Object(members) => {
            for (keyword, value) in members {
                match (keyword.as_str(), value) {
                    ("pattern", Value::String(text)) => {
                        let size = size(text, most);
                        sizes.value = sizes.value.max(size);
                        sizes.names += if of_names { size } else { 0 };
                    }
                    ("patternProperties", Value::Object(patterns)) => {
                        sizes.names += patterns.keys().map(|text| size(text, most)).sum::<u64>();
                    }
                    _ => {}
                }
                measure(value, most, of_names, sizes);
            }
        }
        Value::Array(elements) => {
            elements.iter().for_each(|element| measure(element, most, of_names, sizes));
        }
        _ => {}
    }
}

/// Tried with growing limits; 0 where it is cheap. An expression that only the validator
/// understands, which translates it first, counts as the largest.
fn size(text: &str, most: usize) -> u64 {
    let mut bytes = CHEAP_BYTES;
    while bytes < most {
        match RegexBuilder::new(text).size_limit(bytes).build() {
            Ok(_) => break,
            Err(regex::Error::CompiledTooBig(_)) => bytes *= 2,
            Err(_) => bytes = most,
        }
    }
    if bytes > CHEAP_BYTES { bytes as u64 } else { 0 }
}
