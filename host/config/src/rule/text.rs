//! Rules of texts: plain ones, secrets, names.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use figment::value::Value;
use tidegate_types::TenantId;

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

/// A list of tenants; empty for all.
pub(crate) struct Tenants;

impl Rule for Tenants {
    type Out = Vec<TenantId>;

    fn default(&self, _: &Base) -> Vec<TenantId> {
        Vec::new()
    }

    fn parse(&self, value: &Value) -> Result<Vec<TenantId>, String> {
        let texts: Option<Vec<String>> = value
            .as_array()
            .filter(|list| list.len() <= MOST_TEXTS)
            .and_then(|list| list.iter().map(text_of).collect());
        let texts =
            texts.ok_or_else(|| format!("this is no list of at most {MOST_TEXTS} tenants"))?;
        let refused = |text: &String| format!("`{text}` is no tenant: write their ids");
        texts.iter().map(|text| TenantId::new(text).map_err(|_| refused(text))).collect()
    }

    fn default_text(&self) -> String {
        "all".to_owned()
    }

    fn bounds_text(&self) -> String {
        "a list of their ids".to_owned()
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
