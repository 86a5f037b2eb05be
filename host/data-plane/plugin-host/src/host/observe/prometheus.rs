//! The text that Prometheus reads. Labels are bounded: rules beyond the number of series that was
//! asked for, the newest, are summed up under `other`, so that no tenant can make the monitoring
//! of all others fail.

use std::fmt::Display;

use tidegate_types::TenantId;

use super::{Histogram, RuleObservation, Totals};

/// Series of a rule beside those of its codes and counters.
const FIXED_SERIES: usize = 40;

type Value = fn(&Totals) -> u64;

/// Metrics of one value for each rule: name, kind, help.
const SINGLE: [(&str, &str, &str, Value); 9] = [
    ("calls_total", "counter", "Calls of the rule.", |t| t.calls),
    ("events_total", "counter", "Events given to the rule, again at each try.", |t| t.rows),
    ("refused_events_total", "counter", "Events not judged: breaker open.", |t| t.refused_rows),
    ("memory_peak_bytes", "gauge", "The most that one instance held.", |t| t.memory_peak_bytes),
    ("instance_starts_total", "counter", "Instances started for calls.", |t| t.starts),
    ("log_lines_total", "counter", "Log lines kept.", |t| t.log_lines),
    ("log_lines_dropped_total", "counter", "Log lines dropped.", |t| t.log_lines_dropped),
    ("warm_instances", "gauge", "Instances of the component that wait.", |t| t.warm_instances),
    ("breakers_open", "gauge", "Open breakers of the component.", |t| t.breakers_open),
];

/// Renders at most about `most_series` series.
pub(crate) fn render(
    rules: &[RuleObservation],
    retired: &Totals,
    held_up: &[(TenantId, u64)],
    most_series: usize,
) -> String {
    let mut left = most_series.saturating_sub(FIXED_SERIES);
    let mut series: Vec<(String, &Totals)> = Vec::new();
    let mut other = retired.clone();
    for rule in rules {
        let takes = FIXED_SERIES + rule.totals.codes.len() + rule.totals.counters.len();
        match left.checked_sub(takes) {
            Some(rest) => {
                left = rest;
                series.push((labels(rule), &rule.totals));
            }
            None => {
                left = 0;
                other.add(&rule.totals);
            }
        }
    }
    if other != Totals::default() {
        let name = "other";
        let labels =
            format!("tenant=\"{name}\",plugin=\"{name}\",rule=\"{name}\",digest=\"{name}\"");
        series.push((labels, &other));
    }
    let mut out = String::new();
    for (name, kind, help, value) in SINGLE {
        header(&mut out, name, kind, help);
        for (labels, totals) in &series {
            line(&mut out, name, labels, value(totals));
        }
    }
    let by_name = [
        ("findings_total", "severity", "Findings by severity."),
        ("codes_total", "code", "Findings by code."),
        ("faults_total", "kind", "Faulted calls by kind."),
        ("counter_total", "metric", "What the rule itself counted."),
    ];
    for (name, label, help) in by_name {
        header(&mut out, name, "counter", help);
        for (labels, totals) in &series {
            let counts = match label {
                "severity" => &totals.findings,
                "code" => &totals.codes,
                "kind" => &totals.faults,
                _ => &totals.counters,
            };
            for (value, count) in counts {
                line(&mut out, name, &format!("{labels},{label}=\"{}\"", escaped(value)), *count);
            }
        }
    }
    header(&mut out, "cpu_seconds", "histogram", "CPU time of calls, short ones sampled.");
    series.iter().for_each(|(labels, t)| histogram(&mut out, "cpu_seconds", labels, &t.cpu));
    header(&mut out, "queue_wait_seconds", "histogram", "How long calls waited for a turn.");
    for (labels, totals) in &series {
        histogram(&mut out, "queue_wait_seconds", labels, &totals.queue_wait);
    }
    let name = "tenant_held_up_total";
    header(&mut out, name, "counter", "Calls not run: the tenant is over its share of CPU time.");
    let (apart, rest) = held_up.split_at(held_up.len().min(most_series));
    for (tenant, count) in apart {
        line(&mut out, name, &format!("tenant=\"{}\"", escaped(tenant.as_str())), *count);
    }
    if !rest.is_empty() {
        line(&mut out, name, "tenant=\"other\"", rest.iter().map(|(_, count)| count).sum::<u64>());
    }
    out
}

