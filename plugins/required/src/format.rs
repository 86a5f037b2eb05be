//! Formats of text, checked by hand so that no regular expression is linked into the component.

use std::net::{Ipv4Addr, Ipv6Addr};

use tidegate_sdk::time::{Date, Timestamp};

/// A format that a text can be required to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// RFC 3339, section 5.6, with any offset.
    DateTime,
    /// RFC 3339 full-date.
    Date,
    /// As browsers accept it: HTML, "valid e-mail address", with at most 64 bytes before the `@`.
    Email,
    /// RFC 9562: 8-4-4-4-12 hexadecimal digits.
    Uuid,
    /// Four decimal numbers without leading zeros.
    Ipv4,
    /// RFC 4291, section 2.2, without a zone.
    Ipv6,
    /// RFC 3986 with a scheme: the characters and percent-encodings are checked, not each part.
    Uri,
}

impl Format {
    pub(crate) const NAMES: [(&'static str, Self); 7] = [
        ("date-time", Self::DateTime),
        ("date", Self::Date),
        ("email", Self::Email),
        ("uuid", Self::Uuid),
        ("ipv4", Self::Ipv4),
        ("ipv6", Self::Ipv6),
        ("uri", Self::Uri),
    ];

    /// Does a text have the format?
    pub(crate) fn admits(self, text: &str) -> bool {
        match self {
            Self::DateTime => Timestamp::parse(text).is_some(),
            Self::Date => Date::parse(text).is_some(),
            Self::Email => is_email(text),
            Self::Uuid => is_uuid(text),
            Self::Ipv4 => text.parse::<Ipv4Addr>().is_ok(),
            Self::Ipv6 => text.parse::<Ipv6Addr>().is_ok(),
            Self::Uri => is_uri(text),
        }
    }

    pub(crate) fn in_words(self) -> &'static str {
        match self {
            Self::DateTime => "a date and time of RFC 3339",
            Self::Date => "a date",
            Self::Email => "an e-mail address",
            Self::Uuid => "a UUID",
            Self::Ipv4 => "an IPv4 address",
            Self::Ipv6 => "an IPv6 address",
            Self::Uri => "a URI",
        }
    }

    pub(crate) fn example(self) -> &'static str {
        match self {
            Self::DateTime => "2026-11-21T09:00:00Z",
            Self::Date => "2026-11-21",
            Self::Email => "ada@example.org",
            Self::Uuid => "0192d4e5-8a7c-7def-bfff-0123456789ab",
            Self::Ipv4 => "192.0.2.1",
            Self::Ipv6 => "2001:db8::1",
            Self::Uri => "https://example.org/a",
        }
    }
}

fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let local_byte = |b: u8| b.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&b);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    (1..=64).contains(&local.len())
        && local.bytes().all(local_byte)
        && domain.len() <= 255
        && domain.split('.').all(label)
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let scheme_ok = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&b);
    let encoded =
        |part: &str| part.len() >= 2 && part.bytes().take(2).all(|byte| byte.is_ascii_hexdigit());
    scheme_ok
        && rest.bytes().all(allowed)
        && rest.split('%').skip(1).all(encoded)
        && rest.matches('#').count() <= 1
}
