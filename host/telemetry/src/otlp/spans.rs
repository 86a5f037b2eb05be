//! Spans on their way: a bounded queue, and the task that sends what is in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind as Kind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as Message, Status};
use prost::Message as _;
use rand::Rng as _;
use tokio::sync::{mpsc, watch};

use super::Counts;
use super::resource::{Resource, nanos, number, text};
use super::transport::{NotTaken, Signal, Transport};
use crate::trace::{Attribute, Span, SpanKind, Spans, TraceContext};

/// Spans of one call.
const MOST_SPANS: usize = 512;
/// How long a span waits for others.
const GATHER: Duration = Duration::from_secs(1);
/// Tries of one call.
const TRIES: u32 = 5;
/// Between the first and the second; doubled from try to try.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Where requests leave their spans.
#[derive(Debug)]
pub(super) struct Queue {
    sender: mpsc::Sender<Vec<Span>>,
    waiting: AtomicUsize,
    most: usize,
    per_thousand: u32,
    counts: Arc<Counts>,
}

impl Queue {
    pub(super) fn new(
        most: usize,
        per_thousand: u32,
        counts: &Arc<Counts>,
    ) -> (Self, mpsc::Receiver<Vec<Span>>) {
        let (sender, receiver) = mpsc::channel(most);
        let counts = Arc::clone(counts);
        (Self { sender, waiting: AtomicUsize::new(0), most, per_thousand, counts }, receiver)
    }

    fn taken(&self, spans: usize) {
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
    }
}

impl Spans for Queue {
    fn begin(&self, parent: Option<&TraceContext>) -> TraceContext {
        let mut random = rand::rng();
        match parent {
            Some(parent) => TraceContext { span_id: id(&mut random), ..*parent },
            None => {
                let flags = u8::from(random.random_range(0..1000) < self.per_thousand);
                TraceContext { trace_id: id(&mut random), span_id: id(&mut random), flags }
            }
        }
    }

    fn child(&self, of: &TraceContext) -> TraceContext {
        TraceContext { span_id: id(&mut rand::rng()), ..*of }
    }

    fn end(&self, spans: Vec<Span>) {
        let count = spans.len();
        let waiting = self.waiting.fetch_add(count, Ordering::Relaxed);
        if waiting + count > self.most || self.sender.try_send(spans).is_err() {
            self.taken(count);
            self.counts.overflown.fetch_add(count as u64, Ordering::Relaxed);
        }
    }
}

/// An id, which is never all zero.
fn id<const N: usize>(random: &mut impl rand::Rng) -> [u8; N] {
    let mut bytes = [0; N];
    while bytes == [0; N] {
        random.fill(&mut bytes[..]);
    }
    bytes
}

/// The task that sends spans.
pub(super) struct Sending {
    pub(super) waiting: mpsc::Receiver<Vec<Span>>,
    pub(super) queue: Arc<Queue>,
    pub(super) transport: Arc<Transport>,
    pub(super) resource: Arc<Resource>,
    pub(super) counts: Arc<Counts>,
}

impl Sending {
    pub(super) async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        let mut spans = Vec::new();
        while !*stopped.borrow() {
            tokio::select! {
                first = self.waiting.recv() => match first {
                    Some(first) => spans.extend(first),
                    None => return,
                },
                _ = stopped.wait_for(|stop| *stop) => break,
            }
            let until = tokio::time::Instant::now() + GATHER;
            while spans.len() < MOST_SPANS {
                tokio::select! {
                    more = self.waiting.recv() => spans.extend(more.unwrap_or_default()),
                    () = tokio::time::sleep_until(until) => break,
                    _ = stopped.wait_for(|stop| *stop) => break,
                }
            }
            self.send(std::mem::take(&mut spans), Some(&mut stopped)).await;
        }
        while let Ok(more) = self.waiting.try_recv() {
            spans.extend(more);
        }
        if !spans.is_empty() {
            self.send(spans, None).await;
        }
    }

    /// Tries, and tries again until it is told to stop, which is waited for where it is given.
    async fn send(&self, spans: Vec<Span>, mut stopped: Option<&mut watch::Receiver<bool>>) {
        let count = spans.len();
        let message = message(&spans, &self.resource).encode_to_vec();
        drop(spans);
        let mut pause = FIRST_PAUSE;
        let mut lost = &self.counts.unsent;
        for tried in 1..=TRIES {
            match self.transport.send(Signal::Traces, message.clone()).await {
                Ok(answer) => {
                    self.queue.taken(count);
                    return self.told(count, &answer);
                }
                Err(NotTaken::Never) => {
                    lost = &self.counts.refused;
                    break;
                }
                Err(NotTaken::Later(after)) => {
                    let stopped = stopped.as_deref_mut().filter(|_| tried < TRIES);
                    let Some(stopped) = stopped else { break };
                    let wait = after.unwrap_or(pause).min(LONGEST_PAUSE);
                    tokio::select! {
                        () = tokio::time::sleep(wait.mul_f64(rand::random_range(0.5..1.0))) => {}
                        _ = stopped.wait_for(|stop| *stop) => break,
                    }
                    pause *= 2;
                }
            }
        }
        self.queue.taken(count);
        lost.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// The collector may have refused some of them.
    fn told(&self, count: usize, answer: &[u8]) {
        let answer = ExportTraceServiceResponse::decode(answer).unwrap_or_default();
        let refused = answer.partial_success.map_or(0, |part| part.rejected_spans);
        let refused = u64::try_from(refused).unwrap_or(0).min(count as u64);
        self.counts.refused.fetch_add(refused, Ordering::Relaxed);
        self.counts.sent.fetch_add(count as u64 - refused, Ordering::Relaxed);
    }
}

fn message(spans: &[Span], resource: &Resource) -> ExportTraceServiceRequest {
    let scope_spans = ScopeSpans {
        scope: Some(resource.scope.clone()),
        spans: spans.iter().map(span).collect(),
        ..ScopeSpans::default()
    };
    let resource_spans = ResourceSpans {
        resource: Some(resource.message.clone()),
        scope_spans: vec![scope_spans],
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest { resource_spans: vec![resource_spans] }
}

fn span(span: &Span) -> Message {
    let attributes = span.attributes.iter().map(|(key, value)| match value {
        Attribute::Text(value) => text(key, value),
        Attribute::Number(value) => number(key, *value),
    });
    let kind = match span.kind {
        SpanKind::Server => Kind::Server,
        SpanKind::Internal => Kind::Internal,
    };
    let code = if span.failed { StatusCode::Error } else { StatusCode::Unset };
    Message {
        trace_id: span.context.trace_id.to_vec(),
        span_id: span.context.span_id.to_vec(),
        parent_span_id: span.parent.map(|id| id.to_vec()).unwrap_or_default(),
        flags: u32::from(span.context.flags),
        name: span.name.to_string(),
        kind: kind.into(),
        start_time_unix_nano: nanos(span.begun),
        end_time_unix_nano: nanos(span.ended),
        attributes: attributes.collect(),
        status: Some(Status { message: String::new(), code: code.into() }),
        ..Message::default()
    }
}