fn labels(rule: &RuleObservation) -> String {
    format!(
        "tenant=\"{}\",plugin=\"{}\",rule=\"{}\",digest=\"{}\"",
        escaped(rule.tenant.as_str()),
        escaped(&rule.plugin),
        escaped(rule.rule.as_str()),
        rule.component
    )
}

/// A component chooses its own name, so it may hold anything.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

fn header(out: &mut String, name: &str, kind: &str, help: &str) {
    out.push_str(&format!("# HELP tidegate_plugin_{name} {help}\n"));
    out.push_str(&format!("# TYPE tidegate_plugin_{name} {kind}\n"));
}

fn line(out: &mut String, name: &str, labels: &str, value: impl Display) {
    out.push_str(&format!("tidegate_plugin_{name}{{{labels}}} {value}\n"));
}

fn histogram(out: &mut String, name: &str, labels: &str, of: &Histogram) {
    let mut sum = 0;
    let bounds = of.bounds_micros.iter().map(|bound| (*bound as f64 / 1e6).to_string());
    for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(&of.counts) {
        sum += count;
        line(out, &format!("{name}_bucket"), &format!("{labels},le=\"{bound}\""), sum);
    }
    line(out, &format!("{name}_sum"), labels, of.seconds);
    line(out, &format!("{name}_count"), labels, sum);
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use tidegate_types::{Digest, RuleName};

    use super::*;

    fn rule(number: u64, plugin: &str) -> RuleObservation {
        let mut totals = Totals { calls: number, ..Totals::default() };
        totals.codes.insert("late".into(), 2 * number);
        totals.cpu.counts = vec![1, 2, 0, 0, 0, 0, 0, 0, 4];
        totals.cpu.seconds = 1.5;
        RuleObservation {
            tenant: TenantId::new("acme").expect("name"),
            component: Digest::of(&number.to_le_bytes()),
            rule: RuleName::new("checks").expect("name"),
            plugin: plugin.into(),
            totals,
        }
    }

    #[test]
    fn a_name_cannot_break_out_of_its_label() {
        let text = render(&[rule(7, "a\"} 1\nb\\")], &Totals::default(), &[], 1000);
        let line = text.lines().find(|line| line.starts_with("tidegate_plugin_calls_total{"));
        let digest = Digest::of(&7u64.to_le_bytes());
        let expected = format!(
            "tidegate_plugin_calls_total{{tenant=\"acme\",plugin=\"a\\\"}} 1\\nb\\\\\",rule=\"checks\",digest=\"{digest}\"}} 7"
        );
        assert_eq!(line, Some(expected.as_str()));
    }

    #[test]
    fn buckets_are_summed_up() {
        let text = render(&[rule(7, "p")], &Totals::default(), &[], 1000);
        let values: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("tidegate_plugin_cpu_seconds"))
            .filter_map(|line| line.rsplit(' ').next())
            .collect();
        assert_eq!(values, ["1", "3", "3", "3", "3", "3", "3", "3", "7", "1.5", "7"]);
    }

    /// However many rules there are, the series are bounded, nothing is lost, and none comes twice.
    #[test]
    fn what_is_beyond_the_bound_is_summed_up() {
        let rules: Vec<_> = (1..=100).map(|number| rule(number, "p")).collect();
        let retired = Totals { calls: 1000, ..Totals::default() };
        for most in [0, 100, 1000, 100_000] {
            let text = render(&rules, &retired, &[], most);
            let series: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
            assert!(series.len() <= most.max(2 * FIXED_SERIES), "{} of {most}", series.len());
            let names: HashSet<&str> =
                series.iter().filter_map(|line| Some(line.rsplit_once(' ')?.0)).collect();
            assert_eq!(names.len(), series.len());
            for (metric, sum) in [("calls_total", 5050 + 1000), ("codes_total", 2 * 5050)] {
                let of = format!("tidegate_plugin_{metric}{{");
                let values = series.iter().filter(|line| line.starts_with(&of));
                let values = values.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
                assert_eq!(values.sum::<u64>(), sum, "{metric} of {most}");
            }
        }
    }
}
