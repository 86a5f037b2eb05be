//! The listener for events, and its requests.

use crate::metric::metrics;

/// Bounds of durations of requests, in microseconds: those that the semantic conventions advise, in
/// seconds 0.005 to 10, and some below them.
pub const REQUEST_BOUNDS: [u64; 18] = [
    500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 75_000, 100_000, 200_000, 250_000, 500_000,
    750_000, 1_000_000, 2_500_000, 5_000_000, 7_500_000, 10_000_000,
];

/// Bounds of durations of stages, in microseconds.
pub const STAGE_BOUNDS: [u64; 12] =
    [5, 10, 25, 50, 100, 250, 500, 1000, 5000, 25_000, 100_000, 1_000_000];

metrics! {
    /// From the headers of a request to its answer.
    REQUEST_DURATION: histogram "http_server_request_duration_seconds"
        [http_request_method, url_scheme, http_route, http_response_status_code, error_type];
    /// Requests for events that are being worked on.
    REQUESTS_IN_FLIGHT: gauge "tidegate_ingress_requests_in_flight" [];
    /// Requests for events that are worked on at once at most; more are answered 503.
    REQUESTS_LIMIT: gauge "tidegate_ingress_requests_limit" [];
    /// Connections that are open.
    CONNECTIONS: gauge "tidegate_ingress_connections" [];
    /// Bytes of the bodies of requests for events, as they are after decompression.
    BODY_BYTES: counter "tidegate_ingress_body_bytes_total" [];
    /// How long stages of requests took.
    STAGE_DURATION: histogram "tidegate_ingress_stage_duration_seconds" [stage];
    /// 1 where the gateway takes events, 0 while it starts or stops.
    READY: gauge "tidegate_ingress_ready" [];
}
