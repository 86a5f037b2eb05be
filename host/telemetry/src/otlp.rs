//! Traces and metrics to a collector of OpenTelemetry: OTLP 1.x over HTTP, as protobuf
//! (<https://opentelemetry.io/docs/specs/otlp/#otlphttp>).
//!
//! Nothing waits for the collector. Spans wait in memory, so many and no more; where it is not there,
//! or says no, they are counted and lost. Metrics are sums since the start, so one that is not sent is
//! made up for by the next.

mod metrics;
mod resource;
mod spans;
mod transport;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::metrics::process as of_process;
use crate::page::Page;
use crate::serve::PageSource;
use crate::trace::{Span, Spans};
use resource::Resource;
use spans::Queue;
use transport::Transport;

/// The collector, and what it is told.
#[derive(Clone, Debug)]
pub struct OtlpOptions {
    /// `http://HOST:4318`; the paths `/v1/traces` and `/v1/metrics` are added to it.
    pub endpoint: String,
    /// `NAME=VALUE`, with commas between them; secret.
    pub headers: String,
    /// Of one call.
    pub timeout: Duration,
    pub metrics_interval: Duration,
    /// Of requests that come without a trace.
    pub traces_per_thousand: u32,
    pub max_waiting_spans: usize,
    pub service_name: String,
    /// This node's name.
    pub instance: String,
    pub version: String,
}

/// Options that are of no use.
#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    #[error("otlp_endpoint is no URL: {0}")]
    Endpoint(http::uri::InvalidUri),
    #[error("otlp_headers: write NAME=VALUE, with commas between them")]
    Headers,
    #[error(transparent)]
    Tls(#[from] tidegate_tls::TlsError),
}

/// What became of what was to be sent.
#[derive(Debug, Default)]
struct Counts {
    sent: AtomicU64,
    /// The queue was full.
    overflown: AtomicU64,
    /// The collector was not there.
    unsent: AtomicU64,
    /// The collector did not want it.
    refused: AtomicU64,
}

impl Counts {
    fn report(&self, signal: &str, page: &mut Page) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        page.put(&of_process::EXPORTED, &[signal], read(&self.sent));
        for (reason, counter) in
            [("full", &self.overflown), ("unreachable", &self.unsent), ("refused", &self.refused)]
        {
            page.put(&of_process::LOST, &[signal, reason], read(counter));
        }
    }
}

/// The way to the collector.
#[derive(Debug)]
pub struct Exporter {
    options: OtlpOptions,
    transport: Arc<Transport>,
    resource: Arc<Resource>,
    queue: Arc<Queue>,
    waiting: Mutex<Option<mpsc::Receiver<Vec<Span>>>>,
    spans: Arc<Counts>,
    metrics: Arc<Counts>,
}

/// The tasks that send. Dropped, they end at once.
#[derive(Debug)]
pub struct Running {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Exporter {
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// [`OtlpError`]
    pub fn new(options: OtlpOptions) -> Result<Self, OtlpError> {
        let transport = Transport::new(&options.endpoint, &options.headers, options.timeout)?;
        let spans = Arc::new(Counts::default());
        let (queue, waiting) =
            Queue::new(options.max_waiting_spans, options.traces_per_thousand, &spans);
        Ok(Self {
            transport: Arc::new(transport),
            resource: Arc::new(Resource::of(&options)),
            queue: Arc::new(queue),
            waiting: Mutex::new(Some(waiting)),
            spans,
            metrics: Arc::default(),
            options,
        })
    }

    /// Where spans go.
    #[must_use]
    pub fn spans(&self) -> Arc<dyn Spans> {
        Arc::clone(&self.queue) as _
    }

    /// Begins to send, within a runtime. To be called once.
    ///
    /// # Panics
    /// The second time.
    #[must_use]
    pub fn start(&self, source: PageSource) -> Running {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        let waiting = waiting.expect("it is started once");
        let (stop, stopped) = watch::channel(false);
        let sends_spans = spans::Sending {
            waiting,
            queue: Arc::clone(&self.queue),
            transport: Arc::clone(&self.transport),
            resource: Arc::clone(&self.resource),
            counts: Arc::clone(&self.spans),
        };
        let sends_metrics = metrics::Sending {
            source,
            every: self.options.metrics_interval,
            transport: Arc::clone(&self.transport),
            resource: Arc::clone(&self.resource),
            counts: Arc::clone(&self.metrics),
        };
        let tasks = vec![
            tokio::spawn(sends_spans.run(stopped.clone())),
            tokio::spawn(sends_metrics.run(stopped)),
        ];
        Running { stop, tasks }
    }

    /// Tells what became of spans and metrics.
    pub fn report(&self, page: &mut Page) {
        self.spans.report("traces", page);
        self.metrics.report("metrics", page);
    }
}

impl Running {
    /// Sends what waits, in one try, and ends.
    pub async fn close(mut self) {
        self.stop.send_replace(true);
        for task in std::mem::take(&mut self.tasks) {
            // A panic of its own has been told where it happened.
            drop(task.await);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
