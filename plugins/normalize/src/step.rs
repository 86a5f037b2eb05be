//! One step: where a value comes from, what is done with it, and which field it is set in.

use std::borrow::Cow;

use tidegate_sdk::time::{Date, Timestamp};

use crate::slot::{Changes, SlotId};

/// A step of the configuration.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) target: SlotId,
    pub(crate) action: Action,
}

/// What a step sets its field to. Sources are tried in order; where none has a value that the
/// step can use, the step does nothing.
#[derive(Debug)]
pub(crate) enum Action {
    /// A text made from another.
    Text {
        sources: Vec<SlotId>,
        make: Make,
    },
    /// The value of another field.
    Copy {
        sources: Vec<SlotId>,
    },
    Constant(Constant),
    /// The same where the field is missing or null.
    Default(Constant),
}

/// How a text is made from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Make {
    Same,
    Lower,
    Upper,
    Trim,
    /// The day, in UTC, of an RFC 3339 date-time; a date stays what it is.
    Date,
}

/// A value of the configuration.
#[derive(Debug)]
pub(crate) enum Constant {
    Text(String),
    Json(String),
}

impl Step {
    /// Runs the step on one row.
    pub(crate) fn run<'a>(&'a self, changes: &mut Changes<'a>) {
        match &self.action {
            Action::Text { sources, make } => {
                let made = |source: &SlotId| make.apply(changes.text(*source)?);
                if let Some(text) = sources.iter().find_map(made) {
                    changes.set_text(self.target, text);
                }
            }
            Action::Copy { sources } => {
                if let Some(json) = sources.iter().find_map(|source| changes.json(*source)) {
                    changes.set_json(self.target, json);
                }
            }
            Action::Constant(constant) => constant.set(self.target, changes),
            Action::Default(constant) => {
                if changes.is_absent(self.target) {
                    constant.set(self.target, changes);
                }
            }
        }
    }
}

impl Constant {
    fn set<'a>(&'a self, target: SlotId, changes: &mut Changes<'a>) {
        match self {
            Self::Text(text) => changes.set_text(target, Cow::Borrowed(text)),
            Self::Json(json) => changes.set_json(target, Cow::Borrowed(json)),
        }
    }
}

impl Make {
    /// The text made; `None` where it cannot be made.
    fn apply(self, text: Cow<'_, str>) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::Same => text,
            Self::Lower if is_plain(&text, |b| b.is_ascii_uppercase()) => text,
            Self::Lower if text.is_ascii() => Cow::Owned(text.to_ascii_lowercase()),
            Self::Lower => Cow::Owned(text.to_lowercase()),
            Self::Upper if is_plain(&text, |b| b.is_ascii_lowercase()) => text,
            Self::Upper if text.is_ascii() => Cow::Owned(text.to_ascii_uppercase()),
            Self::Upper => Cow::Owned(text.to_uppercase()),
            Self::Trim => trim(text),
            Self::Date => return date(text),
        })
    }
}

/// The day of a date-time, in UTC: most often it is written there.
fn date(text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    let written = text.get(..10).and_then(Date::parse);
    if text.len() == 10 {
        return written.map(|_| text);
    }
    let date = Timestamp::parse(&text)?.date()?;
    match text {
        Cow::Borrowed(text) if written == Some(date) => text.get(..10).map(Cow::Borrowed),
        _ => Some(Cow::Owned(date.to_string())),
    }
}

/// Is a text ASCII without the bytes that would change?
fn is_plain(text: &str, changes: impl Fn(&u8) -> bool) -> bool {
    text.bytes().all(|byte| byte.is_ascii() && !changes(&byte))
}

fn trim(text: Cow<'_, str>) -> Cow<'_, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) if text.trim().len() == text.len() => Cow::Owned(text),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    }
}
