//! A small HTTP/1.1 client: one address, one credential, whole bodies, and a limit
//! on the size and time of every answer. The connector and the command line both speak through it.

use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::exchange::connect::{Connector, TlsOptions, connector};

/// The largest answer that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 64 << 20;
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// What proves to the gateway who is asking.
#[derive(Clone)]
pub enum Credential {
    /// A producer's key, sent as `X-API-Key`.
    ApiKey(String),
    /// The admin token, sent as `Authorization: Bearer`.
    Bearer(String),
    /// Asked for a bearer token before each request of a connector or a client.
    Tokens(Arc<dyn TokenSource>),
}

/// Gives out bearer tokens; what it keeps of them is its own matter.
pub trait TokenSource: Send + Sync {
    /// A token. `renew` says that the last one was refused with 401. An error is tried again, as a
    /// gateway that is away.
    fn token(&self, renew: bool) -> TokenFuture<'_>;
}

/// A token on its way, or why there is none.
pub type TokenFuture<'a> =
    Pin<Box<dyn Future<Output = Result<String, Box<dyn Error + Send + Sync>>> + Send + 'a>>;

/// A client of one address. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct HttpClient {
    inner: Client<Connector, Full<Bytes>>,
    base: String,
    credential: Option<(HeaderName, HeaderValue)>,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Why there is a client or an answer missing.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(
        "`{url}` is not an address of a gateway ({reason}); write it as http://HOST:PORT or https://HOST:PORT"
    )]
    InvalidUrl { url: String, reason: &'static str },
    #[error(
        "the credential holds characters that no HTTP header can carry; check that it was copied whole"
    )]
    InvalidCredential,
    #[error("TLS cannot be set up: {what}")]
    Tls { what: String },
    #[error("`{path}` is not a path that can be requested")]
    InvalidPath { path: String },
    #[error("no connection to {base}: {cause}")]
    Unreachable { base: String, cause: String },
    #[error("the connection to {base} broke before the answer was complete: {cause}")]
    Broken { base: String, cause: String },
    #[error("no answer from {base} within {} ms", after.as_millis())]
    Timeout { base: String, after: Duration },
    #[error("the answer of {base} is larger than {MAX_ANSWER_BYTES} bytes")]
    AnswerTooLarge { base: String },
}

impl ClientError {
    /// May the same request succeed later?
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Broken { .. } | Self::Timeout { .. } => true,
            Self::InvalidUrl { .. }
            | Self::InvalidCredential
            | Self::Tls { .. }
            | Self::InvalidPath { .. }
            | Self::AnswerTooLarge { .. } => false,
        }
    }
}

impl HttpClient {
    /// A client of the gateway at `url`, `http://HOST:PORT` with or without a path before the
    /// API's own, or `https://` where the crate is built with the feature `tls`. Keeps at most
    /// `connections` idle connections.
    ///
    /// # Errors
    /// Where the URL is not of that form, or the credential cannot stand in a header.
    pub fn new(
        url: &str,
        credential: Option<&Credential>,
        connections: usize,
    ) -> Result<Self, ClientError> {
        Self::with_tls(url, credential, connections, &TlsOptions::default())
    }

    /// The same with certificates of the caller's own.
    ///
    /// # Errors
    /// As [`HttpClient::new`]; and where a file of certificates cannot be used, or the URL has no use
    /// for it.
    pub fn with_tls(
        url: &str,
        credential: Option<&Credential>,
        connections: usize,
        tls: &TlsOptions,
    ) -> Result<Self, ClientError> {
        let base = checked_base(url)?;
        let connector = connector(&base, tls)?;
        let credential = credential.map(header_of).transpose()?.flatten();
        let inner = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(connections)
            .build(connector);
        Ok(Self { inner, base, credential })
    }

