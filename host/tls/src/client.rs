//! Whom the gateway trusts where it is a client: issuers of tokens, registries of components.

use std::error::Error;
use std::path::Path;

use rustls::{ClientConfig, RootCertStore};

use crate::TlsError;
use crate::material::{add_roots, provider};

/// What `https` is spoken with.
pub struct Trust {
    pub config: ClientConfig,
    /// Why no certificate is trusted, where none is.
    pub nobody: Option<String>,
}

/// The last cause of an error, in one line of at most 200 characters: it says what happened, and the ones
/// before it only that something did.
#[must_use]
pub fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string().chars().filter(|c| !c.is_control()).take(200).collect()
}

/// The authorities that the operating system trusts (`SSL_CERT_FILE` names others), and those of a
/// PEM file. No certificate of our own is shown.
///
/// # Errors
/// Where the file cannot be read or holds no authority's certificates.
pub fn trust(ca_file: Option<&Path>) -> Result<Trust, TlsError> {
    let system = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(system.certs);
    if let Some(path) = ca_file {
        add_roots(&mut roots, &crate::material::read(path)?, path)?;
    }
    let nobody = roots.is_empty().then(|| {
        let why = system.errors.first().map_or("there are none".to_owned(), ToString::to_string);
        format!(
            "this machine has no root certificates ({why}); install them, or name a file with SSL_CERT_FILE"
        )
    });
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("the provider has the protocol versions that rustls calls safe")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Trust { config, nobody })
}
