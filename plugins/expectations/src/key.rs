//! The key that `in_table` looks up: the field's text, made into the form that the table's keys have.

use std::borrow::Cow;

use serde_json::Value;
use tidegate_sdk::{Config, Invalid};

/// Steps of one key.
const MOST_STEPS: usize = 8;

const STEP: &str = "\"trim\", \"lower\", \"upper\", or an object with one of the keys strip_prefix, strip_suffix, remove";

/// One thing that is done to the text, in the order of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// No white space around it.
    Trim,
    Lower,
    Upper,
    /// Without this at its start, where it is there.
    StripPrefix(String),
    /// Without this at its end, where it is there.
    StripSuffix(String),
    /// Without any of these characters.
    Remove(String),
}

/// The table, and the steps to its key: `"planes"`, or `{"table": "planes", "key": ["trim"]}`.
pub(crate) fn read(place: &Config<'_>) -> Result<(String, Vec<Step>), Invalid> {
    match place.value() {
        Value::String(table) => Ok((table.clone(), Vec::new())),
        Value::Object(_) => {
            let object = place.object(&["table", "key"])?;
            let table = object.required("table").and_then(|table| table.text());
            let steps = object.required("key").and_then(|key| key.each(MOST_STEPS, step));
            Ok((table?.to_owned(), steps?))
        }
        _ => Err(place.must_be("a table's name, or an object with the keys table and key")),
    }
}

type MakeStep = fn(String) -> Step;

fn step(place: &Config<'_>) -> Result<Step, Invalid> {
    match place.value() {
        Value::String(word) if word == "trim" => Ok(Step::Trim),
        Value::String(word) if word == "lower" => Ok(Step::Lower),
        Value::String(word) if word == "upper" => Ok(Step::Upper),
        Value::Object(map) if map.len() == 1 => {
            let object = place.object(&["strip_prefix", "strip_suffix", "remove"])?;
            let words: [(&str, MakeStep); 3] = [
                ("strip_prefix", Step::StripPrefix),
                ("strip_suffix", Step::StripSuffix),
                ("remove", Step::Remove),
            ];
            for (word, step) in words {
                if let Some(argument) = object.optional(word) {
                    return match argument.text()? {
                        "" => Err(argument.problem("this must not be empty: leave the step out")),
                        text => Ok(step(text.to_owned())),
                    };
                }
            }
            Err(place.must_be(STEP))
        }
        _ => Err(place.must_be(STEP)),
    }
}

/// Adds the key of a text to an empty one.
pub(crate) fn make(steps: &[Step], text: &str, made: &mut String) {
    made.push_str(&steps.iter().fold(Cow::Borrowed(text), |text, step| step.apply(text)));
}

impl Step {
    fn apply<'t>(&self, text: Cow<'t, str>) -> Cow<'t, str> {
        match self {
            Self::Trim => cut(text, |text| text.trim()),
            Self::Lower if text.bytes().any(|b| b.is_ascii_uppercase() || !b.is_ascii()) => {
                text.to_lowercase().into()
            }
            Self::Upper if text.bytes().any(|b| b.is_ascii_lowercase() || !b.is_ascii()) => {
                text.to_uppercase().into()
            }
            Self::Lower | Self::Upper => text,
            Self::StripPrefix(prefix) => {
                cut(text, |text| text.strip_prefix(prefix.as_str()).unwrap_or(text))
            }
            Self::StripSuffix(suffix) => {
                cut(text, |text| text.strip_suffix(suffix.as_str()).unwrap_or(text))
            }
            Self::Remove(unwanted) => {
                let wanted = |c: &char| unwanted.chars().all(|other| other != *c);
                text.chars().filter(wanted).collect::<String>().into()
            }
        }
    }
}

/// A part of a text, copied only where the text is a copy.
fn cut<'t>(text: Cow<'t, str>, part: impl for<'p> Fn(&'p str) -> &'p str) -> Cow<'t, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(part(text)),
        Cow::Owned(text) => Cow::Owned(part(&text).to_owned()),
    }
}