    /// The address that this client asks, for messages.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// One request, one whole answer, whatever its status. `path` starts with `/`; the time limit
    /// covers everything from the connection to the last byte.
    ///
    /// # Errors
    /// Where there is no complete answer in time.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
        limit: Duration,
    ) -> Result<Answer, ClientError> {
        let request = self.request(method, path, headers, body)?;
        match tokio::time::timeout(limit, self.exchange(request)).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(ClientError::Timeout { base: self.base.clone(), after: limit }),
        }
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(HeaderName, HeaderValue)],
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, ClientError> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = format!("{}{path}", self.base)
            .parse()
            .map_err(|_invalid| ClientError::InvalidPath { path: path.to_owned() })?;
        request.headers_mut().extend(headers.iter().cloned());
        request.headers_mut().extend(self.credential.clone());
        Ok(request)
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, ClientError> {
        let response = self.inner.request(request).await.map_err(|error| {
            let (base, cause) = (self.base.clone(), innermost(&error));
            if error.is_connect() {
                ClientError::Unreachable { base, cause }
            } else {
                ClientError::Broken { base, cause }
            }
        })?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await.map_err(|error| {
            let base = self.base.clone();
            if error.is::<LengthLimitError>() {
                ClientError::AnswerTooLarge { base }
            } else {
                ClientError::Broken { base, cause: innermost(&*error) }
            }
        })?;
        Ok(Answer { status: head.status, headers: head.headers, body: body.to_bytes() })
    }
}

/// The header of a body that is JSON.
#[must_use]
pub fn json_content() -> (HeaderName, HeaderValue) {
    (CONTENT_TYPE, HeaderValue::from_static("application/json"))
}

fn checked_base(url: &str) -> Result<String, ClientError> {
    let invalid = |reason| ClientError::InvalidUrl { url: url.to_owned(), reason };
    let uri: Uri = url.parse().map_err(|_syntax| invalid("it is not a URL"))?;
    match uri.scheme_str() {
        Some("http" | "https") => {}
        _ => return Err(invalid("it does not start with http://")),
    }
    if uri.query().is_some() {
        return Err(invalid("it has a query"));
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(invalid("it has a user name in it"));
    }
    // Schemes are written in any case.
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let scheme = if uri.scheme_str() == Some("https") { "https" } else { "http" };
    Ok(format!("{scheme}://{}", rest.trim_end_matches('/')))
}

/// The header of a credential that stays; tokens have one of their own each time.
fn header_of(credential: &Credential) -> Result<Option<(HeaderName, HeaderValue)>, ClientError> {
    match credential {
        Credential::ApiKey(key) => {
            secret(HeaderName::from_static("x-api-key"), key.clone()).map(Some)
        }
        Credential::Bearer(token) => bearer(token).map(Some),
        Credential::Tokens(_) => Ok(None),
    }
}

/// The header of a bearer token.
pub(crate) fn bearer(token: &str) -> Result<(HeaderName, HeaderValue), ClientError> {
    secret(AUTHORIZATION, format!("Bearer {token}"))
}

fn secret(name: HeaderName, text: String) -> Result<(HeaderName, HeaderValue), ClientError> {
    let mut value =
        HeaderValue::try_from(text).map_err(|_invalid| ClientError::InvalidCredential)?;
    value.set_sensitive(true);
    Ok((name, value))
}

/// The last cause says what happened; the ones before it say only that something did.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked() {
        let check = |url: &str| HttpClient::new(url, None, 1).map(|client| client.base);
        for (url, base) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("HTTP://gateway/", "http://gateway"),
            ("http://[::1]:80/tide/", "http://[::1]:80/tide"),
        ] {
            assert_eq!(check(url).expect(url), base);
        }
        for (url, reason) in [
            ("", "not a URL"),
            ("127.0.0.1:8080", "does not start with http://"),
            ("gateway", "does not start with http://"),
            ("http://gateway?x=1", "query"),
            ("http://me:secret@gateway", "user name"),
        ] {
            let error = check(url).expect_err(url).to_string();
            assert!(error.contains(reason), "{url}: {error}");
        }
    }

    #[test]
    fn certificates_are_for_https() {
        let tls = TlsOptions { ca_file: Some("ca.pem".into()), identity: None };
        let made = HttpClient::with_tls("http://gateway", None, 1, &tls);
        let error = made.map(|_| ()).expect_err("a plain address").to_string();
        assert!(error.contains("https://"), "{error}");
    }

    #[cfg(not(feature = "tls"))]
    #[test]
    fn without_tls_its_addresses_are_refused() {
        let made = HttpClient::new("https://gateway", None, 1);
        let error = made.map(|_| ()).expect_err("no TLS").to_string();
        assert!(error.contains("built without TLS"), "{error}");
    }

    #[test]
    fn credentials_must_fit_a_header() {
        let broken = Credential::ApiKey("tg_live\nx".to_owned());
        let error = HttpClient::new("http://gateway", Some(&broken), 1)
            .map(|_| ())
            .expect_err("a line break");
        assert!(matches!(error, ClientError::InvalidCredential));
    }
}
