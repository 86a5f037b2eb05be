//! One HTTP exchange with a host that is allowed, bounded in time and size. Redirects are not
//! followed here.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tidegate_tls::Trust;

use super::{AllowedHosts, RegistryOptions};
use crate::error::DistributionError;
use crate::layout::quoted;
use crate::reference::split_port;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// So much of an answer that says no is read.
const MAX_REFUSAL_BYTES: u64 = 64 << 10;

pub(super) struct Transport {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    /// Why nothing can be reached over TLS, where that is so.
    no_roots: Option<String>,
    allowed: AllowedHosts,
    plain_loopback: bool,
    plain_http: Vec<String>,
    timeout: Duration,
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Transport {
    pub(super) fn new(options: &RegistryOptions) -> Self {
        let trusted = tidegate_tls::trust(None).expect("no file is read");
        let Trust { config: tls, nobody: no_roots } = trusted;
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.set_connect_timeout(Some(CONNECT_TIMEOUT));
        http.enforce_http(false);
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(1)
            .build(connector.wrap_connector(http));
        Self {
            client,
            no_roots,
            allowed: options.allowed.clone(),
            plain_loopback: options.plain_loopback,
            plain_http: options.plain_http.clone(),
            timeout: options.request_timeout,
        }
    }

    /// The scheme that a registry is spoken to with.
    pub(super) fn scheme(&self, registry: &str) -> &'static str {
        if self.is_plain(registry) { "http" } else { "https" }
    }

    fn is_plain(&self, host: &str) -> bool {
        (self.plain_loopback && is_loopback(host))
            || self.plain_http.iter().any(|plain| plain.eq_ignore_ascii_case(host))
    }

    /// May this be asked? Otherwise why not, and whether it is the list that speaks against it.
    pub(super) fn check(&self, uri: &Uri) -> Result<(), Forbidden> {
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
        let host = authority.ok_or(Forbidden::Malformed)?.as_str();
        match uri.scheme_str() {
            _ if !self.allowed.has(host) => Err(Forbidden::Host),
            Some("https") => Ok(()),
            Some("http") if self.is_plain(host) => Ok(()),
            Some("http") => Err(Forbidden::Plain),
            _ => Err(Forbidden::Malformed),
        }
    }

    /// One request and its whole answer; a body of at most `limit` bytes where it says yes.
    pub(super) async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        limit: u64,
    ) -> Result<Answer, DistributionError> {
        let at = place(request.uri());
        if let Err(why) = self.check(request.uri()) {
            return Err(match why {
                Forbidden::Host => DistributionError::NotAllowed { host: authority(request.uri()) },
                other => DistributionError::Redirect { to: at.clone(), at, why: other.reason() },
            });
        }
        if let (Some("https"), Some(cause)) = (request.uri().scheme_str(), &self.no_roots) {
            return Err(DistributionError::Unreachable { at, cause: cause.clone() });
        }
        let work = self.whole(request, &at, limit);
        match tokio::time::timeout(self.timeout, work).await {
            Ok(answer) => answer,
            Err(_elapsed) => Err(DistributionError::Timeout { at, after: self.timeout }),
        }
    }

    async fn whole(
        &self,
        request: Request<Full<Bytes>>,
        at: &str,
        limit: u64,
    ) -> Result<Answer, DistributionError> {
        let response = self.client.request(request).await.map_err(|error| {
            let (at, cause) = (at.to_owned(), innermost(&error));
            if error.is_connect() {
                DistributionError::Unreachable { at, cause }
            } else {
                DistributionError::Broken { at, cause }
            }
        })?;
        let (head, body) = response.into_parts();
        let says_yes = head.status.is_success();
        let limit = if says_yes { limit } else { MAX_REFUSAL_BYTES };
        let bytes = usize::try_from(limit).unwrap_or(usize::MAX);
        let body = match Limited::new(body, bytes).collect().await {
            Ok(body) => body.to_bytes(),
            // What a long refusal says is not needed.
            Err(error) if error.is::<LengthLimitError>() && !says_yes => Bytes::new(),
            Err(error) if error.is::<LengthLimitError>() => {
                return Err(DistributionError::TooLarge { at: at.to_owned(), limit });
            }
            Err(error) => {
                let cause = innermost(&*error);
                return Err(DistributionError::Broken { at: at.to_owned(), cause });
            }
        };
        Ok(Answer { status: head.status, headers: head.headers, body })
    }
}

