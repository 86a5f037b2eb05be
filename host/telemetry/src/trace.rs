//! Traces: the context that a request comes with and goes on with (W3C Trace Context), and the spans
//! of its stages.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// The span of a trace that something belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
    pub flags: u8,
}

/// A text that is no `traceparent`.
#[derive(Debug, PartialEq, Eq)]
pub struct NoTraceContext;

const SAMPLED: u8 = 1;

impl TraceContext {
    /// Do its spans go to a collector?
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    #[must_use]
    pub fn trace_id(&self) -> String {
        hex(&self.trace_id)
    }

    #[must_use]
    pub fn span_id(&self) -> String {
        hex(&self.span_id)
    }
}

/// `version-trace-parent-flags`: 2, 32, 16 and 2 lower-case hexadecimal digits, neither of the ids
/// zero. A later version may have more behind it (Trace Context, section 3.2.2).
impl FromStr for TraceContext {
    type Err = NoTraceContext;

    fn from_str(text: &str) -> Result<Self, NoTraceContext> {
        let mut parts = text.splitn(5, '-');
        let mut part = || parts.next().ok_or(NoTraceContext);
        let [version] = digits(part()?)?;
        let (trace_id, span_id) = (digits(part()?)?, digits(part()?)?);
        let [flags] = digits(part()?)?;
        let has_more = parts.next().is_some();
        let is_good = version != 0xff
            && trace_id != [0; 16]
            && span_id != [0; 8]
            && (!has_more || version != 0)
            && text.len() <= 512;
        if is_good { Ok(Self { trace_id, span_id, flags }) } else { Err(NoTraceContext) }
    }
}

/// As a `traceparent` of version 00.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", self.trace_id(), self.span_id(), self.flags)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digits<const N: usize>(text: &str) -> Result<[u8; N], NoTraceContext> {
    if text.len() != 2 * N {
        return Err(NoTraceContext);
    }
    let value = |b: u8| match b {
        b'0'..=b'9' => Ok(b - b'0'),
        b'a'..=b'f' => Ok(b - b'a' + 10),
        _ => Err(NoTraceContext),
    };
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = pair else { return Err(NoTraceContext) };
        *byte = value(*high)? << 4 | value(*low)?;
    }
    Ok(out)
}

/// What was done from one moment to another.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    pub context: TraceContext,
    /// The span that it is a part of, or that it was asked for in.
    pub parent: Option<[u8; 8]>,
    pub name: Arc<str>,
    pub kind: SpanKind,
    pub begun: SystemTime,
    pub ended: SystemTime,
    pub attributes: Vec<(&'static str, Attribute)>,
    pub failed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// A request that was answered.
    Server,
    /// A part of the work on it.
    Internal,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    Text(Arc<str>),
    Number(i64),
}

impl From<&str> for Attribute {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<u16> for Attribute {
    fn from(number: u16) -> Self {
        Self::Number(number.into())
    }
}

impl From<IpAddr> for Attribute {
    fn from(address: IpAddr) -> Self {
        Self::Text(address.to_string().into())
    }
}

/// Where spans go.
pub trait Spans: Send + Sync + 'static {
    /// The context of a new span: of the trace that it was asked for in, otherwise of a new one, which
    /// is sampled now and then.
    fn begin(&self, parent: Option<&TraceContext>) -> TraceContext;

    /// The context of a span within another.
    fn child(&self, of: &TraceContext) -> TraceContext;

    /// Takes spans of sampled contexts. Does not block; what there is no room for is counted and lost.
    fn end(&self, spans: Vec<Span>);
}

/// The time of day, as finely as the system has it: spans are shorter than a millisecond.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads milliseconds is too coarse"
)]
pub(crate) fn wall_clock() -> SystemTime {
    SystemTime::now()
}

/// Turns moments of the monotonic clock into times of day.
#[derive(Clone, Copy, Debug)]
pub struct TimeOfDay {
    at: Instant,
    is: SystemTime,
}

impl TimeOfDay {
    #[must_use]
    pub fn now() -> Self {
        Self { at: Instant::now(), is: wall_clock() }
    }

    #[must_use]
    pub fn of(&self, moment: Instant) -> SystemTime {
        match moment.checked_duration_since(self.at) {
            Some(later) => self.is + later,
            None => self.is - self.at.duration_since(moment),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_well_formed_is_taken() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        for (text, expected) in [
            (good.to_owned(), true),
            (good.replace("00-4", "01-4"), true),
            (format!("{}-more", good.replace("00-4", "01-4")), true),
            (format!("{good}-more"), false),
            (good.replace("00-4", "ff-4"), false),
            (good.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32)), false),
            (good.replace("00f067aa0ba902b7", &"0".repeat(16)), false),
            (good.replace("4bf9", "4BF9"), false),
            (good.replace("-01", "-1"), false),
            (good.replace("4bf9", "4bg9"), false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736".to_owned(), false),
            (String::new(), false),
        ] {
            assert_eq!(text.parse::<TraceContext>().is_ok(), expected, "{text}");
        }
        assert_eq!(good.parse::<TraceContext>().unwrap().to_string(), good);
    }
}
