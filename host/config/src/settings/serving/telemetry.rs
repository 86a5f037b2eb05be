//! What the node tells monitoring.

use std::net::SocketAddr;
use std::time::Duration;

use crate::rule::text::{Secret, SecretText, Text};
use crate::rule::{Address, count, time};
use crate::section::section;

section! {
    /// What the node tells monitoring: metrics that Prometheus reads, and traces and metrics that go to a
    /// collector of OpenTelemetry.
    Telemetry in "telemetry" {
        /// Where `/metrics` is served, in the clear and without a credential: keep it where only monitoring
        /// gets.
        metrics_address: SocketAddr = Address("127.0.0.1:8082");
        /// What traces and metrics are told of, as `service.name`.
        service_name: String = Text { default: "tidegate", form: "a name" };
        /// The collector, which takes OTLP over HTTP: `http://HOST:4318`. What it cannot be told is counted,
        /// and hinders nothing.
        otlp_endpoint: String = Text { default: "", form: "an `http` or `https` URL; empty: none" };
        /// Headers of calls to the collector: `NAME=VALUE`, with commas between them.
        otlp_headers: Secret = SecretText { nothing: "empty: none" };
        /// How long a call to the collector may take.
        otlp_timeout: Duration = time("10s", "100ms", "5m");
        /// How often metrics go to the collector.
        otlp_metrics_interval: Duration = time("15s", "100ms", "1h");
        /// Of a thousand requests that come without a trace, so many are traced; those that belong to one
        /// are traced where their sender traces them.
        traces_per_thousand: u32 = count("1000", "0", "1000");
        /// Spans that may wait to go to the collector.
        max_waiting_spans: usize = count("8192", "1", "1000000");
    }
}