/// Why an address is not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Forbidden {
    Host,
    Plain,
    Malformed,
}

impl Forbidden {
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Host => {
                "which is not allowed: add it to `allowed` in the section [registries] of the configuration"
            }
            Self::Plain => {
                "which is plain HTTP; that is spoken only to hosts that are named for it"
            }
            Self::Malformed => "which is not an http or https address",
        }
    }
}

/// Scheme, host and path, without the query: that may hold a signature.
pub(super) fn place(uri: &Uri) -> String {
    quoted(&format!("{}://{}{}", uri.scheme_str().unwrap_or("?"), authority(uri), uri.path()))
}

pub(super) fn authority(uri: &Uri) -> String {
    let text = uri.authority().map_or("", |authority| authority.as_str());
    quoted(text.rsplit('@').next().unwrap_or_default()).to_ascii_lowercase()
}

fn is_loopback(host: &str) -> bool {
    let (host, _) = split_port(host);
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || address.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback())
}

/// The last cause says what happened; the ones before it say only that something did.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    quoted(&last.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Credentials;

    fn transport(allowed: AllowedHosts, plain: &[&str]) -> Transport {
        Transport::new(&RegistryOptions {
            allowed,
            plain_loopback: true,
            plain_http: plain.iter().map(|&host| host.to_owned()).collect(),
            credentials: Credentials::anonymous(),
            component_bytes: 1,
            request_timeout: Duration::from_secs(1),
        })
    }

    #[test]
    fn hosts_and_schemes_are_held_against_the_lists() {
        let only = |hosts: &[&str]| {
            AllowedHosts::Only(hosts.iter().map(|&host| host.to_owned()).collect())
        };
        let some = transport(
            only(&["r.example", "plain.example:5000", "127.0.0.1:5000"]),
            &["plain.example:5000"],
        );
        for (uri, expected) in [
            ("https://r.example/v2/", Ok(())),
            ("https://R.example/v2/", Ok(())),
            ("http://r.example/v2/", Err(Forbidden::Plain)),
            ("https://r.example:444/v2/", Err(Forbidden::Host)),
            ("https://r.example.evil/v2/", Err(Forbidden::Host)),
            ("https://r.example@evil/v2/", Err(Forbidden::Malformed)),
            ("http://plain.example:5000/", Ok(())),
            ("http://127.0.0.1:5000/", Ok(())),
            ("http://127.0.0.1:6000/", Err(Forbidden::Host)),
            ("http://169.254.169.254/latest", Err(Forbidden::Host)),
            ("ftp://r.example/", Err(Forbidden::Malformed)),
            ("/v2/", Err(Forbidden::Malformed)),
        ] {
            assert_eq!(some.check(&uri.parse().unwrap()), expected, "{uri}");
        }
        let nobody = transport(only(&[]), &[]);
        assert_eq!(nobody.check(&"https://r.example/".parse().unwrap()), Err(Forbidden::Host));
        let any = transport(AllowedHosts::Any, &[]);
        for (uri, expected) in [
            ("https://r.example/", Ok(())),
            ("http://localhost:1/", Ok(())),
            ("http://[::1]:1/", Ok(())),
            ("http://127.9.9.9/", Ok(())),
            ("http://r.example/", Err(Forbidden::Plain)),
            ("http://localhost.evil/", Err(Forbidden::Plain)),
            ("http://10.0.0.1/", Err(Forbidden::Plain)),
        ] {
            assert_eq!(any.check(&uri.parse().unwrap()), expected, "{uri}");
        }
    }
}
