//! What schemas, tables and plugins have in common: names, versions that count up, and lists of
//! them by page.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use tidegate_types::Digest;

use crate::CatalogError;

/// The name of a schema or plugin: 1 to 100 of `A-Z a-z 0-9 . - _`, the first a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ArtifactName(String);

impl ArtifactName {
    /// Checks and takes a name.
    ///
    /// # Errors
    /// [`CatalogError::Invalid`] where it breaks the rule.
    pub fn new(text: &str) -> Result<Self, CatalogError> {
        let body = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        let fits = text.len() <= 100
            && text.bytes().all(body)
            && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
        if fits {
            return Ok(Self(text.to_owned()));
        }
        let shown: String = text.chars().take(80).collect();
        Err(CatalogError::Invalid(format!(
            "a name is 1 to 100 of A-Z, a-z, 0-9, ., - and _, the first a letter or digit, not `{shown}`"
        )))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ArtifactName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ArtifactName {
    type Err = CatalogError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::new(text)
    }
}

/// Which of the versions of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// The one with the highest number.
    Latest,
    /// The one with this number, or for built-in components this version text.
    Version(String),
    Digest(Digest),
}

impl Selector {
    /// Reads `sha256:…` as a digest and everything else as a version.
    ///
    /// # Errors
    /// [`CatalogError::Invalid`] for a digest of another form.
    pub fn parse(text: &str) -> Result<Self, CatalogError> {
        if text.starts_with("sha256:") {
            let digest = text.parse().map_err(|error| CatalogError::Invalid(format!("{error}")));
            return digest.map(Self::Digest);
        }
        Ok(Self::Version(text.to_owned()))
    }

    /// The number of a numbered version. No version has number 0: that is what other texts get.
    pub(crate) fn number(version: &str) -> i64 {
        let digits = version.bytes().all(|b| b.is_ascii_digit());
        if digits { version.parse().unwrap_or(0) } else { 0 }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("latest"),
            Self::Version(version) => f.write_str(version),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

/// A part of a list that is ordered by a number, newest (highest) first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Only entries with a lower number.
    pub before: Option<u64>,
    /// At most so many entries.
    pub limit: u32,
}

impl Page {
    /// The upper bound as SQLite compares it: numbers are signed there.
    pub(crate) fn bound(self) -> i64 {
        self.before.map_or(i64::MAX, |before| i64::try_from(before).unwrap_or(i64::MAX))
    }
}

/// What a call that stores something came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put<T> {
    /// Something new was stored.
    Created(T),
    /// The same was there already.
    Unchanged(T),
}

impl<T> Put<T> {
    /// The thing itself, new or not.
    pub fn into_inner(self) -> T {
        match self {
            Self::Created(inner) | Self::Unchanged(inner) => inner,
        }
    }

    #[must_use]
    pub fn is_created(&self) -> bool {
        matches!(self, Self::Created(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["a", "Flight.v1", "9-_.", &"a".repeat(100)] {
            assert!(ArtifactName::new(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "-a", "a@1", "a/b", "a:b", "ä", "a b", &"a".repeat(101)] {
            assert!(ArtifactName::new(bad).is_err(), "{bad}");
        }
    }
}
