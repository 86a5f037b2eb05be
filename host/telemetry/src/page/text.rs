//! The text forms that Prometheus reads: its own (version 0.0.4), and OpenMetrics 1.0, which alone has
//! exemplars.

use std::fmt::Write as _;
use std::time::UNIX_EPOCH;

use super::{Distribution, Family, Value};
use crate::histogram::Exemplar;
use crate::metric::Kind;

/// A text form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>
    Prometheus,
    /// <https://prometheus.io/docs/specs/om/open_metrics_spec/>
    OpenMetrics,
}

impl Format {
    /// The one that a header `Accept` asks for.
    #[must_use]
    pub fn accepted(header: Option<&str>) -> Self {
        let is_asked_for = |one: &str| {
            let mut parts = one.split(';').map(str::trim);
            let is_named = parts.next() == Some("application/openmetrics-text");
            // A quality of 0 says that it is not wanted (RFC 9110, section 12.4.2).
            let is_wanted =
                |part: &str| part.strip_prefix("q=").and_then(|q| q.parse().ok()) != Some(0.0);
            is_named && parts.all(is_wanted)
        };
        match header {
            Some(text) if text.split(',').map(str::trim).any(is_asked_for) => Self::OpenMetrics,
            Some(_) | None => Self::Prometheus,
        }
    }

    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

pub(super) fn write(families: &[Family], format: Format) -> String {
    let mut out = String::with_capacity(16 * 1024);
    for family in families {
        let metric = family.metric;
        // OpenMetrics names the family; the end of the name is that of its samples.
        let name = match (format, metric.kind) {
            (Format::OpenMetrics, Kind::Counter) => {
                metric.name.strip_suffix("_total").unwrap_or(metric.name)
            }
            _ => metric.name,
        };
        line(&mut out, format_args!("# HELP {name} {}\n", metric.help.trim_start()));
        line(&mut out, format_args!("# TYPE {name} {}\n", metric.kind.as_str()));
        for sample in &family.samples {
            let labels = labels(metric.labels, &sample.labels);
            match &sample.value {
                Value::Whole(value) => single(&mut out, metric.name, &labels, value),
                Value::Number(value) => single(&mut out, metric.name, &labels, value),
                Value::Distribution(value) => {
                    distribution(&mut out, metric.name, &labels, value, format);
                }
            }
        }
    }
    if format == Format::OpenMetrics {
        out.push_str("# EOF\n");
    }
    out
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a String does not fail");
}

fn single(out: &mut String, name: &str, labels: &str, value: impl std::fmt::Display) {
    match labels {
        "" => line(out, format_args!("{name} {value}\n")),
        labels => line(out, format_args!("{name}{{{labels}}} {value}\n")),
    }
}

fn distribution(out: &mut String, name: &str, labels: &str, value: &Distribution, format: Format) {
    let comma = if labels.is_empty() { "" } else { "," };
    let bounds = value.bounds.iter().map(ToString::to_string).chain(["+Inf".to_owned()]);
    let exemplars = value.exemplars.iter().map(Option::as_ref).chain(std::iter::repeat(None));
    let mut sum = 0;
    for ((bound, count), exemplar) in bounds.zip(&value.counts).zip(exemplars) {
        sum += count;
        line(out, format_args!("{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {sum}"));
        if let Some(exemplar) = exemplar.filter(|_| format == Format::OpenMetrics) {
            self::exemplar(out, exemplar);
        }
        out.push('\n');
    }
    single(out, &format!("{name}_sum"), labels, value.sum);
    single(out, &format!("{name}_count"), labels, sum);
}

fn exemplar(out: &mut String, exemplar: &Exemplar) {
    let Exemplar { trace_id, span_id, value, at } = exemplar;
    let at = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as f64 / 1e3;
    line(out, format_args!(" # {{trace_id=\"{trace_id}\",span_id=\"{span_id}\"}} {value} {at}"));
}

fn labels(names: &[&str], values: &[Box<str>]) -> String {
    let mut out = String::new();
    for (name, value) in names.iter().zip(values) {
        let comma = if out.is_empty() { "" } else { "," };
        line(&mut out, format_args!("{comma}{name}=\""));
        escape(&mut out, value);
        out.push('"');
    }
    out
}

/// A value may be a name that a tenant has chosen.
fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::metric::Metric;
    use crate::page::Page;

    static THINGS: Metric =
        Metric { name: "things_total", kind: Kind::Counter, help: "Things.", labels: &["kind"] };
    static LEVEL: Metric =
        Metric { name: "level_bytes", kind: Kind::Gauge, help: "Level.", labels: &[] };
    static TIME: Metric =
        Metric { name: "time_seconds", kind: Kind::Histogram, help: "Time.", labels: &[] };

    fn page() -> Page {
        let exemplar = Exemplar {
            trace_id: "t".to_owned(),
            span_id: "s".to_owned(),
            value: 0.004,
            at: UNIX_EPOCH + Duration::from_millis(1500),
        };
        let mut page = Page::default();
        page.put(&THINGS, &["a\"}\n\\"], 1u64);
        page.put(&LEVEL, &[], 2.5);
        page.put(&THINGS, &["b"], 3u64);
        let distribution = Distribution::of_micros(&[1000, 5000], vec![1, 2, 3], 0.5);
        page.put(
            &TIME,
            &[],
            Distribution { exemplars: vec![None, Some(exemplar)], ..distribution },
        );
        page
    }

    #[test]
    fn both_forms() {
        let text = page().text(Format::Prometheus);
        let expected = "# HELP things_total Things.\n# TYPE things_total counter\n\
            things_total{kind=\"a\\\"}\\n\\\\\"} 1\nthings_total{kind=\"b\"} 3\n\
            # HELP level_bytes Level.\n# TYPE level_bytes gauge\nlevel_bytes 2.5\n\
            # HELP time_seconds Time.\n# TYPE time_seconds histogram\n\
            time_seconds_bucket{le=\"0.001\"} 1\ntime_seconds_bucket{le=\"0.005\"} 3\n\
            time_seconds_bucket{le=\"+Inf\"} 6\ntime_seconds_sum 0.5\ntime_seconds_count 6\n";
        assert_eq!(text, expected);
        let text = page().text(Format::OpenMetrics);
        let expected = expected
            .replace("# HELP things_total", "# HELP things")
            .replace("# TYPE things_total", "# TYPE things")
            .replace(
                "{le=\"0.005\"} 3\n",
                "{le=\"0.005\"} 3 # {trace_id=\"t\",span_id=\"s\"} 0.004 1.5\n",
            );
        assert_eq!(text, expected + "# EOF\n");
    }

    #[test]
    fn what_is_asked_for() {
        use Format::{OpenMetrics, Prometheus};
        let scraper = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        for (header, expected) in [
            (Some(scraper), OpenMetrics),
            (Some("application/openmetrics-text"), OpenMetrics),
            (Some("application/openmetrics-text;q=0, text/plain"), Prometheus),
            (Some("text/plain"), Prometheus),
            (Some("*/*"), Prometheus),
            (Some(""), Prometheus),
            (None, Prometheus),
        ] {
            assert_eq!(Format::accepted(header), expected, "{header:?}");
        }
    }
}
