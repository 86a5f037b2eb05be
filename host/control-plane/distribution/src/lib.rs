//! How components travel. Signatures say whose a component is: detached, Ed25519, over its raw
//! bytes. With the feature `oci` components are pulled from OCI registries and published to them,
//! in the layout that the CNCF's TAG Runtime has given WebAssembly, so that other tools for it read
//! and write the same.
//!
//! A registry is a foreign computer: what it says has limits in size and time, every byte is held
//! against its digest, and where it sends us to is held against the list of hosts that are allowed.

pub mod signature;

#[cfg(feature = "oci")]
pub mod credentials;
#[cfg(feature = "oci")]
pub mod error;
#[cfg(feature = "oci")]
pub mod layout;
#[cfg(feature = "oci")]
pub mod reference;
#[cfg(feature = "oci")]
pub mod registry;

#[cfg(feature = "oci")]
pub use credentials::{Credential, Credentials};
#[cfg(feature = "oci")]
pub use error::DistributionError;
#[cfg(feature = "oci")]
pub use reference::Reference;
#[cfg(feature = "oci")]
pub use registry::{AllowedHosts, Pulled, RegistryClient, RegistryOptions};
pub use signature::{
    KeyId, PublicKey, SecretKey, Signature, SignatureError, SignaturePolicy, verify,
};
