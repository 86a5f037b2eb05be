//! How long requests took, by the labels that the semantic conventions of OpenTelemetry name
//! (<https://opentelemetry.io/docs/specs/semconv/http/http-metrics/>).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{Method, StatusCode};
use tidegate_telemetry::metrics::ingress as metrics;
use tidegate_telemetry::{Histogram, Page, TraceContext};

/// What requests are told apart by: as many values as there are methods, routes and statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Labels {
    method: &'static str,
    scheme: &'static str,
    route: &'static str,
    status: StatusCode,
}

/// Durations of requests.
#[derive(Debug, Default)]
pub(crate) struct Requests(ArcSwap<HashMap<Labels, Arc<Histogram>>>);

/// A request that was answered.
pub(crate) struct Answered<'a> {
    pub(crate) method: &'a Method,
    pub(crate) is_tls: bool,
    /// As the reference names it; empty where the path leads nowhere.
    pub(crate) route: &'static str,
    pub(crate) status: StatusCode,
    pub(crate) took: Duration,
    pub(crate) trace: Option<&'a TraceContext>,
}

impl Requests {
    pub(crate) fn answered(&self, request: &Answered<'_>) {
        let labels = Labels {
            method: method(request.method),
            scheme: scheme(request.is_tls),
            route: request.route,
            status: request.status,
        };
        let histogram = self.of(labels);
        match request.trace.filter(|trace| trace.is_sampled()) {
            Some(trace) => {
                histogram.observe_traced(request.took, (trace.trace_id(), trace.span_id()));
            }
            None => histogram.observe(request.took),
        }
    }

    /// Tells of answers to posts at these routes before there are any: what begins with its first failure
    /// has no rate that could alert somebody.
    pub(crate) fn expect(&self, is_tls: bool, routes: impl Iterator<Item = &'static str>) {
        let scheme = scheme(is_tls);
        for route in routes {
            for status in [StatusCode::ACCEPTED, StatusCode::SERVICE_UNAVAILABLE] {
                self.of(Labels { method: "POST", scheme, route, status });
            }
        }
    }

    fn of(&self, labels: Labels) -> Arc<Histogram> {
        if let Some(histogram) = self.0.load().get(&labels) {
            return Arc::clone(histogram);
        }
        let new = Arc::new(Histogram::of_durations(&metrics::REQUEST_BOUNDS));
        self.0.rcu(|known| {
            let mut known = HashMap::clone(known);
            known.entry(labels).or_insert_with(|| Arc::clone(&new));
            known
        });
        // Another request may have been first.
        self.0.load().get(&labels).map_or(new, Arc::clone)
    }

    pub(crate) fn report(&self, page: &mut Page) {
        for (labels, histogram) in self.0.load().iter() {
            let Labels { method, scheme, route, status } = *labels;
            // A kind of error has a name where the status does not say it all.
            let error = if status.is_server_error() { status.as_str() } else { "" };
            let labels = [method, scheme, route, status.as_str(), error];
            page.put(&metrics::REQUEST_DURATION, &labels, histogram.read());
        }
    }
}

fn scheme(is_tls: bool) -> &'static str {
    if is_tls { "https" } else { "http" }
}

/// Methods that nobody knows are one.
pub(crate) fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        Method::TRACE => "TRACE",
        Method::CONNECT => "CONNECT",
        _ => "_OTHER",
    }
}
