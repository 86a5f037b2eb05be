//! One GET of a key set: bounded in time and size, to the configured address and no other.
//! Redirects are not followed: who can send us elsewhere could say whose keys we believe.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, HeaderValue};
use http::{Request, Uri};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use super::source::FetchError;

/// A client for all issuers.
#[derive(Clone)]
pub(crate) struct Transport {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
}

/// Why a file of certificates cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidCertificates(String);

impl Transport {
    /// Trusts the system's certificates and those of a file.
    pub(crate) fn new(ca_file: Option<&Path>) -> Result<Self, InvalidCertificates> {
        let mut roots = RootCertStore::empty();
        // Without any, each fetch over TLS says that the certificate's issuer is not known.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for certificate in ca_file.map(read_certificates).transpose()?.unwrap_or_default() {
            roots.add(certificate).map_err(|error| InvalidCertificates(error.to_string()))?;
        }
        let provider = rustls::crypto::ring::default_provider();
        let tls = ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .expect("the provider has the protocol versions that rustls calls safe")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        let client = Client::builder(TokioExecutor::new())
            // Fetches are minutes apart.
            .pool_max_idle_per_host(0)
            .build(connector.wrap_connector(http));
        Ok(Self { client })
    }

    /// The whole body of a 200.
    pub(super) async fn get(
        &self,
        uri: &Uri,
        timeout: Duration,
        most_bytes: usize,
    ) -> Result<Vec<u8>, FetchError> {
        match tokio::time::timeout(timeout, self.whole(uri, most_bytes)).await {
            Ok(body) => body,
            Err(_elapsed) => Err(FetchError::Timeout(timeout)),
        }
    }

    async fn whole(&self, uri: &Uri, most_bytes: usize) -> Result<Vec<u8>, FetchError> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = uri.clone();
        let types = HeaderValue::from_static("application/jwk-set+json, application/json");
        request.headers_mut().insert(ACCEPT, types);
        let broken = |error: &(dyn Error + 'static)| FetchError::Broken(innermost(error));
        let response = self.client.request(request).await.map_err(|error| broken(&error))?;
        let (head, body) = response.into_parts();
        if head.status != http::StatusCode::OK {
            return Err(FetchError::Status(head.status.as_u16()));
        }
        match Limited::new(body, most_bytes).collect().await {
            Ok(body) => Ok(body.to_bytes().to_vec()),
            Err(error) if error.is::<LengthLimitError>() => Err(FetchError::TooLarge(most_bytes)),
            Err(error) => Err(broken(&*error)),
        }
    }
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, InvalidCertificates> {
    let failed = |what: String| InvalidCertificates(format!("{}: {what}", path.display()));
    let all = CertificateDer::pem_file_iter(path).map_err(|error| failed(error.to_string()))?;
    let all: Result<Vec<_>, _> = all.collect();
    let all = all.map_err(|error| failed(error.to_string()))?;
    if all.is_empty() {
        return Err(failed("there is no certificate in it".to_owned()));
    }
    Ok(all)
}

/// The last cause says what happened; the ones before it say only that something did.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string().chars().filter(|c| !c.is_control()).take(200).collect()
}
