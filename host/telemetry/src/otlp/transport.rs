//! One call to the collector: bounded in time and size, over TLS where the URL says so.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tidegate_tls::innermost;

use super::OtlpError;

/// The longest answer that is read.
const MOST_ANSWER_BYTES: usize = 64 << 10;

/// A client of the collector.
#[derive(Debug)]
pub(super) struct Transport {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    traces: Uri,
    metrics: Uri,
    headers: HeaderMap,
    timeout: Duration,
    failing: AtomicBool,
}

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Signal {
    Traces,
    Metrics,
}

/// Why something was not taken.
#[derive(Debug)]
pub(super) enum NotTaken {
    /// It may be taken later, after this time where one is told.
    Later(Option<Duration>),
    /// It never will.
    Never,
}

impl Transport {
    pub(super) fn new(endpoint: &str, headers: &str, timeout: Duration) -> Result<Self, OtlpError> {
        let base = endpoint.trim_end_matches('/');
        let at = |path: &str| format!("{base}{path}").parse().map_err(OtlpError::Endpoint);
        let tls = tidegate_tls::trust(None)?.config;
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector.wrap_connector(http)),
            traces: at("/v1/traces")?,
            metrics: at("/v1/metrics")?,
            headers: read(headers)?,
            timeout,
            failing: AtomicBool::new(false),
        })
    }

    /// Sends a message; answers what the collector says to it.
    pub(super) async fn send(&self, signal: Signal, message: Vec<u8>) -> Result<Bytes, NotTaken> {
        let called = tokio::time::timeout(self.timeout, self.call(signal, message)).await;
        let (answer, why) = match called {
            Ok(Ok(answer)) => (Ok(answer), None),
            Ok(Err((not_taken, why))) => (Err(not_taken), Some(why)),
            Err(_) => (Err(NotTaken::Later(None)), Some("it did not answer in time".to_owned())),
        };
        self.tell(why.as_deref());
        answer
    }

    async fn call(&self, signal: Signal, message: Vec<u8>) -> Result<Bytes, (NotTaken, String)> {
        let uri = match signal {
            Signal::Traces => &self.traces,
            Signal::Metrics => &self.metrics,
        };
        let mut request = Request::new(Full::new(Bytes::from(message)));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri.clone();
        request.headers_mut().clone_from(&self.headers);
        let protobuf = HeaderValue::from_static("application/x-protobuf");
        request.headers_mut().insert(CONTENT_TYPE, protobuf);
        let later = |why: String| (NotTaken::Later(None), why);
        let response = self.client.request(request).await;
        let response = response.map_err(|error| later(innermost(&error)))?;
        let (head, body) = response.into_parts();
        if head.status.is_success() {
            let body = Limited::new(body, MOST_ANSWER_BYTES).collect().await;
            return body.map(|body| body.to_bytes()).map_err(|error| later(innermost(&*error)));
        }
        let why = format!("it answers {}", head.status);
        // The statuses that the protocol calls retryable.
        let not_taken = match head.status.as_u16() {
            429 | 502 | 503 | 504 => {
                let seconds = head.headers.get(RETRY_AFTER).and_then(|it| it.to_str().ok());
                let seconds = seconds.and_then(|text| text.parse().ok());
                NotTaken::Later(seconds.map(Duration::from_secs))
            }
            _ => NotTaken::Never,
        };
        Err((not_taken, why))
    }

    /// Told once, and when it is over.
    fn tell(&self, why: Option<&str>) {
        let endpoint = self.traces.authority().map(ToString::to_string);
        match (self.failing.swap(why.is_some(), Ordering::Relaxed), why) {
            (false, Some(why)) => {
                tracing::warn!(endpoint, why, "the collector of OpenTelemetry takes nothing");
            }
            (true, None) => {
                tracing::info!(endpoint, "the collector of OpenTelemetry takes everything again");
            }
            (true, Some(_)) | (false, None) => {}
        }
    }
}

/// `NAME=VALUE`, with commas between them.
fn read(text: &str) -> Result<HeaderMap, OtlpError> {
    let mut headers = HeaderMap::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').ok_or(OtlpError::Headers)?;
        let name: HeaderName = name.trim().parse().map_err(|_| OtlpError::Headers)?;
        let mut value: HeaderValue = value.trim().parse().map_err(|_| OtlpError::Headers)?;
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_calls() {
        let names = |text| read(text).map(|headers| headers.len());
        for (text, expected) in [
            ("", Some(0)),
            ("authorization=Bearer a=b", Some(1)),
            ("a=1, b = 2 ,", Some(2)),
            ("a", None),
            ("a b=1", None),
            ("a=\u{7}", None),
        ] {
            assert_eq!(names(text).ok(), expected, "{text}");
        }
    }
}
