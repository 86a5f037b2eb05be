//! What the regular expressions of a schema may cost: matching is linear in the text, but what a
//! byte costs grows with the compiled expression, where its automaton does not fit into its cache.

use regex::RegexBuilder;
use serde_json::Value;

use super::SchemaError;

/// The size up to which a compiled expression costs no more than reading the text.
const CHEAP_BYTES: usize = 16 << 10;
/// All expressions of a schema together, about.
const MAX_BYTES: u64 = 32 << 20;

/// Sizes of compiled expressions that are not cheap, in bytes, about.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sizes {
    /// The largest that values are matched with.
    pub(super) value: u64,
    /// All that names are matched with, together.
    pub(super) names: u64,
    /// All expressions, cheap ones too.
    total: u64,
}

/// Measures the expressions of a schema. `most`: bytes that one may take.
///
/// # Errors
/// Where all of them together are larger than `MAX_BYTES`.
pub(super) fn sizes(schema: &Value, most: usize) -> Result<Sizes, SchemaError> {
    let mut sizes = Sizes::default();
    // Any subschema may be one for names, by reference.
    measure(schema, most, has_schemas_for_names(schema), &mut sizes);
    if sizes.total > MAX_BYTES {
        let message =
            format!("the patterns take more than {MAX_BYTES} bytes when they are compiled");
        return Err(SchemaError { pointer: String::new(), message });
    }
    Ok(sizes)
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
    if sizes.total > MAX_BYTES {
        return;
    }
    match schema {
        Value::Object(members) => {
            for (keyword, value) in members {
                match (keyword.as_str(), value) {
                    ("pattern", Value::String(text)) => {
                        let size = sizes.add(text, most);
                        sizes.value = sizes.value.max(size);
                        sizes.names += if of_names { size } else { 0 };
                    }
                    ("patternProperties", Value::Object(patterns)) => {
                        for text in patterns.keys() {
                            sizes.names += sizes.add(text, most);
                        }
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

impl Sizes {
    /// The size of an expression, 0 where it is cheap. Tried with growing limits, in the form that
    /// the validator translates it to; one that is none is the validator's to refuse.
    fn add(&mut self, text: &str, most: usize) -> u64 {
        if self.total > MAX_BYTES {
            return 0;
        }
        let translated = jsonschema_regex::to_rust_regex(text).unwrap_or(text.into());
        let mut bytes = CHEAP_BYTES;
        while bytes < most {
            match RegexBuilder::new(&translated).size_limit(bytes).build() {
                Ok(_) => break,
                Err(regex::Error::CompiledTooBig(_)) => bytes = (bytes * 4).min(most),
                Err(_) => bytes = most,
            }
        }
        let cheap = bytes <= CHEAP_BYTES;
        self.total += if cheap { 1024 } else { bytes as u64 };
        if cheap { 0 } else { bytes as u64 }
    }
}
