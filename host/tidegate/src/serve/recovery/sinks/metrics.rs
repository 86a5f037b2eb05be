//! What becomes of messages, as text for Prometheus: one series for each sink.

use std::fmt::Write as _;
use std::sync::Arc;

use tidegate_sinks::{BUCKETS_MS, ForwardStats, Outlet, OutletStats, Standing};

/// A metric that is read from the counters of a sink.
struct Metric {
    name: &'static str,
    kind: &'static str,
    about: &'static str,
    value: fn(&OutletStats, &ForwardStats) -> u64,
}

const METRICS: [Metric; 13] = [
    Metric {
        name: "tidegate_sink_messages_taken_total",
        kind: "counter",
        about: "Messages that the sink has taken, dead letters among them.",
        value: |outlet, _| outlet.taken,
    },
    Metric {
        name: "tidegate_sink_bytes_taken_total",
        kind: "counter",
        about: "Bytes of the bodies of messages that the sink has taken.",
        value: |outlet, _| outlet.bytes,
    },
    Metric {
        name: "tidegate_sink_messages_delivered_total",
        kind: "counter",
        about: "Messages that the sink's place has acknowledged.",
        value: |outlet, _| outlet.delivered,
    },
    Metric {
        name: "tidegate_sink_messages_errored_total",
        kind: "counter",
        about: "Messages that were not delivered and may go well another time.",
        value: |outlet, _| outlet.errored,
    },
    Metric {
        name: "tidegate_sink_messages_unknown_total",
        kind: "counter",
        about: "Of the errored messages, those that may be there all the same, and twice when they are sent again.",
        value: |outlet, _| outlet.unknown,
    },
    Metric {
        name: "tidegate_sink_messages_rejected_total",
        kind: "counter",
        about: "Messages that the sink's place refuses for good.",
        value: |outlet, _| outlet.rejected,
    },
    Metric {
        name: "tidegate_sink_dead_letters_total",
        kind: "counter",
        about: "Dead letters that were written.",
        value: |outlet, _| outlet.dead,
    },
    Metric {
        name: "tidegate_sink_dead_letters_compacted_total",
        kind: "counter",
        about: "Dead letters that were only counted, in one that stands for them.",
        value: |_, forward| forward.compacted,
    },
    Metric {
        name: "tidegate_sink_dead_letters_lost_total",
        kind: "counter",
        about: "Dead letters that were refused themselves.",
        value: |_, forward| forward.lost_letters,
    },
    Metric {
        name: "tidegate_sink_events_received_total",
        kind: "counter",
        about: "Events whose answer waited for the sink.",
        value: |outlet, _| outlet.received,
    },
    Metric {
        name: "tidegate_sink_events_dropped_total",
        kind: "counter",
        about: "Events that were answered 503 because the sink did not take them.",
        value: |outlet, _| outlet.dropped,
    },
    Metric {
        name: "tidegate_sink_messages_open",
        kind: "gauge",
        about: "Messages that were taken and are not acknowledged yet.",
        value: |outlet, _| outlet.open,
    },
    Metric {
        name: "tidegate_sink_lag_records",
        kind: "gauge",
        about: "Records of the log behind the sink's position, also those that go elsewhere.",
        value: |_, forward| forward.lag,
    },
];

const TOOK: &str = "tidegate_sink_delivery_duration_seconds";

/// Of all sinks, and what is told beside them.
pub(super) fn prometheus<'a>(
    sinks: impl Iterator<Item = (&'a Arc<Outlet>, ForwardStats)>,
    beside: &str,
) -> String {
    let sinks: Vec<_> = sinks.map(|(outlet, forward)| (outlet, outlet.stats(), forward)).collect();
    let mut out = String::new();
    if sinks.is_empty() {
        return out;
    }
    for Metric { name, kind, about, value } in &METRICS {
        head(&mut out, name, kind, about);
        for (outlet, stats, forward) in &sinks {
            line(&mut out, name, &format!("sink=\"{}\"", outlet.name()), value(stats, forward));
        }
    }
    let name = "tidegate_sink_breaker_open";
    head(
        &mut out,
        name,
        "gauge",
        "1 while events that wait for the sink are answered 503 at once.",
    );
    for (outlet, ..) in &sinks {
        let open = u64::from(outlet.standing() != Standing::Working);
        line(&mut out, name, &format!("sink=\"{}\"", outlet.name()), open);
    }
    head(&mut out, TOOK, "histogram", "From sending messages together to the last report on them.");
    for (outlet, stats, _) in &sinks {
        durations(&mut out, outlet, stats);
    }
    let own = sinks.iter().map(|(outlet, ..)| outlet.sink().prometheus(outlet.name().as_str()));
    let own: String = own.chain([beside.to_owned()]).collect();
    out.push_str(&gathered(&own));
    out
}

/// The same with each metric's lines together, under one head: sinks of one kind have the same metrics.
fn gathered(text: &str) -> String {
    let mut families: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut at = 0;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let name = rest.split(' ').next().unwrap_or_default();
            let known = families.iter().position(|(family, _)| *family == name);
            at = known.unwrap_or_else(|| {
                families.push((name, Vec::new()));
                families.len() - 1
            });
        }
        let Some((_, lines)) = families.get_mut(at) else { continue };
        if !(line.starts_with('#') && lines.contains(&line)) {
            lines.push(line);
        }
    }
    let lines = families.iter().flat_map(|(_, lines)| lines.iter());
    lines.map(|line| format!("{line}\n")).collect()
}

fn durations(out: &mut String, outlet: &Outlet, stats: &OutletStats) {
    let sink = format!("sink=\"{}\"", outlet.name());
    let mut count = 0;
    let bounds = BUCKETS_MS.iter().map(|millis| (*millis as f64 / 1000.0).to_string());
    for (bound, took) in bounds.chain(["+Inf".to_owned()]).zip(stats.took) {
        count += took;
        line(out, &format!("{TOOK}_bucket"), &format!("{sink},le=\"{bound}\""), count);
    }
    let seconds = stats.took_micros as f64 / 1_000_000.0;
    write(out, format_args!("{TOOK}_sum{{{sink}}} {seconds}\n"));
    line(out, &format!("{TOOK}_count"), &sink, count);
}

fn head(out: &mut String, name: &str, kind: &str, about: &str) {
    write(out, format_args!("# HELP {name} {about}\n# TYPE {name} {kind}\n"));
}

fn line(out: &mut String, name: &str, labels: &str, value: u64) {
    write(out, format_args!("{name}{{{labels}}} {value}\n"));
}

fn write(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a String does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_a_metric_come_together_under_one_head() {
        let head = "# HELP a x\n# TYPE a gauge\n";
        let other = "# HELP b y\n# TYPE b counter\n";
        let text = format!("{head}a{{s=\"1\"}} 1\n{other}b 1\n{head}a{{s=\"2\"}} 2\n");
        let expected = format!("{head}a{{s=\"1\"}} 1\na{{s=\"2\"}} 2\n{other}b 1\n");
        assert_eq!(gathered(&text), expected);
        assert_eq!(gathered(""), "");
    }
}
