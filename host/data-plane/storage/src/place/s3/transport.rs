//! HTTP to S3: one exchange, whole and bounded in time and size. `object_store` signs and tries again.

use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector as Tcp;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
    HttpResponse, HttpResponseBody, HttpService,
};
use rustls::{ClientConfig, RootCertStore};

/// Most bytes of an answer: those of the largest file, with room.
const ANSWER_BYTES: usize = 1 << 30;
/// Servers close what is idle: AWS after some 20 s.
const IDLE: Duration = Duration::from_secs(10);

/// Makes clients.
#[derive(Debug)]
pub(super) struct Connector {
    pub(super) connect_timeout: Duration,
    pub(super) request_timeout: Duration,
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Transport::new(self)))
    }
}

#[derive(Debug)]
struct Transport {
    client: Client<HttpsConnector<Tcp>, HttpRequestBody>,
    timeout: Duration,
}

impl Transport {
    /// Trusts the system's certificates.
    fn new(connector: &Connector) -> Self {
        let mut roots = RootCertStore::empty();
        // Without any, each request over TLS says that the certificate's issuer is not known.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let provider = rustls::crypto::ring::default_provider();
        let tls = ClientConfig::builder_with_provider(provider.into())
            .with_safe_default_protocol_versions()
            .expect("the provider has the protocol versions that rustls calls safe")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut tcp = Tcp::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(connector.connect_timeout));
        let secured =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .build(secured.wrap_connector(tcp));
        Self { client, timeout: connector.request_timeout }
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = self.client.request(request).await.map_err(|error| {
            let kind = if error.is_connect() { HttpErrorKind::Connect } else { kind(&error) };
            HttpError::new(kind, error)
        })?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| HttpError::new_boxed(HttpErrorKind::Interrupted, error))?;
        let body: Full<Bytes> = Full::new(body.to_bytes());
        let body = body.map_err(|never| match never {});
        Ok(HttpResponse::from_parts(head, HttpResponseBody::new(body)))
    }
}

#[async_trait]
impl HttpService for Transport {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        match tokio::time::timeout(self.timeout, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(elapsed) => Err(HttpError::new(HttpErrorKind::Timeout, elapsed)),
        }
    }
}

/// May it be sent again whatever it was? Also what was sent in part may: a put is conditional.
fn kind(error: &(dyn Error + 'static)) -> HttpErrorKind {
    let mut causes = std::iter::successors(Some(error), |error| (*error).source());
    let is_cut = |error: &(dyn Error + 'static)| {
        let cut = error.downcast_ref::<hyper::Error>().is_some_and(|error| {
            error.is_closed() || error.is_canceled() || error.is_incomplete_message()
        });
        cut || error.is::<std::io::Error>()
    };
    if causes.any(is_cut) { HttpErrorKind::Request } else { HttpErrorKind::Unknown }
}
