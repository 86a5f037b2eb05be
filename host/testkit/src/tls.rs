//! Certificates of a test's own, made by openssl, and clients that trust them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;

/// A certificate and its key, in PEM.
#[derive(Debug, Clone)]
pub struct Identity {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// One that issues certificates.
#[derive(Debug)]
pub struct Authority {
    folder: TempDir,
}

fn openssl(folder: &Path, arguments: &[&str]) {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .expect("openssl starts; Debian has it as `openssl`");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

const P256: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];

impl Authority {
    /// A new one with a root of its own.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let subject = format!("/CN={name}");
        let request = ["req", "-x509", "-days", "2", "-subj", &subject];
        let out = ["-keyout", "root.key", "-out", "root.pem"];
        openssl(folder.path(), &[&request[..], &P256, &out].concat());
        Self { folder }
    }

    /// Its root.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.folder.path().join("root.pem")
    }

    /// A certificate for `localhost` and 127.0.0.1, or for a client of that name.
    #[must_use]
    pub fn issue(&self, name: &str) -> Identity {
        let folder = self.folder.path();
        let at = |kind: &str| format!("{name}.{kind}");
        let extensions = "subjectAltName=DNS:localhost,IP:127.0.0.1\n";
        std::fs::write(folder.join("extensions"), extensions).expect("a file");
        let subject = format!("/CN={name}");
        let (key, request, certificate) = (at("key"), at("csr"), at("pem"));
        let out = ["-keyout", &key, "-out", &request];
        openssl(folder, &[&["req", "-subj", &subject][..], &P256, &out].concat());
        openssl(
            folder,
            &[
                "x509", "-req", "-days", "2", "-in", &request, "-CA", "root.pem", "-CAkey",
                "root.key", "-CAcreateserial", "-extfile", "extensions", "-out", &certificate,
            ],
        );
        Identity { certificate: folder.join(certificate), key: folder.join(key) }
    }
}

/// Whom a client trusts, and what it shows of itself.
#[derive(Debug, Clone)]
pub struct Trust(pub(crate) Arc<ClientConfig>);

impl Trust {
    /// A client that trusts this authority alone, and shows a certificate where one is given.
    #[must_use]
    pub fn new(authority: &Authority, identity: Option<&Identity>, protocols: &[&[u8]]) -> Self {
        let mut roots = RootCertStore::empty();
        let root = CertificateDer::from_pem_file(authority.root()).expect("a certificate");
        roots.add(root).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has them")
            .with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some(Identity { certificate, key }) => {
                let certificate =
                    CertificateDer::from_pem_file(certificate).expect("a certificate");
                let key = PrivateKeyDer::from_pem_file(key).expect("a key");
                builder.with_client_auth_cert(vec![certificate], key).expect("of each other")
            }
        };
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Self(Arc::new(config))
    }
}
