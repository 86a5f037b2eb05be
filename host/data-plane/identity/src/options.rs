//! What an issuer is trusted with, and the bounds of all of them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use tidegate_event::{Node, Pointer};
use tidegate_types::TenantId;

/// One issuer.
#[derive(Clone, Debug)]
pub struct IssuerOptions {
    /// Exactly what `iss` must be.
    pub issuer: String,
    /// `aud` must name one of these.
    pub audiences: Vec<String>,
    pub keys: KeySource,
    /// What names the tenant.
    pub tenant: Claim,
    /// The tenants that it may speak for; none: all of them.
    pub tenants: Vec<TenantId>,
    /// What has the scopes: a text with spaces between them, or a list of texts.
    pub scopes: Claim,
    /// Scopes begin with this, which is taken off; others are none of ours.
    pub scope_prefix: String,
    /// What its scopes are called here, after the prefix is off; others keep their name.
    pub scope_names: BTreeMap<String, String>,
    /// Values of `typ` in lower case without `application/`; `None` for tokens without one.
    pub types: Vec<Option<String>>,
    /// How far its clock and ours may be apart.
    pub leeway: Duration,
}

/// Where the keys of an issuer are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// Only [`KeySource::url`] makes one that can be asked.
    Url(Uri),
    File(PathBuf),
}

/// An address that keys are not fetched from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSource {
    #[error("this is no address of the form https://HOST/PATH")]
    Malformed,
    #[error("keys are fetched over https; plain http is for loopback addresses alone")]
    Plain,
}

impl KeySource {
    /// An `https` address, or one of this machine itself.
    ///
    /// # Errors
    /// For any other.
    pub fn url(text: &str) -> Result<Self, InvalidSource> {
        let uri: Uri = text.parse().map_err(|_| InvalidSource::Malformed)?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
        let host = authority.ok_or(InvalidSource::Malformed)?.host();
        match uri.scheme_str() {
            Some("https") => Ok(Self::Url(uri)),
            Some("http") if is_loopback(host) => Ok(Self::Url(uri)),
            Some("http") => Err(InvalidSource::Plain),
            _ => Err(InvalidSource::Malformed),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || address.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}

/// A claim by its name, or within others by a pointer (RFC 6901).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    Name(String),
    Pointer(Pointer),
}

impl Claim {
    pub(crate) fn find<'d>(&self, claims: Node<'d>) -> Option<Node<'d>> {
        match self {
            Self::Name(name) => claims.get(name),
            Self::Pointer(pointer) => pointer.resolve(claims),
        }
    }
}

/// The bounds of all issuers. Each has its default and its meaning in the configuration's reference.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// The age at which keys are fetched anew.
    pub refresh: Duration,
    /// The age from which they are no longer used.
    pub max_age: Duration,
    /// The time from one fetch of an issuer's keys to the next, at least.
    pub interval: Duration,
    /// How long a token waits for keys that are being fetched.
    pub wait: Duration,
    /// How long one fetch may take.
    pub timeout: Duration,
    /// Bytes of a key set.
    pub max_bytes: usize,
    /// Verified tokens that are remembered.
    pub cached_tokens: usize,
    /// Certificates in PEM that are trusted beside those of the system.
    pub ca_file: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_over_tls_or_from_this_machine() {
        for good in [
            "https://id.example/keys", "https://id.example:8443/", "http://127.0.0.1:1/jwks",
            "http://[::1]:1/jwks", "http://localhost/jwks", "http://127.9.9.9/",
        ] {
            assert!(matches!(KeySource::url(good), Ok(KeySource::Url(_))), "{good}");
        }
        for (bad, why) in [
            ("http://id.example/keys", InvalidSource::Plain),
            ("http://10.0.0.1/keys", InvalidSource::Plain),
            ("http://localhost.evil/keys", InvalidSource::Plain),
            ("http://169.254.169.254/latest", InvalidSource::Plain),
            ("https://me:secret@id.example/", InvalidSource::Malformed),
            ("ftp://id.example/keys", InvalidSource::Malformed),
            ("/keys", InvalidSource::Malformed),
            ("id.example", InvalidSource::Malformed),
            ("", InvalidSource::Malformed),
        ] {
            assert_eq!(KeySource::url(bad), Err(why), "{bad}");
        }
    }
}
