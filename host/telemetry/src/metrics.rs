//! Every metric of the gateway. Nothing else may be told.
//!
//! Names follow one grammar. `tidegate`, the part of the gateway, what is counted, the unit (`seconds` or
//! `bytes`, no others of their kind), and `_total` where it only grows; `http_server` for what the
//! semantic conventions of OpenTelemetry name, and `process` for what Prometheus's clients do. Labels are
//! of [`LABELS`], and have few values each: tenants and rules beyond a bound are told as `other`.

pub mod dedup;
pub mod events;
pub mod identity;
pub mod ingress;
pub mod log;
pub mod process;
pub mod rules;
pub mod sinks;

use crate::metric::Metric;

/// What a label may be called.
pub const LABELS: [&str; 25] = [
    "ack", "code", "contract", "digest", "error_type", "http_request_method",
    "http_response_status_code", "http_route", "issuer", "kind", "metric", "operation", "outcome",
    "plugin", "reason", "rule", "severity", "signal", "sink", "stage", "status", "stream",
    "tenant", "url_scheme", "version",
];

/// All of them, part by part.
pub fn all() -> impl Iterator<Item = &'static Metric> {
    [
        ingress::ALL,
        events::ALL,
        log::ALL,
        dedup::ALL,
        sinks::ALL,
        rules::ALL,
        identity::ALL,
        process::ALL,
    ]
    .into_iter()
    .flatten()
    .copied()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::metric::Kind;

    const PREFIXES: [&str; 3] = ["tidegate_", "http_server_", "process_"];
    /// Ends that the text form needs for itself, and units that are not the base unit of their kind.
    const BAD_ENDS: [&str; 12] = [
        "_sum", "_count", "_bucket", "_info_total", "_ms", "_millis", "_micros", "_minutes",
        "_hours", "_kb", "_percent", "_seconds_seconds",
    ];

    #[test]
    fn names_follow_the_grammar() {
        let mut seen = HashSet::new();
        for metric in all() {
            let name = metric.name;
            assert!(seen.insert(name), "{name} is there twice");
            assert!(PREFIXES.iter().any(|prefix| name.starts_with(prefix)), "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            assert!(!name.contains("__") && !name.ends_with('_'), "{name}");
            assert!(BAD_ENDS.iter().all(|end| !name.ends_with(end)), "{name}");
            assert_eq!(metric.kind == Kind::Counter, name.ends_with("_total"), "{name}");
            if metric.kind == Kind::Histogram {
                assert_ne!(metric.unit(), "1", "{name} has no unit");
            }
        }
    }

    #[test]
    fn help_is_a_sentence() {
        for metric in all() {
            let help = metric.help.trim_start();
            assert!(help.ends_with('.') && !help.contains('\n'), "{}: {help}", metric.name);
            let first = help.chars().next();
            assert!(first.is_some_and(|c| c.is_uppercase() || c.is_ascii_digit()), "{help}");
        }
    }

    #[test]
    fn labels_are_known() {
        assert!(LABELS.is_sorted());
        let used: HashSet<&str> = all().flat_map(|metric| metric.labels).copied().collect();
        assert_eq!(used, LABELS.into_iter().collect());
    }
}
