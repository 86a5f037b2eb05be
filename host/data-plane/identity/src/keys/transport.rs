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
use tidegate_tls::{TlsError, innermost};

use super::source::FetchError;

/// A client for all issuers.
#[derive(Clone)]
pub(crate) struct Transport {
    client: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
}

impl Transport {
    /// Trusts the system's certificates and those of a file.
    pub(crate) fn new(ca_file: Option<&Path>) -> Result<Self, TlsError> {
        // Where nobody is trusted each fetch over TLS says that the certificate's issuer is not known.
        let tls = tidegate_tls::trust(ca_file)?.config;
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
