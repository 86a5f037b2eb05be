//! The end of a request: its metrics, its span, and its line in the access log. The line has the request's
//! id, which the answer has as `X-Request-Id`, and the trace that it belongs to (W3C `traceparent`); never
//! a payload, a credential, a query or a header besides these.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use tidegate_telemetry::trace::{Attribute, TimeOfDay};
use tidegate_telemetry::{Histogram, Span, SpanKind, TraceContext};
use tidegate_types::revision::delivery::Ack;
use tidegate_types::{TenantId, UnixMillis};

use super::answer::Body;
use crate::observe::Meters;
use crate::observe::requests::{self, Answered};
use crate::observe::trace::Trace;
use crate::stage::decode::mint;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Of an id that the client has chosen.
const MAX_ID_BYTES: usize = 64;

/// Which requests have a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessLog {
    None,
    /// Those that are answered 400 and above.
    Refused,
    All,
}

/// Lines of the log, bounded: more in one second are counted, and told with the next.
#[derive(Debug)]
pub(crate) struct Lines {
    which: AccessLog,
    a_second: u64,
    started: Instant,
    /// The second since the start in the upper half, its lines in the lower one.
    window: AtomicU64,
    skipped: AtomicU64,
}

/// A request that is being answered.
pub(super) struct Access {
    id: HeaderValue,
    method: Method,
    route: &'static str,
    trace: Trace,
    client: IpAddr,
    is_tls: bool,
    begun: Instant,
}

/// Whose request it was, as an extension of the answer.
#[derive(Clone)]
pub(super) struct Whose(pub(super) TenantId);

impl Lines {
    pub(crate) fn new(which: AccessLog, a_second: u32) -> Self {
        let (window, skipped) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { which, a_second: u64::from(a_second), started: Instant::now(), window, skipped }
    }

    /// Is there room for a line in this second? Answers how many there was none for before.
    fn admit(&self) -> Option<u64> {
        let second = self.started.elapsed().as_secs() << 32;
        let counted = self.window.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |window| {
            let now = if window >> 32 == second >> 32 { window } else { second };
            ((now & u64::from(u32::MAX)) < self.a_second).then(|| now + 1)
        });
        if counted.is_ok() {
            return Some(self.skipped.swap(0, Ordering::Relaxed));
        }
        self.skipped.fetch_add(1, Ordering::Relaxed);
        None
    }
}

impl Access {
    /// `route` is the path as the reference names it, never the one that was asked for.
    pub(super) fn begin(
        method: &Method,
        route: &'static str,
        headers: &HeaderMap,
        (client, is_tls): (IpAddr, bool),
        trace: Trace,
    ) -> Self {
        Self {
            id: id(headers),
            method: method.clone(),
            route,
            trace,
            client,
            is_tls,
            begun: Instant::now(),
        }
    }

    /// Marks the answer with the request's id, measures it, and writes the line.
    pub(super) fn end(self, lines: &Lines, meters: &Meters, response: &mut Response<Body>) {
        let (status, took) = (response.status(), self.begun.elapsed());
        let whose = response.extensions_mut().remove::<Whose>();
        let ack = response.extensions_mut().remove::<Ack>();
        meters.requests.answered(&Answered {
            method: &self.method,
            is_tls: self.is_tls,
            route: self.route,
            status,
            took,
            trace: self.trace.own.as_ref(),
        });
        if let Some(ack) = ack {
            self.acknowledged(meters.acks(ack), took);
        }
        if let (Some(own), Some(spans)) =
            (self.trace.own.filter(TraceContext::is_sampled), &meters.spans)
        {
            spans.end(vec![self.span(own, status, took, whose.as_ref())]);
        }
        let is_told = match lines.which {
            AccessLog::None => false,
            AccessLog::Refused => status.as_u16() >= 400,
            AccessLog::All => true,
        };
        if let Some(skipped) = is_told.then(|| lines.admit()).flatten() {
            tracing::info!(
                target: "tidegate::access",
                request_id = self.id.to_str().unwrap_or_default(),
                trace_id = self.trace.trace_id(),
                method = self.method.as_str(),
                route = self.route,
                status = status.as_u16(),
                tenant = whose.as_ref().map(|whose| whose.0.as_str()),
                client = %self.client,
                took_us = micros(took),
                skipped,
                "request answered"
            );
        }
        response.headers_mut().insert(REQUEST_ID, self.id);
    }

    fn acknowledged(&self, histogram: &Histogram, took: Duration) {
        match self.trace.own.filter(TraceContext::is_sampled) {
            Some(own) => histogram.observe_traced(took, (own.trace_id(), own.span_id())),
            None => histogram.observe(took),
        }
    }

    /// The span of the request, by the semantic conventions for HTTP servers.
    fn span(
        &self,
        own: TraceContext,
        status: StatusCode,
        took: Duration,
        whose: Option<&Whose>,
    ) -> Span {
        // Whatever a client makes up is one name.
        let method = requests::method(&self.method);
        let name = if self.route.is_empty() { method } else { &format!("{method} {}", self.route) };
        let mut attributes: Vec<(&'static str, Attribute)> = vec![
            ("http.request.method", method.into()),
            ("url.scheme", if self.is_tls { "https" } else { "http" }.into()),
            ("http.response.status_code", status.as_u16().into()),
            ("client.address", self.client.into()),
            ("tidegate.request_id", self.id.to_str().unwrap_or_default().into()),
        ];
        if !self.route.is_empty() {
            attributes.push(("http.route", self.route.into()));
        }
        if status.is_server_error() {
            attributes.push(("error.type", status.as_str().into()));
        }
        if let Some(Whose(tenant)) = whose {
            attributes.push(("tidegate.tenant", tenant.as_str().into()));
        }
        let begun = TimeOfDay::now().of(self.begun);
        Span {
            context: own,
            parent: self.trace.parent.map(|parent| parent.span_id),
            name: name.into(),
            kind: SpanKind::Server,
            begun,
            ended: begun + took,
            attributes,
            failed: status.is_server_error(),
        }
    }
}

/// The id that the client has given, where it is one; otherwise a new one.
fn id(headers: &HeaderMap) -> HeaderValue {
    let given = headers.get(REQUEST_ID).filter(|value| {
        let fits = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
        (1..=MAX_ID_BYTES).contains(&value.len()) && value.as_bytes().iter().all(fits)
    });
    given.cloned().unwrap_or_else(|| {
        HeaderValue::from_bytes(&mint(UnixMillis::now()).text()).expect("an id is ASCII")
    })
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_requests() {
        let of = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, value.parse().unwrap());
            id(&headers).to_str().unwrap().to_owned()
        };
        assert_eq!(of("a-1_b.c:2"), "a-1_b.c:2");
        for given in ["", "a b", "<script>", &"x".repeat(65)] {
            assert_eq!(of(given).len(), 36, "{given}");
        }
    }

    #[test]
    fn lines_beyond_the_bound_are_counted() {
        let lines = Lines::new(AccessLog::All, 2);
        let room: Vec<_> = (0..5).map(|_| lines.admit()).collect();
        assert_eq!(room.iter().flatten().count(), 2, "{room:?}");
        assert_eq!(lines.skipped.load(Ordering::Relaxed), 3);
    }
}
