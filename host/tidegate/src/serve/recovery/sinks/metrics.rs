//! What is told of sinks.

use tidegate_sinks::{BUCKETS_MS, ForwardStats, Outlet, OutletStats, Standing};
use tidegate_telemetry::metrics::sinks as metrics;
use tidegate_telemetry::{Distribution, Page};

/// One sink, with its forwarder's counters where it has one.
pub(super) fn report(outlet: &Outlet, forward: Option<&ForwardStats>, page: &mut Page) {
    let (sink, stats) = ([outlet.name().as_str()], outlet.stats());
    for (metric, value) in [
        (&metrics::TAKEN, stats.taken),
        (&metrics::BYTES_TAKEN, stats.bytes),
        (&metrics::DELIVERED, stats.delivered),
        (&metrics::ERRORED, stats.errored),
        (&metrics::UNKNOWN, stats.unknown),
        (&metrics::REJECTED, stats.rejected),
        (&metrics::DEAD_LETTERS, stats.dead),
        (&metrics::EVENTS_RECEIVED, stats.received),
        (&metrics::EVENTS_DROPPED, stats.dropped),
        (&metrics::OPEN, stats.open),
        (&metrics::BREAKER_OPEN, u64::from(outlet.standing() != Standing::Working)),
    ] {
        page.put(metric, &sink, value);
    }
    page.put(&metrics::DELIVERY_DURATION, &sink, durations(&stats));
    if let Some(forward) = forward {
        page.put(&metrics::DEAD_LETTERS_COMPACTED, &sink, forward.compacted);
        page.put(&metrics::DEAD_LETTERS_LOST, &sink, forward.lost_letters);
        page.put(&metrics::LAG, &sink, forward.lag);
    }
    outlet.sink().report(outlet.name().as_str(), page);
}

fn durations(stats: &OutletStats) -> Distribution {
    let bounds = BUCKETS_MS.map(|millis| millis * 1000);
    let seconds = stats.took_micros as f64 / 1e6;
    Distribution::of_micros(&bounds, stats.took.to_vec(), seconds)
}
