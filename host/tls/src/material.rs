//! Certificates and keys as rustls takes them, read from files and exchanged as one.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tidegate_types::Digest;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::{Files, TlsError};

/// TLS of one listener.
pub(crate) struct Tls {
    files: Files,
    protocols: Vec<Vec<u8>>,
    config: ArcSwap<ServerConfig>,
    /// What was read last, whether or not it could be used.
    seen: Mutex<[Digest; 3]>,
}

/// The contents of all files.
struct Read {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl Tls {
    pub(crate) fn open(files: Files, protocols: &[&[u8]]) -> Result<Self, TlsError> {
        let protocols: Vec<_> = protocols.iter().map(|name| name.to_vec()).collect();
        let read = Read::of(&files)?;
        let config = read.config(&files, &protocols)?;
        let seen = Mutex::new(read.digests());
        Ok(Self { files, protocols, config: ArcSwap::from_pointee(config), seen })
    }

    pub(crate) async fn accept(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        TlsAcceptor::from(self.config.load_full()).accept(stream).await
    }

    pub(crate) fn reload(&self) -> Result<bool, TlsError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let read = Read::of(&self.files)?;
        let digests = read.digests();
        if *seen == digests {
            return Ok(false);
        }
        *seen = digests;
        let config = read.config(&self.files, &self.protocols)?;
        self.config.store(Arc::new(config));
        Ok(true)
    }
}

impl Read {
    fn of(files: &Files) -> Result<Self, TlsError> {
        let client_ca = files.client_ca.as_deref().map(read).transpose()?;
        Ok(Self { certificate: read(&files.certificate)?, key: read(&files.key)?, client_ca })
    }

    fn digests(&self) -> [Digest; 3] {
        [&self.certificate, &self.key, self.client_ca.as_ref().unwrap_or(&Vec::new())]
            .map(|bytes| Digest::of(bytes))
    }

    fn config(&self, files: &Files, protocols: &[Vec<u8>]) -> Result<ServerConfig, TlsError> {
        let chain = certificates(&self.certificate, &files.certificate)?;
        let key =
            PrivateKeyDer::from_pem_slice(&self.key).map_err(|error| TlsError::Malformed {
                path: files.key.clone(),
                wanted: "a private key",
                reason: error.to_string(),
            })?;
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("the provider has the protocol versions that rustls calls safe");
        let builder = match (&self.client_ca, &files.client_ca) {
            (Some(pem), Some(path)) => {
                let mut roots = RootCertStore::empty();
                add_roots(&mut roots, pem, path)?;
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(roots.into(), provider()).build();
                let verifier = verifier.map_err(|error| TlsError::Roots {
                    path: path.clone(),
                    reason: error.to_string(),
                })?;
                builder.with_client_cert_verifier(verifier)
            }
            _ => builder.with_no_client_auth(),
        };
        let config = builder.with_single_cert(chain, key);
        let mut config = config.map_err(|error| TlsError::Unusable {
            certificate: files.certificate.clone(),
            key: files.key.clone(),
            reason: error.to_string(),
        })?;
        config.alpn_protocols = protocols.to_vec();
        Ok(config)
    }
}

/// Named, since a program may have more than one built in.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Unreadable { path: path.to_owned(), source })
}

/// At least one.
fn certificates(pem: &[u8], path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let malformed =
        |reason| TlsError::Malformed { path: path.to_owned(), wanted: "certificates", reason };
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let read = read.map_err(|error| malformed(error.to_string()))?;
    if read.is_empty() { Err(malformed("there is none".to_owned())) } else { Ok(read) }
}

pub(crate) fn add_roots(
    roots: &mut RootCertStore,
    pem: &[u8],
    path: &Path,
) -> Result<(), TlsError> {
    for certificate in certificates(pem, path)? {
        roots.add(certificate).map_err(|error| TlsError::Roots {
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
    }
    Ok(())
}
