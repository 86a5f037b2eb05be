//! Where a component is: `oci://HOST[:PORT]/REPOSITORY[:TAG][@sha256:DIGEST]`, the digest being that
//! of the manifest. The grammar is that of the OCI distribution specification, version 1.1.

use std::fmt;
use std::str::FromStr;

use tidegate_types::Digest;

const SCHEME: &str = "oci://";
const MAX_TEXT_BYTES: usize = 512;
const MAX_REPOSITORY_BYTES: usize = 255;
const MAX_TAG_BYTES: usize = 128;

/// A reference whose parts are well formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// `HOST` or `HOST:PORT`, in lower case.
    pub registry: String,
    pub repository: String,
    pub tag: Option<String>,
    pub digest: Option<Digest>,
}

/// A text that is no reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no reference ({reason}); write oci://HOST/REPOSITORY@sha256:DIGEST")]
pub struct InvalidReference {
    text: String,
    reason: &'static str,
}

impl Reference {
    /// The same place by digest alone.
    #[must_use]
    pub fn by_digest(&self, digest: Digest) -> Self {
        Self { tag: None, digest: Some(digest), ..self.clone() }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        read(text).map_err(|reason| InvalidReference {
            text: text.chars().filter(|c| !c.is_control()).take(120).collect(),
            reason,
        })
    }
}

fn read(text: &str) -> Result<Reference, &'static str> {
    if text.len() > MAX_TEXT_BYTES {
        return Err("it is too long");
    }
    let rest = text.strip_prefix(SCHEME).ok_or("it does not start with oci://")?;
    let (registry, path) = rest.split_once('/').ok_or("it names no repository")?;
    let registry = registry.to_ascii_lowercase();
    if !is_registry(&registry) {
        return Err("its host is not a host name or address with or without a port");
    }
    let (path, digest) = match path.split_once('@') {
        Some((path, digest)) => {
            let digest = digest.parse();
            (path, Some(digest.map_err(|_| "its digest is not sha256: and 64 hexadecimal digits")?))
        }
        None => (path, None),
    };
    let (repository, tag) = match path.split_once(':') {
        Some((repository, tag)) => (repository, Some(tag)),
        None => (path, None),
    };
    if !is_repository(repository) {
        return Err("its repository is not lower-case words joined by `/`, `.`, `_` and `-`");
    }
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Err("its tag is not 1 to 128 of letters, digits, `_`, `.` and `-`");
    }
    let (repository, tag) = (repository.to_owned(), tag.map(str::to_owned));
    Ok(Reference { registry, repository, tag, digest })
}

/// `HOST`, `HOST:PORT`, `[ADDRESS]` or `[ADDRESS]:PORT`, in lower case.
fn is_registry(text: &str) -> bool {
    let (host, port) = split_port(text);
    let is_port = port.is_none_or(|port| {
        !port.starts_with('+') && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            host.len() <= 253
                && host.split('.').all(|label| {
                    (1..=63).contains(&label.len())
                        && !label.starts_with('-')
                        && !label.ends_with('-')
                        && label
                            .bytes()
                            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                })
        }
    };
    is_host && is_port
}

/// Host and port; brackets stay at the host.
pub(crate) fn split_port(registry: &str) -> (&str, Option<&str>) {
    match registry.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (registry, None),
    }
}

fn is_repository(text: &str) -> bool {
    text.len() <= MAX_REPOSITORY_BYTES && text.split('/').all(is_component)
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(text: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()];
    ends.iter().all(|end| end.is_some_and(|b| is_word(*b)))
        && bytes.split(|b| is_word(*b)).all(|between| {
            matches!(between, b"" | b"." | b"_" | b"__") || between.iter().all(|b| *b == b'-')
        })
}

fn is_tag(text: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=MAX_TAG_BYTES).contains(&text.len())
        && text.bytes().next().is_some_and(is_word)
        && text.bytes().all(|b| is_word(b) || b == b'.' || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_read_and_written() {
        let digest = Digest::of(b"x");
        let long = format!("oci://h/{}", "a".repeat(256));
        for (text, expected) in [
            (
                "oci://ghcr.io/acme/rule:1.0".to_owned(),
                Some(("ghcr.io", "acme/rule", Some("1.0"), false)),
            ),
            (format!("oci://127.0.0.1:5000/a@{digest}"), Some(("127.0.0.1:5000", "a", None, true))),
            (
                format!("oci://[::1]:5000/a/b/c:t@{digest}"),
                Some(("[::1]:5000", "a/b/c", Some("t"), true)),
            ),
            (
                "oci://[::1]/a__b/c-d--e.f_g".to_owned(),
                Some(("[::1]", "a__b/c-d--e.f_g", None, false)),
            ),
            ("oci://localhost/a".to_owned(), Some(("localhost", "a", None, false))),
        ] {
            let (registry, repository, tag, has_digest) = expected.expect("a row");
            let read: Reference = text.parse().expect(&text);
            assert_eq!((read.registry.as_str(), read.repository.as_str()), (registry, repository));
            assert_eq!((read.tag.as_deref(), read.digest.is_some()), (tag, has_digest), "{text}");
            assert_eq!(read.to_string(), text);
        }
        assert_eq!("oci://GHCR.io/a".parse::<Reference>().unwrap().registry, "ghcr.io");
        for (text, reason) in [
            ("", "oci://"),
            ("ghcr.io/a:1", "oci://"),
            ("https://ghcr.io/a", "oci://"),
            ("oci://ghcr.io", "repository"),
            ("oci://ghcr.io/", "repository"),
            ("oci:///a", "host"),
            ("oci://me:secret@host/a", "host"),
            ("oci://host:0/a", "host"),
            ("oci://host:70000/a", "host"),
            ("oci://host:+80/a", "host"),
            ("oci://-host/a", "host"),
            ("oci://[::1/a", "host"),
            ("oci://host/A", "repository"),
            ("oci://host/a//b", "repository"),
            ("oci://host/../a", "repository"),
            ("oci://host/a___b", "repository"),
            ("oci://host/a?x=1", "repository"),
            ("oci://host/-a", "repository"),
            (long.as_str(), "repository"),
            ("oci://host/a:", "tag"),
            ("oci://host/a:.b", "tag"),
            ("oci://host/a:b/c", "tag"),
            ("oci://host/a@sha256:00", "digest"),
            ("oci://host/a@sha512:00", "digest"),
        ] {
            let error = text.parse::<Reference>().expect_err(text).to_string();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }
}
