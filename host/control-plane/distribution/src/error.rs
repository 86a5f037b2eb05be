//! Why a component could not be pulled or published.

use std::path::PathBuf;
use std::time::Duration;

use tidegate_types::Digest;

use crate::layout::LayoutError;
use crate::reference::{InvalidReference, Reference};

/// Why a component could not be pulled or published. Texts of registries are bounded and without
/// control characters; credentials are in none.
#[derive(Debug, thiserror::Error)]
pub enum DistributionError {
    #[error(transparent)]
    Reference(#[from] InvalidReference),
    #[error(
        "the registry `{host}` is not allowed: add it to `allowed` in the section [registries] of the configuration"
    )]
    NotAllowed { host: String },
    #[error(
        "{asked} names no digest; a tag can be moved to another component. Today it is {today}"
    )]
    DigestNeeded { asked: Box<Reference>, today: Box<Reference> },
    #[error("{asked} names neither a digest nor a tag; add one")]
    NothingNamed { asked: Box<Reference> },
    #[error(
        "{asked} names another digest than this component gets, which is {made}; leave the digest out"
    )]
    OtherDigest { asked: Box<Reference>, made: Box<Reference> },
    #[error("{at}: there is no such {what}")]
    NotFound { at: String, what: &'static str },
    #[error(
        "{at}: the registry wants other credentials (status {status}); log in with `docker login` or `oras login`, or set TIDEGATE_REGISTRY_USER and TIDEGATE_REGISTRY_PASSWORD"
    )]
    Denied { at: String, status: u16 },
    #[error("{at}: the registry answered {status}{}{said}", if said.is_empty() { "" } else { ": " })]
    Refused { at: String, status: u16, said: String },
    #[error("{at}: no connection: {cause}")]
    Unreachable { at: String, cause: String },
    #[error("{at}: the connection broke: {cause}")]
    Broken { at: String, cause: String },
    #[error("{at}: no whole answer within {} s", after.as_secs())]
    Timeout { at: String, after: Duration },
    #[error("{at}: the answer is larger than {limit} bytes, which is all that is taken")]
    TooLarge { at: String, limit: u64 },
    #[error("{at}: the registry sends us to `{to}`, {why}")]
    Redirect { at: String, to: String, why: &'static str },
    #[error("{at}: {cause}")]
    Layout { at: String, cause: LayoutError },
    #[error(
        "{at}: the {what} has the digest {found}, which is not what was asked for; the registry's copy is damaged or forged"
    )]
    Forged { at: String, what: &'static str, found: Digest },
    #[error("{0}; publish a component built for wasm32-wasip2")]
    NoComponent(String),
    #[error("{path}: {cause}", path = path.display())]
    Credentials { path: PathBuf, cause: String },
    #[error("{at}: the registry's answer breaks the protocol: {what}")]
    Protocol { at: String, what: &'static str },
}

impl DistributionError {
    /// May the same call succeed later without anybody changing anything?
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Broken { .. } | Self::Timeout { .. } => true,
            Self::Refused { status, .. } => *status == 429 || *status >= 500,
            Self::Reference(_)
            | Self::NotAllowed { .. }
            | Self::DigestNeeded { .. }
            | Self::NothingNamed { .. }
            | Self::OtherDigest { .. }
            | Self::NotFound { .. }
            | Self::Denied { .. }
            | Self::TooLarge { .. }
            | Self::Redirect { .. }
            | Self::Layout { .. }
            | Self::Forged { .. }
            | Self::NoComponent(_)
            | Self::Credentials { .. }
            | Self::Protocol { .. } => false,
        }
    }
}
