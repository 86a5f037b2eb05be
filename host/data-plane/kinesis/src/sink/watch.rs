//! The task that asks a stream what it takes and how it is: at the start, and now and then.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::types::{StreamDescriptionSummary, StreamStatus};

use super::Shared;
use super::state::Looks;
use crate::backlog::{Limits, Place};
use crate::client::trouble;
use crate::options::MIB;

/// Consumers that are down for a day must find everything.
const LEAST_RETENTION_HOURS: i32 = 24;

pub(super) async fn run(shared: Arc<Shared>, client: Client, place: Place, stream: String) {
    let mut failures = 0u32;
    loop {
        let request = client.describe_stream_summary();
        let is_arn = stream.starts_with("arn:");
        let request =
            if is_arn { request.stream_arn(&stream) } else { request.stream_name(&stream) };
        let pause = match request.send().await {
            Ok(answer) => {
                failures = 0;
                if let Some(summary) = answer.stream_description_summary() {
                    shared.found(place, &stream, summary);
                }
                shared.options.look_every
            }
            Err(error) => {
                failures += 1;
                shared.not_found(place, &trouble::meaning(&error));
                shared.pause(failures)
            }
        };
        tokio::time::sleep(pause).await;
    }
}

impl Shared {
    fn found(&self, place: Place, stream: &str, summary: &StreamDescriptionSummary) {
        let kib = summary.max_record_size_in_kib().and_then(|kib| usize::try_from(kib).ok());
        let record_bytes = kib.filter(|kib| *kib > 0).map_or(MIB, |kib| kib.saturating_mul(1024));
        self.learn(place, Limits::Told { record_bytes });
        let retention_hours = summary.retention_period_hours();
        let looks = Looks {
            shards: summary.open_shard_count(),
            retention_hours,
            record_bytes,
            status: summary.stream_status().as_str().to_owned(),
        };
        let before = self.states.looked(place, looks.clone());
        if before.as_ref() == Some(&looks) {
            return;
        }
        if retention_hours < LEAST_RETENTION_HOURS {
            tracing::warn!(
                stream,
                retention_hours,
                "the stream keeps records for less than a day: a consumer that is down for longer loses events"
            );
        }
        let is_usable =
            matches!(summary.stream_status(), StreamStatus::Active | StreamStatus::Updating);
        if is_usable {
            tracing::info!(stream, shards = looks.shards, record_bytes, "stream looked at");
        } else {
            tracing::warn!(stream, status = looks.status, "the stream cannot be written to");
        }
    }

    fn not_found(&self, place: Place, meaning: &trouble::Meaning) {
        if meaning.is_denied && self.inner().backlog.limits(place) == Limits::Unknown {
            self.learn(place, Limits::Assumed);
        }
        self.states.looked_in_vain(place, meaning.why.clone());
    }

    /// Records that waited for it may go.
    fn learn(&self, place: Place, limits: Limits) {
        self.inner().backlog.set_limits(place, limits);
        self.wake.notify_one();
    }

    fn pause(&self, failures: u32) -> Duration {
        let doubled =
            self.options.retry_first.saturating_mul(1 << failures.saturating_sub(1).min(20));
        doubled.min(self.options.look_every)
    }
}
