//! What CloudWatch is told: how many events came, and how many were turned away because the stream was
//! throttled or the queue before it was full.
//!
//! | metric | is |
//! |---|---|
//! | `event_drop` | the value 1 for each event that was turned away |
//! | `events_received` | the value 1 for each event that came, those turned away among them |
//!
//! Both in the namespace of the settings, unit Count, with the dimension `Stream`; without dimensions as
//! well where that is asked for. A metric that had nothing to count sends nothing, so an alarm fills gaps
//! with 0: `examples/deploy/cloudwatch-alarm.json` is one (`aws cloudwatch put-metric-alarm --cli-input-json
//! file://…`), for more than 1 % over 5 minutes.
//!
//! Values are sent as one value and how often it occurred (`Values` and `Counts` of `PutMetricData`), so a
//! call costs the same for any number of events. What could not be sent is sent with the next call.
//! A call without an answer is sent again, as `PutMetricData` cannot be told to count once.

mod task;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tidegate_telemetry::Page;
use tidegate_telemetry::metrics::sinks as metrics;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::client::AwsAccess;
use crate::options::OptionsError;

/// What a reporter is started with. [`CloudWatchOptions::new`] has the defaults.
#[derive(Clone, Debug)]
pub struct CloudWatchOptions {
    pub access: AwsAccess,
    /// Default `Tidegate`.
    pub namespace: String,
    /// The dimension `Stream`.
    pub stream: String,
    /// The same once more without dimensions, as a sum over all streams. Default no.
    pub total: bool,
    /// How often counts are sent: 10 ms to 5 min. Default 10 s.
    pub every: Duration,
    /// How long one call may take. Default 5 s.
    pub call_timeout: Duration,
}

impl CloudWatchOptions {
    #[must_use]
    pub fn new(stream: impl Into<String>) -> Self {
        Self {
            access: AwsAccess::default(),
            namespace: "Tidegate".to_owned(),
            stream: stream.into(),
            total: false,
            every: Duration::from_secs(10),
            call_timeout: Duration::from_secs(5),
        }
    }

    fn check(&self) -> Result<(), OptionsError> {
        let is_ok = (Duration::from_millis(10)..=Duration::from_secs(300)).contains(&self.every);
        let value = format!("{:?}", self.every);
        let bounds = "10 ms to 5 min";
        if !is_ok {
            return Err(OptionsError::OutOfBounds { name: "report every", value, bounds });
        }
        let is_named =
            (1..=255).contains(&self.namespace.len()) && !self.namespace.starts_with("AWS/");
        let (name, value) = ("namespace", self.namespace.clone());
        let bounds = "1 to 255 characters, not beginning with `AWS/`";
        if is_named { Ok(()) } else { Err(OptionsError::OutOfBounds { name, value, bounds }) }
    }
}

/// What is counted. Cheap, from any thread.
#[derive(Debug, Default)]
pub struct DropCounts {
    received: AtomicU64,
    dropped: AtomicU64,
}

impl DropCounts {
    /// So many events came, whatever became of them.
    pub fn received(&self, events: u64) {
        self.received.fetch_add(events, Ordering::Relaxed);
    }

    /// So many of those that came were turned away: the stream is throttled, or the queue is full.
    pub fn dropped(&self, events: u64) {
        self.dropped.fetch_add(events, Ordering::Relaxed);
    }

    fn read(&self) -> Totals {
        // Dropped ones first: they are among those received, in what is read as well.
        let dropped = self.dropped.load(Ordering::Relaxed);
        Totals { received: self.received.load(Ordering::Relaxed), dropped }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Totals {
    received: u64,
    dropped: u64,
}

/// Sends what is counted, until it is dropped.
#[derive(Debug)]
pub struct DropReporter {
    shared: Arc<Shared>,
    task: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    options: CloudWatchOptions,
    counts: Arc<DropCounts>,
    /// Events that CloudWatch has acknowledged.
    sent_received: AtomicU64,
    failures: AtomicU64,
    is_failing: AtomicBool,
    closing: AtomicBool,
    wake: Notify,
}

impl DropReporter {
    /// Starts the task in the runtime that this is called in. A CloudWatch that is not there is no error.
    ///
    /// # Errors
    /// Where a setting cannot be, or there is no runtime.
    pub fn start(options: CloudWatchOptions) -> Result<Self, OptionsError> {
        options.check()?;
        let runtime = Handle::try_current().map_err(|_| OptionsError::NoRuntime)?;
        let shared = Arc::new(Shared {
            options,
            counts: Arc::default(),
            sent_received: AtomicU64::default(),
            failures: AtomicU64::default(),
            is_failing: AtomicBool::default(),
            closing: AtomicBool::default(),
            wake: Notify::new(),
        });
        let task = Some(runtime.spawn(task::run(Arc::clone(&shared))));
        Ok(Self { shared, task })
    }

    /// What the caller adds to.
    #[must_use]
    pub fn counts(&self) -> Arc<DropCounts> {
        Arc::clone(&self.shared.counts)
    }

    /// Sends what is left, in one call, and ends.
    pub async fn close(mut self) {
        self.shared.closing.store(true, Ordering::Release);
        self.shared.wake.notify_one();
        if let Some(task) = self.task.take() {
            // It may have been aborted with its runtime.
            drop(task.await);
        }
    }

    /// Tells its counters.
    pub fn report(&self, page: &mut Page) {
        let Totals { received, dropped } = self.shared.counts.read();
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let stream = [self.shared.options.stream.as_str()];
        page.put(&metrics::CLOUDWATCH_RECEIVED, &stream, received);
        page.put(&metrics::CLOUDWATCH_DROPPED, &stream, dropped);
        page.put(&metrics::CLOUDWATCH_REPORTED, &stream, read(&self.shared.sent_received));
        page.put(&metrics::CLOUDWATCH_FAILURES, &stream, read(&self.shared.failures));
    }
}

impl Drop for DropReporter {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
