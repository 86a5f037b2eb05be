//! What is measured of requests and their events.

pub(crate) mod events;
pub(crate) mod requests;
pub(crate) mod stages;
pub(crate) mod trace;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidegate_telemetry::metrics::{events as of_events, ingress as metrics};
use tidegate_telemetry::{Histogram, Page, Spans};
use tidegate_types::revision::delivery::Ack;

use events::Events;
use requests::Requests;
use stages::StageTimes;

/// The counters of a listener.
pub(crate) struct Meters {
    pub(crate) events: Events,
    pub(crate) requests: Requests,
    pub(crate) stages: StageTimes,
    durable: Histogram,
    delivered: Histogram,
    body_bytes: AtomicU64,
    /// Where spans go, where somebody wants them.
    pub(crate) spans: Option<Arc<dyn Spans>>,
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            events: Events::default(),
            requests: Requests::default(),
            stages: StageTimes::default(),
            durable: Histogram::of_durations(&metrics::REQUEST_BOUNDS),
            delivered: Histogram::of_durations(&metrics::REQUEST_BOUNDS),
            body_bytes: AtomicU64::new(0),
            spans: None,
        }
    }
}

impl Meters {
    pub(crate) fn read(&self, bytes: usize) {
        self.body_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// How long acknowledgements of this level took.
    pub(crate) fn acks(&self, ack: Ack) -> &Histogram {
        match ack {
            Ack::Durable => &self.durable,
            Ack::Delivered => &self.delivered,
        }
    }

    pub(crate) fn report(&self, page: &mut Page) {
        self.requests.report(page);
        page.put(&metrics::BODY_BYTES, &[], self.body_bytes.load(Ordering::Relaxed));
        self.stages.report(page);
        self.events.report(page);
        page.put(&of_events::ACK_DURATION, &["durable"], self.durable.read());
        page.put(&of_events::ACK_DURATION, &["delivered"], self.delivered.read());
    }
}
