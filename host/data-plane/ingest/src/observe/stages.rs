//! How long the stages of requests take: always counted, and spans where the request is traced.

use std::time::{Duration, Instant};

use tidegate_telemetry::metrics::ingress as metrics;
use tidegate_telemetry::trace::TimeOfDay;
use tidegate_telemetry::{Histogram, Page, Span, SpanKind, TraceContext};

use super::Meters;

/// The stages that are timed, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    Authenticate,
    Receive,
    Admit,
    Decode,
    Meter,
    Identify,
    Claim,
    Validate,
    Evaluate,
    Deliver,
    Acknowledge,
}

impl Stage {
    const ALL: [Self; 11] = [
        Self::Authenticate,
        Self::Receive,
        Self::Admit,
        Self::Decode,
        Self::Meter,
        Self::Identify,
        Self::Claim,
        Self::Validate,
        Self::Evaluate,
        Self::Deliver,
        Self::Acknowledge,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Authenticate => "authenticate",
            Self::Receive => "receive",
            Self::Admit => "admit",
            Self::Decode => "decode",
            Self::Meter => "meter",
            Self::Identify => "identify",
            Self::Claim => "claim",
            Self::Validate => "validate",
            Self::Evaluate => "evaluate",
            Self::Deliver => "deliver",
            Self::Acknowledge => "acknowledge",
        }
    }
}

/// How long each stage has taken.
#[derive(Debug)]
pub(crate) struct StageTimes([Histogram; Stage::ALL.len()]);

impl Default for StageTimes {
    fn default() -> Self {
        Self(Stage::ALL.map(|_| Histogram::of_durations(&metrics::STAGE_BOUNDS)))
    }
}

impl StageTimes {
    fn took(&self, stage: Stage, took: Duration) {
        if let Some(histogram) = self.0.get(stage as usize) {
            histogram.observe(took);
        }
    }

    pub(crate) fn report(&self, page: &mut Page) {
        for (stage, histogram) in Stage::ALL.into_iter().zip(&self.0) {
            page.put(&metrics::STAGE_DURATION, &[stage.as_str()], histogram.read());
        }
    }
}

/// The stage that a request is in. Dropped, it has ended; unless [`StageClock::end`] is called, with a
/// failure.
pub(crate) struct StageClock<'a> {
    meters: &'a Meters,
    /// The request's own span, where it is sampled.
    trace: Option<TraceContext>,
    stage: Stage,
    since: Instant,
    ended: Vec<(Stage, Instant, Instant)>,
    is_done: bool,
}

impl<'a> StageClock<'a> {
    pub(crate) fn begin(meters: &'a Meters, trace: Option<&TraceContext>, stage: Stage) -> Self {
        let trace = trace.filter(|trace| trace.is_sampled() && meters.spans.is_some()).copied();
        let since = Instant::now();
        Self { meters, trace, stage, since, ended: Vec::new(), is_done: false }
    }

    /// The stage ends, and the next one begins.
    pub(crate) fn enter(&mut self, next: Stage) {
        let now = Instant::now();
        self.note(now);
        (self.stage, self.since) = (next, now);
    }

    pub(crate) fn end(mut self) {
        self.is_done = true;
    }

    fn note(&mut self, now: Instant) {
        self.meters.stages.took(self.stage, now.duration_since(self.since));
        if self.trace.is_some() {
            self.ended.push((self.stage, self.since, now));
        }
    }
}

impl Drop for StageClock<'_> {
    fn drop(&mut self) {
        self.note(Instant::now());
        let (Some(trace), Some(spans)) = (self.trace, &self.meters.spans) else { return };
        let (clock, last) = (TimeOfDay::now(), self.ended.len().saturating_sub(1));
        let ended = self.ended.iter().enumerate().map(|(at, (stage, begun, ended))| Span {
            context: spans.child(&trace),
            parent: Some(trace.span_id),
            name: stage.as_str().into(),
            kind: SpanKind::Internal,
            begun: clock.of(*begun),
            ended: clock.of(*ended),
            attributes: Vec::new(),
            failed: at == last && !self.is_done,
        });
        spans.end(ended.collect());
    }
}
