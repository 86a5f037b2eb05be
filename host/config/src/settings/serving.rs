//! Who the node is, what it listens on, and what it tells.

pub(crate) mod anonymous;
pub(crate) mod telemetry;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::rule::choice::{OneOf, Word, some_of};
use crate::rule::network::Networks;
use crate::rule::{
    Address, Environment, NodeName, OptionalFile, Threads, UnderDataDir, count, size, time,
};
use crate::section::section;
use crate::settings::redis::StateStore;

section! {
    /// The node itself.
    Node in "node" {
        /// Its name, as rules and stored events see it.
        name: String = NodeName;
    }
}

section! {
    /// The threads that serve requests.
    Workers in "workers" {
        /// How many; each takes a request the whole way.
        threads: usize = Threads;
    }
}

section! {
    /// The listener for events, and the limits of a request.
    Ingress in "ingress" {
        /// Where it listens.
        address: SocketAddr = Address("127.0.0.1:8080");
        /// Its certificate in PEM, then those that lead to a root: with it, TLS alone is spoken.
        tls_certificate: Option<PathBuf> = OptionalFile;
        /// The certificate's private key in PEM.
        tls_key: Option<PathBuf> = OptionalFile;
        /// Roots in PEM of the certificates that connectors must show, beside their key or token; none is
        /// asked for where it is empty.
        tls_client_ca: Option<PathBuf> = OptionalFile;
        /// The endpoints that it exposes; others answer 404.
        endpoints: Vec<Endpoint> = some_of(&[Endpoint::Metrics]);
        /// Bytes of a request's body after decompression.
        max_body_bytes: usize = size("4MiB", "1KiB", "256MiB");
        /// Bytes after decompression for each compressed byte.
        max_compression_ratio: u32 = count("200", "2", "100000");
        /// Events of one batch.
        max_batch_events: usize = count("1000", "1", "100000");
        /// Bytes of one event.
        max_event_bytes: usize = size("256KiB", "1KiB", "16MiB");
        /// Objects and arrays within each other in one event.
        max_depth: u8 = count("64", "1", "128");
        /// Headers of one request.
        max_headers: usize = count("64", "16", "1024");
        /// Bytes of all headers of one request.
        max_header_bytes: usize = size("16KiB", "8KiB", "1MiB");
        /// Connections that are open at once; more wait to be accepted.
        max_connections: usize = count("4096", "1", "1000000");
        /// Requests that are worked on at once; more are answered 503.
        max_in_flight_requests: usize = count("1024", "1", "1000000");
        /// Streams that are open at once on one HTTP/2 connection.
        max_http2_streams: u32 = count("128", "1", "10000");
        /// How long a client may take to send the headers of its next request, idleness included.
        header_timeout: Duration = time("10s", "100ms", "10m");
        /// How long a client may take to send the body.
        body_timeout: Duration = time("30s", "100ms", "1h");
        /// How long the work on a request may take once its body is complete.
        request_timeout: Duration = time("20s", "100ms", "10m");
        /// How long open requests may take to end when the node is stopped.
        drain_timeout: Duration = time("25s", "0s", "10m");
        /// How long `/readyz` says that the gateway stops while connections are still accepted, so
        /// that load balancers have gone elsewhere before the listener closes.
        drain_delay: Duration = time("0s", "0s", "10m");
        /// Refusals of credentials in a minute, for one client address and for one key's id, that are told
        /// as such; more are answered 429. Right credentials are not concerned.
        max_auth_failures: u32 = count("60", "1", "1000000");
        /// Networks of proxies whose word about the client's address counts, such as
        /// `["10.0.0.0/8"]`.
        trusted_proxies: Vec<IpNet> = Networks;
        /// Where those proxies tell it: in the header `forwarded` (RFC 7239) or `x-forwarded-for` (the other
        /// one is what clients have sent), or by the `proxy-protocol`, version 1 or 2, which they must then
        /// speak on every connection.
        client_address: ClientAddress = OneOf(ClientAddress::XForwardedFor);
        /// Reads of single receipts that run at once; more are answered 503.
        max_receipt_reads: usize = count("8", "1", "1000");
        /// The status for a single event whose key is in flight elsewhere: 503 for clients that
        /// retry on nothing else.
        in_flight_status: InFlightStatus = OneOf(InFlightStatus::Conflict);
    }
}

section! {
    /// The listener for administration. Without TLS keep it on a loopback address.
    Admin in "admin" {
        /// Where it listens.
        address: SocketAddr = Address("127.0.0.1:8081");
        /// Its certificate in PEM, then those that lead to a root: with it, TLS alone is spoken.
        tls_certificate: Option<PathBuf> = OptionalFile;
        /// The certificate's private key in PEM.
        tls_key: Option<PathBuf> = OptionalFile;
        /// Roots in PEM of the certificates that admins must show, beside their token; none is asked for
        /// where it is empty.
        tls_client_ca: Option<PathBuf> = OptionalFile;
        /// The file with the administrator's token; made at the first start.
        token_file: PathBuf = UnderDataDir("admin-token");
    }
}

