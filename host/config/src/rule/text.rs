//! Rules of texts: plain ones, secrets, names.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use figment::value::Value;
use tidegate_types::{SinkName, TenantId};

use super::{Rule, quoted, text_of};
use crate::section::Base;

/// The longest text that is taken, in bytes.
const MOST_BYTES: usize = 2000;
/// Most texts of a list.
const MOST_TEXTS: usize = 1000;

/// A text without control characters.
pub(crate) struct Text {
    pub(crate) default: &'static str,
    /// For the reference.
    pub(crate) form: &'static str,
}

impl Rule for Text {
    type Out = String;

    fn default(&self, _: &Base) -> String {
        self.default.to_owned()
    }

    fn parse(&self, value: &Value) -> Result<String, String> {
        let fits = |text: &String| text.len() <= MOST_BYTES && !text.chars().any(char::is_control);
        let refused = || format!("{} is not {}", quoted(value), self.form);
        text_of(value).filter(fits).ok_or_else(refused)
    }

    fn default_text(&self) -> String {
        if self.default.is_empty() { "empty".to_owned() } else { self.default.to_owned() }
    }

    fn bounds_text(&self) -> String {
        self.form.to_owned()
    }
}

/// A name with a type of its own. There is no default: the table's check asks for it.
pub(crate) struct Named<T> {
    pub(crate) form: &'static str,
    pub(crate) none: fn() -> T,
}

impl<T: FromStr> Rule for Named<T> {
    type Out = T;

    fn default(&self, _: &Base) -> T {
        (self.none)()
    }

    fn parse(&self, value: &Value) -> Result<T, String> {
        let refused = || format!("{} is not {}", quoted(value), self.form);
        text_of(value).and_then(|text| text.parse().ok()).ok_or_else(refused)
    }

    fn default_text(&self) -> String {
        String::new()
    }

    fn bounds_text(&self) -> String {
        self.form.to_owned()
    }
}

/// A list of texts of one form; in the environment joined by commas.
pub(crate) struct ListOf<T> {
    /// One of them.
    pub(crate) one: &'static str,
    pub(crate) read: fn(&str) -> Option<T>,
    /// What it means to give none.
    pub(crate) nothing: &'static str,
    /// For the reference.
    pub(crate) form: &'static str,
}

/// Tenants.
pub(crate) const TENANTS: ListOf<TenantId> = ListOf {
    one: "tenant: write their ids",
    read: |text| TenantId::new(text).ok(),
    nothing: "all",
    form: "a list of their ids",
};

impl<T> Rule for ListOf<T> {
    type Out = Vec<T>;

    fn default(&self, _: &Base) -> Vec<T> {
        Vec::new()
    }

    fn parse(&self, value: &Value) -> Result<Vec<T>, String> {
        let texts: Option<Vec<String>> = match value {
            Value::String(_, text) => {
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                Some(parts.map(str::to_owned).collect())
            }
            other => other.as_array().and_then(|list| list.iter().map(text_of).collect()),
        };
        let texts = texts.filter(|texts| texts.len() <= MOST_TEXTS);
        let texts = texts.ok_or_else(|| format!("this is no list of at most {MOST_TEXTS}"))?;
        let refused = |text: &String| format!("`{text}` is no {}", self.one);
        texts.iter().map(|text| (self.read)(text).ok_or_else(|| refused(text))).collect()
    }

    fn default_text(&self) -> String {
        self.nothing.to_owned()
    }

    fn bounds_text(&self) -> String {
        self.form.to_owned()
    }
}

/// A name with a type of its own, or none.
pub(crate) struct Optional<T> {
    /// `is no …`
    pub(crate) what: &'static str,
    pub(crate) read: fn(&str) -> Option<T>,
    /// For the reference.
    pub(crate) form: &'static str,
}

pub(crate) const TENANT: Optional<TenantId> =
    Optional { what: "tenant's id", read: |text| TenantId::new(text).ok(), form: "its id" };

pub(crate) const SINK: Optional<SinkName> =
    Optional { what: "name of a sink", read: |text| text.parse().ok(), form: "its name" };

impl<T> Rule for Optional<T> {
    type Out = Option<T>;

    fn default(&self, _: &Base) -> Option<T> {
        None
    }

    fn parse(&self, value: &Value) -> Result<Option<T>, String> {
        let refused = || format!("{} is no {}", quoted(value), self.what);
        match text_of(value) {
            Some(text) if text.is_empty() => Ok(None),
            Some(text) => (self.read)(&text).map(Some).ok_or_else(refused),
            None => Err(refused()),
        }
    }

    fn default_text(&self) -> String {
        "none".to_owned()
    }

    fn bounds_text(&self) -> String {
        self.form.to_owned()
    }
}

/// A secret, or where it is read from. Its `Debug` form hides it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

const FILE: &str = "file:";

impl Secret {
    /// Nothing was given.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The file that it is in, where one is named.
    pub(crate) fn file(&self) -> Option<&str> {
        self.0.strip_prefix(FILE)
    }

    /// The secret, or where it is.
    pub(crate) fn as_written(&self) -> &str {
        &self.0
    }

    /// The secret itself, read from the file where one is named, without white space around it.
    ///
    /// # Errors
    /// Where the file cannot be read, or is empty.
    pub fn reveal(&self) -> Result<String, String> {
        let Some(path) = self.file() else { return Ok(self.0.clone()) };
        let text = std::fs::read_to_string(Path::new(path));
        let text = text.map_err(|error| format!("{path} cannot be read: {error}"))?;
        match text.trim() {
            "" => Err(format!("{path} is empty")),
            secret => Ok(secret.to_owned()),
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "(none)" } else { "(secret)" })
    }
}

/// The rule of a secret.
pub(crate) struct SecretText {
    /// What it means to give none.
    pub(crate) nothing: &'static str,
}

impl Rule for SecretText {
    type Out = Secret;

    fn default(&self, _: &Base) -> Secret {
        Secret::default()
    }

    fn parse(&self, value: &Value) -> Result<Secret, String> {
        let fits = |text: &String| text.len() <= MOST_BYTES && text != FILE;
        // What was written is not quoted: it may be the secret.
        let refused = || "this is no secret: write it, or \"file:PATH\"".to_owned();
        text_of(value).filter(fits).map(Secret).ok_or_else(refused)
    }

    fn default_text(&self) -> String {
        self.nothing.to_owned()
    }

    fn bounds_text(&self) -> String {
        "the secret, or `file:PATH`".to_owned()
    }
}
