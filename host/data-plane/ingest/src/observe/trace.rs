//! The trace that a request belongs to: that of its `traceparent`, or a new one where spans are wanted.

use std::sync::Arc;

use http::HeaderMap;
use tidegate_telemetry::{Spans, TraceContext};

/// The place of a request in its trace.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trace {
    /// The span that the request was sent from.
    pub(crate) parent: Option<TraceContext>,
    /// The request's own span, where spans are kept.
    pub(crate) own: Option<TraceContext>,
    /// What goes on with the events: the span that they come from, or what the request came with.
    pub(crate) carried: Option<Arc<str>>,
}

impl Trace {
    /// `trusted`: the sender may say whether the request is traced. Who shows no credential may not.
    pub(crate) fn begin(headers: &HeaderMap, spans: Option<&dyn Spans>, trusted: bool) -> Self {
        let told = told(headers);
        let parent = told.as_ref().map(|(_, context)| *context).filter(|_| trusted);
        let own = spans.map(|spans| spans.begin(parent.as_ref()));
        let carried = match own {
            Some(own) => Some(own.to_string().into()),
            None => told.map(|(text, _)| text.into()),
        };
        Self { parent, own, carried }
    }

    /// The trace, for log lines.
    pub(crate) fn trace_id(&self) -> Option<String> {
        self.own.or(self.parent).map(|context| context.trace_id())
    }
}

/// The header of a request, where it is there once and well formed; what is not is passed over, as the
/// recommendation says (Trace Context, section 3.2.2).
fn told(headers: &HeaderMap) -> Option<(&str, TraceContext)> {
    let mut values = headers.get_all("traceparent").iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let text = value.to_str().ok()?.trim();
    Some((text, text.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_header_that_is_there_twice_is_none() {
        let mut headers = HeaderMap::new();
        headers.append("traceparent", GOOD.parse().unwrap());
        let trace = Trace::begin(&headers, None, true);
        assert_eq!(trace.carried.as_deref(), Some(GOOD));
        assert_eq!(trace.trace_id().as_deref(), Some("4bf92f3577b34da6a3ce929d0e0e4736"));
        headers.append("traceparent", GOOD.parse().unwrap());
        assert!(Trace::begin(&headers, None, true).carried.is_none());
    }
}