section! {
    /// The certificates of both listeners.
    Tls in "tls" {
        /// How often their files are looked at for others; SIGHUP does it at once.
        check_interval: Duration = time("10s", "100ms", "24h");
    }
}

section! {
    /// API keys.
    Keys in "keys" {
        /// What new keys name after `tg_`, so that a key tells where it belongs.
        environment: String = Environment;
        /// So often the catalog is told when keys were used last.
        last_used_interval: Duration = time("60s", "100ms", "1h");
    }
}

section! {
    /// How much tenants may send that have no quotas of their own. What keys may send is set with them.
    Quotas in "quotas" {
        /// Where it is counted what was sent: each node for itself in its process, or all nodes together in
        /// Redis (`[redis]`).
        store: StateStore = OneOf(StateStore::InProcess);
        /// Requests of a tenant in a minute; 0 for no bound.
        tenant_requests: u64 = count("0", "0", "1000000000");
        /// Events of a tenant in a minute; 0 for no bound.
        tenant_events: u64 = count("0", "0", "100000000000");
        /// Bytes of a tenant's events in a minute; 0 for no bound.
        tenant_bytes: u64 = size("0", "0", "100TiB");
        /// What of a batch is taken that is larger than what is left: `part`, its first events that fit, or
        /// `nothing`.
        over: OverQuota = OneOf(OverQuota::Part);
    }
}

section! {
    /// What the node tells of itself.
    Log in "log" {
        /// Lines for people or for machines.
        format: LogFormat = OneOf(LogFormat::Text);
        /// Requests for events that have a line when they are answered: those that are `refused` (400 and
        /// above), `all` or `none`.
        access: AccessLog = OneOf(AccessLog::Refused);
        /// Such lines in one second; more are counted, and told with the next.
        access_lines: u32 = count("100", "1", "1000000");
        /// The least severity that is told.
        level: LogLevel = OneOf(LogLevel::Info);
    }
}

/// An endpoint of the listener for events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `POST /v1/events`.
    Events,
    /// `GET /v1/events/{event_id}`.
    Receipts,
    /// `POST /v1/events/batch`.
    Batch,
    /// `GET /v1/ping`.
    Ping,
    /// `GET /health`.
    Health,
    /// `GET /livez`.
    Livez,
    /// `GET /readyz`.
    Readyz,
    /// `GET /openapi.json`.
    Openapi,
    /// `GET /metrics`, for those who read it here and not at its own address. Anybody can.
    Metrics,
}

impl Word for Endpoint {
    const ALL: &'static [(&'static str, Self)] = &[
        ("events", Self::Events),
        ("receipts", Self::Receipts),
        ("batch", Self::Batch),
        ("ping", Self::Ping),
        ("health", Self::Health),
        ("livez", Self::Livez),
        ("readyz", Self::Readyz),
        ("openapi", Self::Openapi),
        ("metrics", Self::Metrics),
    ];
}

/// What becomes of a batch that is larger than what is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OverQuota {
    Part,
    Nothing,
}

impl Word for OverQuota {
    const ALL: &'static [(&'static str, Self)] =
        &[("part", Self::Part), ("nothing", Self::Nothing)];
}

/// Where trusted proxies tell the client's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAddress {
    Forwarded,
    XForwardedFor,
    ProxyProtocol,
}

impl Word for ClientAddress {
    const ALL: &'static [(&'static str, Self)] = &[
        ("forwarded", Self::Forwarded),
        ("x-forwarded-for", Self::XForwardedFor),
        ("proxy-protocol", Self::ProxyProtocol),
    ];
}

/// The answer to a single event whose key another request has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InFlightStatus {
    /// 409.
    Conflict,
    /// 503.
    Unavailable,
}

impl InFlightStatus {
    /// The number of the HTTP status.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::Conflict => 409,
            Self::Unavailable => 503,
        }
    }
}

impl Word for InFlightStatus {
    const ALL: &'static [(&'static str, Self)] =
        &[("409", Self::Conflict), ("503", Self::Unavailable)];
}

/// Requests that have a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLog {
    None,
    Refused,
    All,
}

impl Word for AccessLog {
    const ALL: &'static [(&'static str, Self)] =
        &[("none", Self::None), ("refused", Self::Refused), ("all", Self::All)];
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    /// One JSON object a line.
    Json,
}

impl Word for LogFormat {
    const ALL: &'static [(&'static str, Self)] = &[("text", Self::Text), ("json", Self::Json)];
}

/// The least severity of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    /// The word for it, as tracing filters read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl Word for LogLevel {
    const ALL: &'static [(&'static str, Self)] = &[
        ("error", Self::Error),
        ("warn", Self::Warn),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("trace", Self::Trace),
    ];
}
