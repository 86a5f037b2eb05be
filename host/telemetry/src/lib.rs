//! What the gateway tells of itself: every metric, declared once, and the spans of a request.
//!
//! The parts of the gateway keep their own counters. When somebody asks they write them into a [`Page`],
//! by the declarations in [`metrics`]; the page is then text for Prometheus, or goes to a collector.

pub mod histogram;
pub mod metric;
pub mod metrics;
#[cfg(feature = "otlp")]
pub mod otlp;
pub mod page;
pub mod process;
pub mod serve;
pub mod trace;

pub use histogram::{Exemplar, Histogram};
pub use metric::{Kind, Metric};
pub use page::{Distribution, Format, Page};
pub use serve::PageSource;
pub use trace::{Span, SpanKind, Spans, TraceContext};
