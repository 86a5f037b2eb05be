//! Pulls components from OCI registries and publishes them there.
//!
//! - A pull is by digest. A tag is resolved and told, never followed: it may name something else
//!   tomorrow.
//! - Manifest, configuration and component are each held against the digest they were asked by.
//! - Every host that is spoken to is on the list: the registry, its token service, and where it
//!   keeps its blobs. The registry's word does not extend the list.
//! - Plain HTTP only to loopback addresses and to hosts that are named for it; a redirect never
//!   changes the scheme, and only reading follows one.

mod challenge;
mod session;
mod transport;

use std::time::Duration;

use bytes::Bytes;
use tidegate_types::Digest;

use crate::credentials::Credentials;
use crate::error::DistributionError;
use crate::layout::{self, Descriptor, LayoutError};
use crate::reference::Reference;
use session::{Action, Session};
use transport::Transport;

/// The hosts that may be spoken to, each as `HOST` or `HOST:PORT`, exactly as references name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedHosts {
    /// For a person who names the registry: all of them.
    Any,
    /// For a gateway, which is told by others what to pull: these alone.
    Only(Vec<String>),
}

impl AllowedHosts {
    pub(crate) fn has(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Only(hosts) => hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host)),
        }
    }
}

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct RegistryOptions {
    pub allowed: AllowedHosts,
    /// Are loopback addresses spoken to without TLS?
    pub plain_loopback: bool,
    /// Further hosts that are spoken to without TLS.
    pub plain_http: Vec<String>,
    pub credentials: Credentials,
    /// The most that a component may have.
    pub component_bytes: u64,
    /// For one request, from the connection to the last byte.
    pub request_timeout: Duration,
}

/// A client of OCI registries.
pub struct RegistryClient {
    transport: Transport,
    options: RegistryOptions,
}

/// A component from a registry, verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulled {
    /// By the digest of the manifest.
    pub reference: Reference,
    pub component: Bytes,
    /// Of the component.
    pub digest: Digest,
}

/// A component that was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// By the digest of the manifest: what others pull.
    pub reference: Reference,
    /// Of the component.
    pub digest: Digest,
}

impl RegistryClient {
    /// A client that has spoken to nobody yet.
    #[must_use]
    pub fn new(options: RegistryOptions) -> Self {
        Self { transport: Transport::new(&options), options }
    }

    /// Pulls the component that a digest names.
    ///
    /// # Errors
    /// [`DistributionError::DigestNeeded`] for a reference without a digest; otherwise where the
    /// registry does not give a component that is what was asked for.
    pub async fn pull(&self, reference: &Reference) -> Result<Pulled, DistributionError> {
        let Some(manifest) = reference.digest else {
            let today = Box::new(self.resolve(reference).await?);
            return Err(DistributionError::DigestNeeded {
                asked: Box::new(reference.clone()),
                today,
            });
        };
        let reference = reference.by_digest(manifest);
        let failed = |cause| DistributionError::Layout { at: reference.to_string(), cause };
        let mut session = self.session(&reference, Action::Pull);
        let text = session.manifest(&manifest.to_string()).await?;
        check(&reference, "manifest", &text, &manifest)?;
        let limit = self.options.component_bytes;
        let (config, layer) = layout::read_manifest(&text, limit).map_err(failed)?;
        let text = blob(&mut session, &reference, "configuration", &config).await?;
        layout::check_config(&text, &layer.digest).map_err(failed)?;
        let component = blob(&mut session, &reference, "component", &layer).await?;
        Ok(Pulled { digest: layer.digest, component, reference })
    }

    /// The digest that a tag names now.
    ///
    /// # Errors
    /// Where the reference has no tag, or the registry does not know it.
    pub async fn resolve(&self, reference: &Reference) -> Result<Reference, DistributionError> {
        let Some(tag) = &reference.tag else {
            return Err(DistributionError::NothingNamed { asked: Box::new(reference.clone()) });
        };
        let text = self.session(reference, Action::Pull).manifest(tag).await?;
        Ok(reference.by_digest(Digest::of(&text)))
    }

    /// Publishes a component: under the reference's tag, where it has one, and by its digest.
    ///
    /// # Errors
    /// Where the bytes are no component, and where the registry does not take them.
    pub async fn publish(
        &self,
        reference: &Reference,
        component: Bytes,
    ) -> Result<Published, DistributionError> {
        let (bytes, limit) = (component.len() as u64, self.options.component_bytes);
        if bytes > limit {
            let cause = LayoutError::TooLarge { what: "component", bytes, limit };
            return Err(DistributionError::Layout { at: reference.to_string(), cause });
        }
        let packed = layout::pack(&component).map_err(DistributionError::NoComponent)?;
        let manifest = Digest::of(&packed.manifest);
        let published = reference.by_digest(manifest);
        if reference.digest.is_some_and(|asked| asked != manifest) {
            let (asked, made) = (Box::new(reference.clone()), Box::new(published));
            return Err(DistributionError::OtherDigest { asked, made });
        }
        let digest = Digest::of(&component);
        let mut session = self.session(reference, Action::Push);
        session.push_blob(&digest, component).await?;
        session.push_blob(&Digest::of(&packed.config), packed.config.into()).await?;
        let name = reference.tag.clone().unwrap_or_else(|| manifest.to_string());
        session.push_manifest(&name, packed.manifest.into()).await?;
        Ok(Published { reference: published, digest })
    }

    fn session<'a>(&'a self, reference: &'a Reference, action: Action) -> Session<'a> {
        Session::new(&self.transport, &self.options.credentials, reference, action)
    }
}

/// A blob of at most the size that its descriptor tells.
async fn blob(
    session: &mut Session<'_>,
    reference: &Reference,
    what: &'static str,
    descriptor: &Descriptor,
) -> Result<Bytes, DistributionError> {
    let bytes = session.blob(what, descriptor).await?;
    check(reference, what, &bytes, &descriptor.digest)?;
    if bytes.len() as u64 == descriptor.size {
        return Ok(bytes);
    }
    let what = "a blob has another size than the manifest tells";
    Err(DistributionError::Protocol { at: reference.to_string(), what })
}

fn check(
    reference: &Reference,
    what: &'static str,
    bytes: &[u8],
    digest: &Digest,
) -> Result<(), DistributionError> {
    let found = Digest::of(bytes);
    if found == *digest {
        return Ok(());
    }
    Err(DistributionError::Forged { at: reference.to_string(), what, found })
}
