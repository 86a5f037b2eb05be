//! Over TLS: who is trusted, who a gateway wants to see a certificate of, and what is said where that
//! fails. The certificates are made by `openssl`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::json;
use tempfile::TempDir;
use tidegate_connector::{Connector, ConnectorOptions, Identity, Summary};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::server::Server;

/// An authority, and certificates that it has signed.
struct Authority(TempDir);

impl Authority {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = Self(folder);
        made.openssl("req -x509 -subj /CN=authority -days 2 -out ca.pem", "ca.key");
        for (name, extension) in
            [("server", "subjectAltName=IP:127.0.0.1"), ("client", "extendedKeyUsage=clientAuth")]
        {
            std::fs::write(made.file("extension"), extension).unwrap();
            made.openssl(&format!("req -subj /CN={name} -out request"), &format!("{name}.key"));
            made.openssl(
                &format!(
                    "x509 -req -in request -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
                     -extfile extension -out {name}.pem"
                ),
                "",
            );
        }
        made
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn identity(&self) -> Identity {
        let (certificate_file, key_file) = (self.file("client.pem"), self.file("client.key"));
        Identity { certificate_file, key_file }
    }

    /// With a new key, where its file is named.
    fn openssl(&self, words: &str, new_key: &str) {
        let mut command = Command::new("openssl");
        command.args(words.split_whitespace()).current_dir(self.0.path()).stdin(Stdio::null());
        if !new_key.is_empty() {
            command.args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"]);
            command.args(["-keyout", new_key]);
        }
        let output = command.output().expect("openssl is there");
        assert!(output.status.success(), "{words}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Speaks TLS before a plain server; wants to see a certificate of the authority where it `asks`.
async fn terminate(authority: &Authority, plain: &str, asks: bool) -> SocketAddr {
    let read = |name: &str| {
        let path = authority.file(name);
        CertificateDer::pem_file_iter(path).unwrap().map(Result::unwrap).collect::<Vec<_>>()
    };
    let key = PrivateKeyDer::from_pem_file(authority.file("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let builder = if asks {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(read("ca.pem"));
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let config = builder.with_single_cert(read("server.pem"), key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let plain = plain.strip_prefix("http://").unwrap().to_owned();
    tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, plain) = (acceptor.clone(), plain.clone());
            connections.spawn(async move {
                // Handshakes that fail are what some tests are about.
                let Ok(mut from) = acceptor.accept(stream).await else { return };
                let mut to = TcpStream::connect(plain).await.unwrap();
                tokio::io::copy_bidirectional(&mut from, &mut to).await.ok();
            });
        }
    });
    address
}

fn options(address: SocketAddr) -> ConnectorOptions {
    let mut options = ConnectorOptions::new(format!("https://{address}"), "k");
    options.retry.max_attempts = 2;
    options.retry.first_delay = std::time::Duration::from_millis(1);
    options
}

async fn posted(options: ConnectorOptions) -> Summary {
    let events = (0..250).map(|n| Ok(json!({ "n": n }).to_string().into()));
    Connector::new(options).unwrap().post(events, |_| ()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_those_who_are_trusted_see_an_event() {
    let authority = Authority::new();
    let server = Server::start(|_, _| json!({ "status": 202, "receipts": "accepted" })).await;
    let address = terminate(&authority, &server.url, false).await;
    let summary = posted(options(address)).await;
    let why = summary.stopped.unwrap().to_string();
    assert!(why.contains("UnknownIssuer"), "{why}");
    assert_eq!(server.got().len(), 0);

    let mut trusting = options(address);
    trusting.tls.ca_file = Some(authority.file("ca.pem"));
    let summary = posted(trusting.clone()).await;
    assert!(summary.all_taken() && summary.events == 250, "{summary:?}");

    // It is signed for the address alone.
    trusting.url = format!("https://localhost:{}", address.port());
    let summary = posted(trusting).await;
    let why = summary.stopped.unwrap().to_string();
    assert!(why.contains("certificate"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_asks_for_a_certificate_gets_it() {
    let authority = Authority::new();
    let server = Server::start(|_, _| json!({ "status": 202, "receipts": "accepted" })).await;
    let address = terminate(&authority, &server.url, true).await;
    let mut options = options(address);
    options.tls.ca_file = Some(authority.file("ca.pem"));
    let summary = posted(options.clone()).await;
    let why = summary.stopped.unwrap().to_string();
    assert!(why.contains("CertificateRequired"), "{why}");
    assert_eq!(server.got().len(), 0);

    options.tls.identity = Some(authority.identity());
    let summary = posted(options).await;
    assert!(summary.all_taken() && summary.events == 250, "{summary:?}");
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let authority = Authority::new();
    let plain = authority.file("plain.txt");
    std::fs::write(&plain, "no PEM").unwrap();
    let none = authority.file("none.pem");
    let check = |ca: Option<&Path>, identity: Option<(&Path, &Path)>, file: &Path, word: &str| {
        let mut options = ConnectorOptions::new("https://gateway", "k");
        options.tls.ca_file = ca.map(Path::to_owned);
        options.tls.identity = identity.map(|(certificate, key)| Identity {
            certificate_file: certificate.to_owned(),
            key_file: key.to_owned(),
        });
        let error = Connector::new(options).map(drop).unwrap_err().to_string();
        let file = file.display().to_string();
        assert!(error.contains(&file) && error.contains(word), "{error}");
    };
    let (own, key) = (&authority.file("client.pem"), &authority.file("client.key"));
    check(Some(&none), None, &none, "cannot be read");
    check(Some(&plain), None, &plain, "no certificate");
    check(None, Some((&none, key)), &none, "cannot be read");
    check(None, Some((&plain, key)), &plain, "no certificate");
    check(None, Some((own, &none)), &none, "cannot be read");
    check(None, Some((own, &plain)), &plain, "no private key");
    let other = &authority.file("server.key");
    check(None, Some((own, other)), other, "not the key of");
}
