//! Bounds of a listener and its requests.

use std::time::Duration;

use http::StatusCode;

/// An endpoint that a listener may expose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    Events,
    Batch,
    Ping,
    Health,
    Livez,
    Readyz,
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
    /// Of a single event whose key is in flight: 409, or 503 for clients that retry on nothing else.
    pub in_flight_status: StatusCode,
}
