//! Metrics on their way: the page that Prometheus reads, as messages of OTLP.
//!
//! Names and labels are those of the page with dots where OpenTelemetry has them, and without what the
//! translation back to Prometheus adds by itself: the unit and `_total`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric as Message,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, number_data_point,
};
use prost::Message as _;
use tokio::sync::watch;

use super::Counts;
use super::resource::{Resource, nanos, number, text};
use super::transport::{NotTaken, Signal, Transport};
use crate::metric::{Kind, Metric};
use crate::page::{Family, Page, Sample, Value};
use crate::serve::PageSource;
use crate::trace::wall_clock;

/// The task that sends metrics.
pub(super) struct Sending {
    pub(super) source: PageSource,
    pub(super) every: Duration,
    pub(super) transport: Arc<Transport>,
    pub(super) resource: Arc<Resource>,
    pub(super) counts: Arc<Counts>,
}

impl Sending {
    /// Once more when it is told to stop: what happened last counts too.
    pub(super) async fn run(self, mut stopped: watch::Receiver<bool>) {
        let mut turn = tokio::time::interval(self.every);
        turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let is_last = tokio::select! {
                _ = turn.tick() => false,
                _ = stopped.wait_for(|stop| *stop) => true,
            };
            self.send().await;
            if is_last {
                return;
            }
        }
    }

    async fn send(&self) {
        let source = Arc::clone(&self.source);
        let Ok(page) = tokio::task::spawn_blocking(move || source()).await else { return };
        let message = message(&page, &self.resource, wall_clock());
        let counter = match self.transport.send(Signal::Metrics, message.encode_to_vec()).await {
            Ok(_) => &self.counts.sent,
            Err(NotTaken::Later(_)) => &self.counts.unsent,
            Err(NotTaken::Never) => &self.counts.refused,
        };
        counter.fetch_add(page.families().len() as u64, Ordering::Relaxed);
    }
}

fn message(page: &Page, resource: &Resource, now: SystemTime) -> ExportMetricsServiceRequest {
    let times = (resource.started, nanos(now));
    let scope_metrics = ScopeMetrics {
        scope: Some(resource.scope.clone()),
        metrics: page.families().iter().map(|family| metric(family, times)).collect(),
        ..ScopeMetrics::default()
    };
    let resource_metrics = ResourceMetrics {
        resource: Some(resource.message.clone()),
        scope_metrics: vec![scope_metrics],
        ..ResourceMetrics::default()
    };
    ExportMetricsServiceRequest { resource_metrics: vec![resource_metrics] }
}

fn metric(family: &Family, times: (u64, u64)) -> Message {
    let metric = family.metric;
    let numbers = || family.samples.iter().filter_map(|sample| point(metric, sample, times));
    let cumulative = AggregationTemporality::Cumulative.into();
    let data = match metric.kind {
        Kind::Gauge => Data::Gauge(Gauge { data_points: numbers().collect() }),
        Kind::Counter => Data::Sum(Sum {
            data_points: numbers().collect(),
            aggregation_temporality: cumulative,
            is_monotonic: true,
        }),
        Kind::Histogram => {
            let points = family.samples.iter().filter_map(|one| distribution(metric, one, times));
            let data_points = points.collect();
            Data::Histogram(Histogram { data_points, aggregation_temporality: cumulative })
        }
    };
    Message {
        name: name(metric),
        description: metric.help.trim_start().to_owned(),
        unit: metric.unit().to_owned(),
        data: Some(data),
        ..Message::default()
    }
}

/// `http_server_request_duration_seconds` is `http.server.request.duration`, and
/// `tidegate_wal_records_total` is `tidegate.wal_records`.
fn name(metric: &Metric) -> String {
    let name = metric.name.strip_suffix("_total").unwrap_or(metric.name);
    let unit = if metric.unit() == "1" { "" } else { name.rsplit('_').next().unwrap_or_default() };
    let name = name.strip_suffix(unit).unwrap_or(name).trim_end_matches('_');
    match name.strip_prefix("http_") {
        Some(_) => name.replace('_', "."),
        None => name.replacen('_', ".", 1),
    }
}

/// The attributes that the semantic conventions name have dots, ours have none.
fn attributes(metric: &Metric, sample: &Sample) -> Vec<KeyValue> {
    let pairs = metric.labels.iter().zip(&sample.labels).filter(|(_, value)| !value.is_empty());
    let attribute = |(label, value): (&str, &str)| match label {
        "http_response_status_code" => {
            number("http.response.status_code", value.parse().unwrap_or_default())
        }
        "http_request_method" => text("http.request.method", value),
        "http_route" => text("http.route", value),
        "url_scheme" => text("url.scheme", value),
        "error_type" => text("error.type", value),
        other => text(other, value),
    };
    pairs.map(|(label, value)| attribute((*label, &**value))).collect()
}

fn point(metric: &Metric, sample: &Sample, (from, now): (u64, u64)) -> Option<NumberDataPoint> {
    let value = match &sample.value {
        Value::Whole(value) => {
            number_data_point::Value::AsInt(i64::try_from(*value).unwrap_or(i64::MAX))
        }
        Value::Number(value) => number_data_point::Value::AsDouble(*value),
        Value::Distribution(_) => return None,
    };
    Some(NumberDataPoint {
        attributes: attributes(metric, sample),
        start_time_unix_nano: if metric.kind == Kind::Counter { from } else { 0 },
        time_unix_nano: now,
        value: Some(value),
        ..NumberDataPoint::default()
    })
}

fn distribution(
    metric: &Metric,
    sample: &Sample,
    (from, now): (u64, u64),
) -> Option<HistogramDataPoint> {
    let Value::Distribution(of) = &sample.value else { return None };
    Some(HistogramDataPoint {
        attributes: attributes(metric, sample),
        start_time_unix_nano: from,
        time_unix_nano: now,
        count: of.counts.iter().sum(),
        sum: Some(of.sum),
        bucket_counts: of.counts.clone(),
        explicit_bounds: of.bounds.clone(),
        ..HistogramDataPoint::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{events, ingress, log, process};

    #[test]
    fn names_as_opentelemetry_has_them() {
        for (metric, expected) in [
            (&ingress::REQUEST_DURATION, "http.server.request.duration"),
            (&log::RECORDS, "tidegate.wal_records"),
            (&log::SYNC_DURATION, "tidegate.wal_sync_duration"),
            (&log::BYTES, "tidegate.wal_written"),
            (&events::EVENTS, "tidegate.events"),
            (&process::CPU, "process.cpu"),
        ] {
            assert_eq!(name(metric), expected);
        }
    }
}
