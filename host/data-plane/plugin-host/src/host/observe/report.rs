//! What metrics tell of rules. Labels are bounded: rules beyond the number of series that was asked for,
//! the newest, are summed up under `other`, so that no tenant can make the monitoring of all others fail.

use tidegate_telemetry::metrics::rules as metrics;
use tidegate_telemetry::{Distribution, Metric, Page};
use tidegate_types::TenantId;

use super::{Histogram, RuleObservation, Totals};

/// Series of a rule beside those of its codes and counters.
const FIXED_SERIES: usize = 40;
const OTHER: &str = "other";

type Value = fn(&Totals) -> u64;

/// Metrics of one value for each rule.
const SINGLE: [(&Metric, Value); 9] = [
    (&metrics::CALLS, |t| t.calls),
    (&metrics::EVENTS, |t| t.rows),
    (&metrics::REFUSED_EVENTS, |t| t.refused_rows),
    (&metrics::MEMORY_PEAK, |t| t.memory_peak_bytes),
    (&metrics::STARTS, |t| t.starts),
    (&metrics::LOG_LINES, |t| t.log_lines),
    (&metrics::LOG_LINES_DROPPED, |t| t.log_lines_dropped),
    (&metrics::WARM_INSTANCES, |t| t.warm_instances),
    (&metrics::BREAKERS_OPEN, |t| t.breakers_open),
];

/// The values of the labels of a rule.
type Labels = [String; 4];

/// Tells at most about `most_series` series.
pub(crate) fn report(
    rules: &[RuleObservation],
    retired: &Totals,
    held_up: &[(TenantId, u64)],
    most_series: usize,
    page: &mut Page,
) {
    let mut left = most_series.saturating_sub(FIXED_SERIES);
    let mut other = retired.clone();
    for rule in rules {
        let takes = FIXED_SERIES + rule.totals.codes.len() + rule.totals.counters.len();
        match left.checked_sub(takes) {
            Some(rest) => {
                left = rest;
                one(&labels(rule), &rule.totals, page);
            }
            None => {
                left = 0;
                other.add(&rule.totals);
            }
        }
    }
    if other != Totals::default() {
        one(&[OTHER; 4].map(str::to_owned), &other, page);
    }
    let (apart, rest) = held_up.split_at(held_up.len().min(most_series));
    for (tenant, count) in apart {
        page.put(&metrics::HELD_UP, &[tenant.as_str()], *count);
    }
    if !rest.is_empty() {
        let count: u64 = rest.iter().map(|(_, count)| count).sum();
        page.put(&metrics::HELD_UP, &[OTHER], count);
    }
}

fn labels(rule: &RuleObservation) -> Labels {
    [
        rule.tenant.as_str().to_owned(),
        rule.plugin.clone(),
        rule.rule.as_str().to_owned(),
        rule.component.to_string(),
    ]
}

/// One rule, or all that are summed up.
fn one(labels: &Labels, totals: &Totals, page: &mut Page) {
    let [tenant, plugin, rule, digest] = labels.each_ref().map(String::as_str);
    let fixed = [tenant, plugin, rule, digest];
    for (metric, value) in SINGLE {
        page.put(metric, &fixed, value(totals));
    }
    for (metric, counts) in [
        (&metrics::FINDINGS, &totals.findings),
        (&metrics::CODES, &totals.codes),
        (&metrics::FAULTS, &totals.faults),
        (&metrics::COUNTERS, &totals.counters),
    ] {
        for (value, count) in counts {
            page.put(metric, &[tenant, plugin, rule, digest, value], *count);
        }
    }
    page.put(&metrics::CPU, &fixed, distribution(&totals.cpu));
    page.put(&metrics::QUEUE_WAIT, &fixed, distribution(&totals.queue_wait));
}

fn distribution(of: &Histogram) -> Distribution {
    Distribution::of_micros(of.bounds_micros, of.counts.clone(), of.seconds)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use tidegate_telemetry::Format;
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

    fn text(rules: &[RuleObservation], retired: &Totals, most_series: usize) -> String {
        let mut page = Page::default();
        report(rules, retired, &[], most_series, &mut page);
        page.text(Format::Prometheus)
    }

    #[test]
    fn a_name_cannot_break_out_of_its_label() {
        let text = text(&[rule(7, "a\"} 1\nb\\")], &Totals::default(), 1000);
        let line = text.lines().find(|line| line.starts_with("tidegate_plugin_calls_total{"));
        let digest = Digest::of(&7u64.to_le_bytes());
        let expected = format!(
            "tidegate_plugin_calls_total{{tenant=\"acme\",plugin=\"a\\\"}} 1\\nb\\\\\",rule=\"checks\",digest=\"{digest}\"}} 7"
        );
        assert_eq!(line, Some(expected.as_str()));
    }

    #[test]
    fn buckets_are_summed_up() {
        let text = text(&[rule(7, "p")], &Totals::default(), 1000);
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
            let text = text(&rules, &retired, most);
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
