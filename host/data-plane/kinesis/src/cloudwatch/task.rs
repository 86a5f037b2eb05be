//! The task that sends the counts, one call after the other.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{Dimension, MetricDatum, StandardUnit};
use tidegate_types::UnixMillis;

use super::{Shared, Totals};
use crate::client::{self, trouble};

/// How often the log is told, while it goes on, that nothing can be sent.
const TELL_EVERY: Duration = Duration::from_secs(600);

pub(super) async fn run(shared: Arc<Shared>) {
    let config = client::configure(&shared.options.access, shared.options.call_timeout).await;
    let client = Client::new(&config);
    let mut sent = Totals::default();
    let mut told: Option<Instant> = None;
    loop {
        let closing = shared.closing.load(Ordering::Acquire);
        if !closing {
            tokio::select! {
                () = shared.wake.notified() => {}
                () = tokio::time::sleep(shared.options.every) => {}
            }
        }
        let now = shared.counts.read();
        if now != sent {
            match shared.send(&client, now.since(sent)).await {
                Ok(()) => {
                    sent = now;
                    shared.sent_received.store(now.received, Ordering::Relaxed);
                    if shared.is_failing.swap(false, Ordering::Relaxed) {
                        let stream = &shared.options.stream;
                        tracing::info!(stream, "cloudwatch takes counts again");
                    }
                    told = None;
                }
                Err(why) => shared.failed(&why, &mut told),
            }
        }
        if closing {
            return;
        }
    }
}

impl Totals {
    fn since(self, before: Self) -> Self {
        Self {
            received: self.received.saturating_sub(before.received),
            dropped: self.dropped.saturating_sub(before.dropped),
        }
    }
}

impl Shared {
    async fn send(&self, client: &Client, counts: Totals) -> Result<(), String> {
        let at = i64::try_from(UnixMillis::now().0).unwrap_or(i64::MAX);
        let stream = Dimension::builder().name("Stream").value(&self.options.stream).build();
        let mut data = Vec::with_capacity(4);
        for (name, count) in [("event_drop", counts.dropped), ("events_received", counts.received)]
        {
            if count == 0 {
                continue;
            }
            let datum = MetricDatum::builder()
                .metric_name(name)
                .timestamp(DateTime::from_millis(at))
                .unit(StandardUnit::Count)
                .values(1.0)
                .counts(as_float(count));
            if self.options.total {
                data.push(datum.clone().build());
            }
            data.push(datum.dimensions(stream.clone()).build());
        }
        let request = client.put_metric_data().namespace(&self.options.namespace);
        let answer = request.set_metric_data(Some(data)).send().await;
        answer.map(drop).map_err(|error| trouble::meaning(&error).why)
    }

    fn failed(&self, why: &str, told: &mut Option<Instant>) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.is_failing.store(true, Ordering::Relaxed);
        if told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            let stream = &self.options.stream;
            tracing::warn!(stream, why, "cloudwatch takes no counts: they are kept and sent later");
            *told = Some(Instant::now());
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "2^53 events in one report there are not")]
fn as_float(count: u64) -> f64 {
    count as f64
}
