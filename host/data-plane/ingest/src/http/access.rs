//! The access log: one line for a request when it is answered, with the request's id, which the answer
//! has as `X-Request-Id`, and the trace that it belongs to (W3C `traceparent`). Never a payload, a
//! credential, a query or a header besides these.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response};
use tidegate_types::{TenantId, UnixMillis};

use super::answer::Body;
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
    trace_id: Option<String>,
    client: IpAddr,
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
        client: IpAddr,
    ) -> Self {
        Self {
            id: id(headers),
            method: method.clone(),
            route,
            trace_id: trace_id(headers),
            client,
            begun: Instant::now(),
        }
    }

    /// Marks the answer with the request's id, and writes the line.
    pub(super) fn end(self, lines: &Lines, response: &mut Response<Body>) {
        let status = response.status();
        let whose = response.extensions_mut().remove::<Whose>();
        let is_told = match lines.which {
            AccessLog::None => false,
            AccessLog::Refused => status.as_u16() >= 400,
            AccessLog::All => true,
        };
        if let Some(skipped) = is_told.then(|| lines.admit()).flatten() {
            tracing::info!(
                target: "tidegate::access",
                request_id = self.id.to_str().unwrap_or_default(),
                trace_id = self.trace_id,
                method = self.method.as_str(),
                route = self.route,
                status = status.as_u16(),
                tenant = whose.as_ref().map(|whose| whose.0.as_str()),
                client = %self.client,
                took_us = micros(self.begun.elapsed()),
                skipped,
                "request answered"
            );
        }
        response.headers_mut().insert(REQUEST_ID, self.id);
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

/// The trace of a `traceparent` (W3C Trace Context, section 3.2); one that is wrong is none.
fn trace_id(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("traceparent")?.to_str().ok()?;
    let mut parts = text.split('-');
    let (version, trace, parent, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, length: usize| {
        text.len() == length
            && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let is_null = |text: &str| text.bytes().all(|b| b == b'0');
    let is_whole = hex(version, 2)
        && version != "ff"
        && (version != "00" || parts.next().is_none())
        && hex(trace, 32)
        && !is_null(trace)
        && hex(parent, 16)
        && !is_null(parent)
        && hex(flags, 2);
    is_whole.then(|| trace.to_owned())
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces() {
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        for (value, expected) in [
            (format!("00-{trace}-00f067aa0ba902b7-01"), true),
            (format!("00-{trace}-00f067aa0ba902b7-01-x"), false),
            (format!("cc-{trace}-00f067aa0ba902b7-01-what"), true),
            (format!("ff-{trace}-00f067aa0ba902b7-01"), false),
            (format!("00-{trace}-0000000000000000-01"), false),
            ("00-00000000000000000000000000000000-00f067aa0ba902b7-01".to_owned(), false),
            (format!("00-{}-00f067aa0ba902b7-01", trace.to_uppercase()), false),
            (format!("00-{trace}"), false),
            (String::new(), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("traceparent", value.parse().unwrap());
            assert_eq!(trace_id(&headers).as_deref(), expected.then_some(trace), "{value}");
        }
    }

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
