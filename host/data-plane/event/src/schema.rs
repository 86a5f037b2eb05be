//! JSON Schema (2020-12 and draft-07) over the tape: an event is checked as it was parsed, without
//! building another form of it. References never leave the schema; regular expressions run in
//! linear time; `format` is asserted. Neither a schema nor an event can make the check dear: what
//! applies to one value is bounded when the schema is compiled, and the places that are visited
//! when an event is checked.

mod expansion;
mod patterns;
mod references;
mod sensitive;
mod tape;
mod walk;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{PatternOptions, Validator};

use crate::document::Node;
use crate::pointer::push_step;
pub use sensitive::Sensitive;
use tape::{Prices, Steps, TapeJson, Visit};

/// Bounds of what a schema may ask for.
#[derive(Clone, Copy, Debug)]
pub struct SchemaLimits {
    /// Bytes of its text.
    pub bytes: usize,
    /// `$ref` and `$dynamicRef` in it.
    pub references: usize,
    /// Bytes that one compiled regular expression may take.
    pub regex_bytes: usize,
}

impl Default for SchemaLimits {
    fn default() -> Self {
        Self { bytes: 256 << 10, references: 256, regex_bytes: 1 << 20 }
    }
}

/// The most violations that are named for one event.
pub const MAX_VIOLATIONS: usize = 32;

/// Steps that checking one value may take, besides those for its bytes. A look at a value is a step;
/// entering one costs more, the more subschemas may apply to it, and so do long texts and dear
/// patterns.
pub const MAX_STEPS: u64 = 1 << 20;
/// Steps that each byte of the value's JSON adds.
pub const STEPS_PER_BYTE: u64 = 16;

/// Stack of the thread that compiles a schema.
const STACK_BYTES: usize = 16 << 20;

/// A compiled schema.
#[derive(Debug)]
pub struct Schema {
    validator: Validator<TapeJson>,
    prices: Prices,
    sensitive: Sensitive,
}

/// A schema that is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SchemaError {
    /// Where in the schema: a JSON pointer.
    pub pointer: String,
    pub message: String,
}

/// One way in which an event breaks its schema. Values of the event are never quoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Where in the event: a JSON pointer; for a missing or unexpected member, that member's.
    pub pointer: String,
    /// The keyword that is broken.
    pub keyword: String,
    pub message: String,
}

impl Schema {
    /// Compiles a schema.
    ///
    /// # Errors
    /// Where the text is no JSON Schema of a known draft, refers outside of itself, or breaks a
    /// limit.
    pub fn compile(text: &[u8], limits: &SchemaLimits) -> Result<Self, SchemaError> {
        let fail =
            |pointer: &str, message: String| SchemaError { pointer: pointer.into(), message };
        if text.len() > limits.bytes {
            let message =
                format!("the schema has {} bytes; at most {} are taken", text.len(), limits.bytes);
            return Err(fail("", message));
        }
        let value: serde_json::Value = serde_json::from_slice(text)
            .map_err(|error| fail("", format!("the schema is not JSON: {error}")))?;
        if !value.is_object() && !value.is_boolean() {
            return Err(fail("", "a schema is a JSON object, or true or false".into()));
        }
        let draft = draft(&value)?;
        references::check(&value, limits.references)?;
        // Before the validator is built: building it follows references too.
        let subschemas = expansion::check(&value)?;
        let patterns = patterns::sizes(&value, limits.regex_bytes)?;
        let validator = build(&value, draft, limits.regex_bytes)?;
        let prices = Prices::new(subschemas, patterns, text.len());
        Ok(Self { validator, prices, sensitive: Sensitive::of(&value) })
    }

    /// Does the value satisfy the schema? Not where that takes too many steps to find out.
    #[must_use]
    pub fn is_valid(&self, node: Node<'_>) -> bool {
        // No violation is told here, and no path made.
        let steps = Steps::new(most_steps(node), 0, self.prices);
        self.validator.is_valid(Visit::new(node, &steps)) && !steps.are_spent()
    }

    /// The places that it marks as sensitive.
    #[must_use]
    pub fn sensitive(&self) -> &Sensitive {
        &self.sensitive
    }

