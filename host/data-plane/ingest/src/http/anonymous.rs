//! The path that takes events without a credential: whose they are, how many one client may send, and
//! which web pages' scripts may (CORS, the Fetch standard, section 3.2).

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, HeaderValue, ORIGIN, VARY,
};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::Full;
use tidegate_types::quota::{Quota, Quotas};
use tidegate_types::{Problem, ProblemType, TenantId};

use super::answer::Body;
use crate::force::keys::WriteScope;
use crate::stage::authenticate::Guest;

/// Where events are taken without a credential.
#[derive(Clone, Debug)]
pub struct Anonymous {
    pub path: &'static str,
    pub tenant: TenantId,
    /// What may be sent.
    pub write: WriteScope,
    /// Of one client address in a minute; of one /64 network with IPv6.
    pub requests_per_address: u32,
    /// As browsers write them, or `*` for all.
    pub origins: Vec<String>,
    /// How long browsers may remember the answer to a preflight.
    pub preflight_age: Duration,
}

/// What scripts may set, and what they may read.
const SENT: HeaderValue =
    HeaderValue::from_static("content-type, idempotency-key, traceparent, x-request-id");
const TOLD: HeaderValue = HeaderValue::from_static(
    "idempotency-key, idempotency-replayed, ratelimit, ratelimit-policy, retry-after, x-request-id",
);

impl Anonymous {
    /// Who a request without a credential is.
    ///
    /// # Errors
    /// 403 where it comes from a web page that may not send.
    pub(super) fn guest(&self, headers: &HeaderMap, client: IpAddr) -> Result<Guest, Problem> {
        if headers.contains_key(ORIGIN) && self.allowed(headers).is_none() {
            let detail = "pages of this origin may not send events without a credential";
            return Err(Problem::new(ProblemType::Forbidden, detail));
        }
        let requests = Some(Quota::a_minute(self.requests_per_address));
        Ok(Guest {
            tenant: self.tenant.clone(),
            write: self.write.clone(),
            address: network(client).into(),
            quotas: Quotas { requests, ..Quotas::default() },
        })
    }

    /// The answer to a preflight; without the headers that allow anything where the page may not send.
    pub(super) fn preflight(&self, headers: &HeaderMap) -> Response<Body> {
        let mut response = Response::new(Full::new(Bytes::new()));
        *response.status_mut() = StatusCode::NO_CONTENT;
        if self.allowed(headers).is_some() {
            let age = HeaderValue::from(self.preflight_age.as_secs());
            for (name, value) in [
                (ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST")),
                (ACCESS_CONTROL_ALLOW_HEADERS, SENT),
                (ACCESS_CONTROL_MAX_AGE, age),
            ] {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }

    /// Lets the page that sent a request read its answer, where it may.
    pub(super) fn mark(&self, asked: Option<HeaderValue>, response: &mut Response<Body>) {
        let headers = response.headers_mut();
        headers.append(VARY, HeaderValue::from_static("origin"));
        if let Some(origin) = asked {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, TOLD);
        }
    }

    /// The origin of the page that a request comes from, where it may send.
    pub(super) fn allowed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let origin = headers.get(ORIGIN)?;
        let is_it = |one: &String| one == "*" || one.as_bytes() == origin.as_bytes();
        self.origins.iter().any(is_it).then(|| origin.clone())
    }
}

/// The name of a client's bucket.
fn network(client: IpAddr) -> String {
    match client.to_canonical() {
        IpAddr::V4(address) => format!("address:{address}"),
        IpAddr::V6(address) => {
            let network = Ipv6Addr::from(u128::from(address) >> 64 << 64);
            format!("address:{network}/64")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_by_their_networks() {
        for (client, expected) in [
            ("198.51.100.7", "address:198.51.100.7"),
            ("::ffff:198.51.100.7", "address:198.51.100.7"),
            ("2001:db8:1:2:3:4:5:6", "address:2001:db8:1:2::/64"),
        ] {
            assert_eq!(network(client.parse().unwrap()), expected);
        }
    }
}
