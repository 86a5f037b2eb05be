//! What all requests of a node share.

pub mod options;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use tidegate_dedup::Keys;
use tidegate_quota::Buckets;
use tidegate_sinks::Outlets;
use tidegate_telemetry::metrics::ingress as metrics;
use tidegate_telemetry::{Page, PageSource, Spans};
use tidegate_types::Status;
use tidegate_wal::Wal;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::force::snapshot::Snapshot;
use crate::http::access::Lines;
use crate::http::receipts::Receipts;
use crate::observe::Meters;
use crate::options::IngressOptions;
use crate::rejudge::shadow::Shadows;
use crate::stage::authenticate::bearer::BearerTokens;
use crate::stage::authenticate::failures::Failures;

/// The data plane of a node: everything that a request needs, shared by all of them.
pub struct Gateway {
    pub(crate) options: IngressOptions,
    /// This gateway's name, as rules and stored events see it.
    pub(crate) node: Arc<str>,
    pub(crate) snapshot: ArcSwap<Snapshot>,
    /// Who verifies bearer tokens, where any are taken.
    pub(crate) tokens: Option<Arc<dyn BearerTokens>>,
    pub(crate) keys: Keys,
    pub(crate) wal: Wal,
    /// Where events go besides the log.
    pub(crate) sinks: Arc<Outlets>,
    pub(crate) shadows: Shadows,
    /// Places for connections.
    pub(crate) connections: Arc<Semaphore>,
    pub(crate) in_flight: Arc<Semaphore>,
    pub(crate) failures: Failures,
    pub(crate) lines: Lines,
    pub(crate) buckets: Arc<dyn Buckets>,
    pub(crate) receipts: Arc<dyn Receipts>,
    pub(crate) receipt_reads: Arc<Semaphore>,
    /// Requests that outlive their clients; draining waits for them.
    pub(crate) tasks: TaskTracker,
    pub health: Health,
    pub(crate) meters: Meters,
    /// Who makes the page of metrics, for a listener that serves it.
    pub(crate) page: OnceLock<PageSource>,
}

/// Is the node fit to serve?
#[derive(Debug, Default)]
pub struct Health {
    ready: AtomicBool,
    draining: AtomicBool,
}

impl Health {
    /// Recovery is over.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// The node is about to stop: it takes what comes, and tells load balancers to go elsewhere.
    pub fn set_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire) && !self.is_draining()
    }

    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}

impl Gateway {
    /// Puts the parts together and starts the thread for shadows.
    ///
    /// # Errors
    /// Where the thread cannot be started.
    pub fn new(
        options: IngressOptions,
        node: &str,
        keys: Keys,
        wal: Wal,
        buckets: Arc<dyn Buckets>,
        receipts: Arc<dyn Receipts>,
    ) -> std::io::Result<Self> {
        let in_flight = Arc::new(Semaphore::new(options.max_in_flight_requests));
        Ok(Self {
            shadows: Shadows::start()?,
            node: node.into(),
            snapshot: ArcSwap::from_pointee(Snapshot::default()),
            tokens: None,
            sinks: Arc::default(),
            keys,
            wal,
            connections: Arc::new(Semaphore::new(options.max_connections)),
            in_flight,
            failures: Failures::new(options.max_auth_failures),
            lines: Lines::new(options.access_log, options.access_lines),
            buckets,
            receipts,
            receipt_reads: Arc::new(Semaphore::new(options.max_receipt_reads)),
            options,
            tasks: TaskTracker::new(),
            health: Health::default(),
            meters: Meters::default(),
            page: OnceLock::new(),
        })
    }

    /// The same that takes bearer tokens as well.
    #[must_use]
    pub fn with_tokens(self, tokens: Arc<dyn BearerTokens>) -> Self {
        Self { tokens: Some(tokens), ..self }
    }

    /// The same that knows sinks.
    #[must_use]
    pub fn with_sinks(self, sinks: Arc<Outlets>) -> Self {
        Self { sinks, ..self }
    }

    /// The sinks that it knows.
    #[must_use]
    pub fn sinks(&self) -> &Arc<Outlets> {
        &self.sinks
    }

    /// The same whose requests are traced.
    #[must_use]
    pub fn with_spans(mut self, spans: Arc<dyn Spans>) -> Self {
        self.meters.spans = Some(spans);
        self
    }

    /// Tells what is measured of requests, events and credentials.
    pub fn report(&self, page: &mut Page) {
        page.put(&metrics::READY, &[], self.health.is_ready());
        let (most, free) =
            (self.options.max_in_flight_requests, self.in_flight.available_permits());
        page.put(&metrics::REQUESTS_LIMIT, &[], most);
        page.put(&metrics::REQUESTS_IN_FLIGHT, &[], most.saturating_sub(free));
        let connections = self.options.max_connections;
        let free = self.connections.available_permits();
        page.put(&metrics::CONNECTIONS, &[], connections.saturating_sub(free));
        self.meters.report(page);
        self.keys.report(page);
        if let Some(tokens) = &self.tokens {
            tokens.report(page);
        }
    }

    /// Has the listener serve metrics where its options expose them.
    pub fn serve_metrics(&self, source: &PageSource) {
        // The first stays.
        drop(self.page.set(Arc::clone(source)));
    }

    /// How many events had this status since the start.
    #[must_use]
    pub fn events(&self, status: Status) -> u64 {
        self.meters.events.get(status)
    }

    /// Puts a snapshot in force for the requests that begin from now on.
    pub fn publish(&self, snapshot: Snapshot) {
        self.snapshot.store(Arc::new(snapshot));
    }

    /// Where the node keeps its idempotency keys.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// This gateway's name, as rules and stored events see it.
    #[must_use]
    pub fn node(&self) -> &Arc<str> {
        &self.node
    }

    /// The snapshot in force.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Waits for the requests under way; to be called when no listener takes new ones.
    pub async fn drained(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}