    /// Every violated place, up to `MAX_VIOLATIONS`.
    #[must_use]
    pub fn violations(&self, node: Node<'_>) -> Vec<Violation> {
        let mut out = Vec::new();
        let steps = Steps::new(most_steps(node), node.longest_name(), self.prices);
        for error in self.validator.iter_errors(Visit::new(node, &steps)) {
            if steps.are_spent() {
                break;
            }
            let keyword = error.kind().keyword().to_owned();
            let at = error.instance_path().as_str().to_owned();
            match error.kind() {
                ValidationErrorKind::Required { property } => {
                    let name = property.as_str().unwrap_or_default();
                    let message = format!("`{name}` is required");
                    out.push(Violation { pointer: extended(&at, name), keyword, message });
                }
                ValidationErrorKind::AdditionalProperties { unexpected }
                | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
                    for name in unexpected.iter().take(MAX_VIOLATIONS) {
                        let (pointer, keyword) = (extended(&at, name), keyword.clone());
                        let message = "the schema does not allow this member".into();
                        out.push(Violation { pointer, keyword, message });
                    }
                }
                _ => {
                    let mut message = error.masked().to_string();
                    truncate(&mut message, 512);
                    out.push(Violation { pointer: at, keyword, message });
                }
            }
            if out.len() >= MAX_VIOLATIONS {
                break;
            }
        }
        out.truncate(MAX_VIOLATIONS);
        if out.is_empty() && steps.are_spent() {
            let message = format!(
                "checking the event against its schema takes more than {} steps: send fewer \
                 elements, or simplify the schema",
                most_steps(node)
            );
            out.push(Violation { pointer: String::new(), keyword: "steps".into(), message });
        }
        out
    }
}

/// Builds the validator, on a thread with room for the recursion that the bounds allow.
fn build(
    schema: &serde_json::Value,
    draft: jsonschema::Draft,
    regex_bytes: usize,
) -> Result<Validator<TapeJson>, SchemaError> {
    let build = || {
        let pattern = PatternOptions::regex().size_limit(regex_bytes).dfa_size_limit(regex_bytes);
        let built = jsonschema::options_for::<TapeJson>()
            .with_draft(draft)
            .with_pattern_options(pattern)
            .should_validate_formats(true)
            .offline()
            .build(schema);
        built.map_err(|error| SchemaError {
            pointer: error.instance_path().as_str().into(),
            message: error.to_string(),
        })
    };
    let failed = |what: &str| SchemaError { pointer: String::new(), message: what.into() };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        let thread = thread.spawn_scoped(scope, build);
        let thread = thread.map_err(|_| failed("no thread could be started to compile it"))?;
        thread.join().map_err(|_| failed("the schema could not be compiled"))?
    })
}

fn most_steps(node: Node<'_>) -> u64 {
    MAX_STEPS + STEPS_PER_BYTE * node.span().len() as u64
}

fn extended(pointer: &str, name: &str) -> String {
    let mut out = pointer.to_owned();
    push_step(&mut out, name);
    out
}

fn truncate(text: &mut String, bytes: usize) {
    if text.len() > bytes {
        let end = text.floor_char_boundary(bytes);
        text.truncate(end);
        text.push('…');
    }
}

fn draft(schema: &serde_json::Value) -> Result<jsonschema::Draft, SchemaError> {
    let Some(name) = schema.get("$schema") else { return Ok(jsonschema::Draft::Draft202012) };
    match name.as_str().map(|name| name.trim_end_matches('#')) {
        Some("https://json-schema.org/draft/2020-12/schema") => Ok(jsonschema::Draft::Draft202012),
        Some(
            "http://json-schema.org/draft-07/schema" | "https://json-schema.org/draft-07/schema",
        ) => Ok(jsonschema::Draft::Draft7),
        _ => Err(SchemaError {
            pointer: "/$schema".into(),
            message: "only https://json-schema.org/draft/2020-12/schema and \
                      http://json-schema.org/draft-07/schema are taken"
                .into(),
        }),
    }
}

#[cfg(test)]
mod tests;
