//! Bounds of a listener and its requests.

use std::time::Duration;

use http::StatusCode;
use ipnet::IpNet;

use crate::http::access::AccessLog;
use crate::http::anonymous::Anonymous;

/// An endpoint that a listener may expose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    Events,
    Receipts,
    Batch,
    Ping,
    Health,
    Livez,
    Readyz,
    Openapi,
    Metrics,
}

/// Where trusted proxies tell the client's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAddress {
    /// RFC 7239.
    Forwarded,
    XForwardedFor,
    /// Before anything else on a connection, TLS included.
    ProxyProtocol,
}

/// Bounds of a listener and its requests. Each has its default and its meaning in the
/// configuration's reference.
#[derive(Clone, Debug)]
pub struct IngressOptions {
    pub endpoints: Vec<Endpoint>,
    pub max_body_bytes: usize,
    pub max_compression_ratio: u32,
    pub max_batch_events: usize,
    pub max_event_bytes: usize,
    pub max_depth: u8,
    pub max_headers: usize,
    pub max_header_bytes: usize,
    pub max_connections: usize,
    pub max_in_flight_requests: usize,
    pub max_http2_streams: u32,
    pub header_timeout: Duration,
    pub body_timeout: Duration,
    pub request_timeout: Duration,
    pub drain_timeout: Duration,
    pub max_auth_failures: u32,
    pub trusted_proxies: Vec<IpNet>,
    pub client_address: ClientAddress,
    pub max_receipt_reads: usize,
    pub access_log: AccessLog,
    pub access_lines: u32,
    /// Of a single event whose key is in flight: 409, or 503 for clients that retry on nothing else.
    pub in_flight_status: StatusCode,
    /// Where events are taken without a credential.
    pub anonymous: Option<Anonymous>,
}

#[cfg(test)]
impl IngressOptions {
    /// The least that works.
    pub(crate) fn narrow() -> Self {
        let second = Duration::from_secs(1);
        Self {
            endpoints: Vec::new(),
            max_body_bytes: 1024,
            max_compression_ratio: 2,
            max_batch_events: 1,
            max_event_bytes: 1024,
            max_depth: 1,
            max_headers: 16,
            max_header_bytes: 8192,
            max_connections: 1,
            max_in_flight_requests: 1,
            max_http2_streams: 1,
            header_timeout: second,
            body_timeout: second,
            request_timeout: second,
            drain_timeout: second,
            max_auth_failures: 1,
            trusted_proxies: Vec::new(),
            client_address: ClientAddress::XForwardedFor,
            max_receipt_reads: 1,
            access_log: AccessLog::None,
            access_lines: 1,
            in_flight_status: StatusCode::CONFLICT,
            anonymous: None,
        }
    }
}
