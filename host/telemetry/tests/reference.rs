//! The reference of metrics is as the declarations are, and what is deployed uses nothing else.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a failed step of a test is a panic"
)]

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use tidegate_telemetry::{Kind, Metric, metrics};

const INTRODUCTION: &str = "\
# Metrics

Made from the declarations of `tidegate-telemetry`; change those, not this.

`GET /metrics` at `telemetry.metrics_address` (default `127.0.0.1:8082`) tells all of them, in Prometheus's
text format, or in OpenMetrics with exemplars where `Accept` asks for that; the admin API has the same page
behind its token. Counters and histograms count from the start of the process. What a node does not have (a
Redis, a sink of this kind) it does not tell.

| metric | kind | labels | meaning |
|---|---|---|---|
";

fn reference() -> String {
    let mut out = INTRODUCTION.to_owned();
    for metric in metrics::all() {
        let Metric { name, kind, help, labels } = metric;
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        let (kind, labels, help) = (kind.as_str(), labels.join(", "), help.trim_start());
        writeln!(out, "| `{name}` | {kind} | {labels} | {help} |").unwrap();
    }
    out
}

/// UPDATE_REFERENCE=1 writes it.
#[test]
fn the_reference_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("reference.md");
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::write(&path, reference()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == reference(),
        "run this test with UPDATE_REFERENCE=1 and commit reference.md"
    );
}

/// Every name that begins as ours do.
fn names_in(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
    text.split(|c| !is_part(c))
        .filter(|word| {
            ["tidegate_", "http_server_", "process_"].iter().any(|it| word.starts_with(it))
        })
        .map(str::to_owned)
        .collect()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|end| end == "yml" || end == "json") {
            found.push(path);
        }
    }
}

/// Alert rules and dashboards that name a metric which is not there would be silent for ever.
#[test]
fn rules_and_dashboards_name_metrics_that_are_there() {
    let declared: HashMap<&str, Kind> =
        metrics::all().map(|metric| (metric.name, metric.kind)).collect();
    let is_declared = |name: &str| {
        let of_histogram = ["_bucket", "_sum", "_count"].iter().any(|end| {
            let metric = name.strip_suffix(end).and_then(|metric| declared.get(metric));
            metric == Some(&Kind::Histogram)
        });
        of_histogram || declared.get(name).is_some_and(|kind| *kind != Kind::Histogram)
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/deploy");
    let mut found = Vec::new();
    for part in ["prometheus", "grafana"] {
        files(&folder.join(part), &mut found);
    }
    assert!(found.len() >= 5, "{found:?}");
    let mut used = BTreeSet::new();
    for path in found {
        for name in names_in(&std::fs::read_to_string(&path).unwrap()) {
            // Labels and recorded metrics have names of their own.
            let is_label = metrics::LABELS.contains(&name.as_str());
            assert!(is_label || is_declared(&name), "{}: {name}", path.display());
            used.insert(name);
        }
    }
    assert!(used.len() > 40, "{used:?}");
}
