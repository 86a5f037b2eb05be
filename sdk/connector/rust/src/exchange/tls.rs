//! TLS as a client speaks it: certificates and keys read from PEM files, once, with errors that name the
//! file.

use std::path::Path;

use rustls::client::WantsClientCert;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};

use crate::exchange::client::ClientError;
use crate::exchange::connect::{Identity, TlsOptions};

/// What `https://` is spoken with.
pub(super) fn config(options: &TlsOptions) -> Result<ClientConfig, ClientError> {
    let config = trusting(roots(options.ca_file.as_deref())?);
    let Some(Identity { certificate_file, key_file }) = &options.identity else {
        return Ok(config.with_no_client_auth());
    };
    let chain = certificates(certificate_file)?;
    let key = PrivateKeyDer::from_pem_file(key_file).map_err(|error| match error {
        PemError::NoItemsFound => invalid(key_file, "holds no private key without a password"),
        error => unreadable(key_file, &error),
    })?;
    config.with_client_auth_cert(chain, key).map_err(|error| {
        let certificate = certificate_file.display();
        invalid(key_file, &format!("is not the key of {certificate}: {error}"))
    })
}

/// What a client of a plain address has and never uses.
pub(super) fn unused() -> ClientConfig {
    trusting(RootCertStore::empty()).with_no_client_auth()
}

fn trusting(roots: RootCertStore) -> ConfigBuilder<ClientConfig, WantsClientCert> {
    // Named, since a program may have more than one built in.
    let provider = rustls::crypto::ring::default_provider();
    ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .expect("the provider has the protocol versions that rustls calls safe")
        .with_root_certificates(roots)
}

fn roots(more: Option<&Path>) -> Result<RootCertStore, ClientError> {
    let mut roots = RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(system.certs);
    for certificate in more.map(certificates).transpose()?.into_iter().flatten() {
        roots.add(certificate).map_err(|error| {
            let path = more.unwrap_or(Path::new(""));
            invalid(path, &format!("has a certificate that is none of an authority: {error}"))
        })?;
    }
    if roots.is_empty() {
        let causes = system.errors.iter().map(ToString::to_string);
        let causes: Vec<String> = causes.collect();
        let what = format!(
            "this machine trusts no authority ({}); install `ca-certificates`, or name a file of them",
            if causes.is_empty() { "it has no certificates".to_owned() } else { causes.join("; ") }
        );
        return Err(ClientError::Tls { what });
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let all = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let all = all.map_err(|error| unreadable(path, &error))?;
    if all.is_empty() {
        return Err(invalid(path, "holds no certificate in PEM"));
    }
    Ok(all)
}

fn unreadable(path: &Path, error: &PemError) -> ClientError {
    invalid(path, &format!("cannot be read: {error}"))
}

fn invalid(path: &Path, what: &str) -> ClientError {
    ClientError::Tls { what: format!("{} {what}", path.display()) }
}
