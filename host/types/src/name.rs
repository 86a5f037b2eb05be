//! Names of tenants, event types, rules and tables: checked once, cheap to clone.

pub mod pointer;
pub mod secret;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A name that breaks its rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be {rule}, not `{text}`")]
pub struct InvalidName {
    what: &'static str,
    rule: &'static str,
    text: String,
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and takes a name.
            ///
            /// # Errors
            /// Where the text breaks the rule that the type's documentation gives.
            pub fn new(text: &str) -> Result<Self, InvalidName> {
                let check: fn(&str) -> bool = $check;
                if check(text) {
                    Ok(Self(text.into()))
                } else {
                    let text = text.chars().take(80).collect();
                    Err(InvalidName { what: $what, rule: $rule, text })
                }
            }

            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The shared text itself.
            #[must_use]
            pub fn shared(&self) -> Arc<str> {
                Arc::clone(&self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::new(text)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

fn is_slug(text: &str) -> bool {
    let body = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
    text.len() <= 63
        && text.bytes().all(body)
        && text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

name!(
    /// A tenant: 1 to 63 of `a-z 0-9 - _`, the first a letter or digit.
    TenantId, "a tenant", "1 to 63 of a-z, 0-9, - and _, the first a letter or digit", is_slug
);
name!(
    /// A rule within a revision: formed like a tenant.
    RuleName, "a rule's name", "1 to 63 of a-z, 0-9, - and _, the first a letter or digit", is_slug
);
name!(
    /// A reference table of a tenant: formed like a tenant.
    TableName, "a table's name", "1 to 63 of a-z, 0-9, - and _, the first a letter or digit", is_slug
);
name!(
    /// A sink of the gateway, as its configuration names it: formed like a tenant.
    SinkName, "a sink's name", "1 to 63 of a-z, 0-9, - and _, the first a letter or digit", is_slug
);
name!(
    /// An event type: 1 to 200 bytes without control characters.
    EventType, "an event type", "1 to 200 bytes without control characters",
    |text| !text.is_empty() && text.len() <= 200 && !text.chars().any(char::is_control)
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for good in ["a", "acme-1", "9_x", &"a".repeat(63)] {
            assert!(TenantId::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "_a", "A", "a b", "ä", "a/b", "..", &"a".repeat(64)] {
            assert!(TenantId::new(bad).is_err(), "{bad}");
        }
        for good in ["User.Created", "flüge/v1", "a b"] {
            assert!(EventType::new(good).is_ok(), "{good}");
        }
        for bad in ["", "a\nb", "\u{7f}", &"a".repeat(201)] {
            assert!(EventType::new(bad).is_err(), "{bad:?}");
        }
    }
}
