//! What `tidegate post` says at its end.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_connector::{Outcome, Settled, Summary, Unsettled};
use tidegate_types::{Receipt, Status};

use crate::output::{printable, table};

/// How many events that were not taken are told apart; the rest is counted.
const MAX_REJECTIONS: usize = 10;

/// The first events that were not taken, for people to see why.
#[derive(Default)]
pub(super) struct Rejections {
    first: Vec<(u64, String)>,
    others: u64,
}

impl Rejections {
    pub(super) fn note(&mut self, settled: &Settled) {
        if matches!(&settled.outcome, Outcome::Receipt(receipt) if receipt.status.is_taken()) {
            return;
        }
        if self.first.len() < MAX_REJECTIONS {
            self.first.push((settled.index, reason(&settled.outcome)));
        } else {
            self.others += 1;
        }
    }

    /// A line each, in the order of the input.
    pub(super) fn lines(mut self) -> Vec<String> {
        self.first.sort();
        let lines = self.first.iter();
        let mut lines: Vec<_> =
            lines.map(|(index, why)| format!("event {}: {}", index + 1, printable(why))).collect();
        if self.others > 0 {
            lines.push(format!("and {} more that were not taken", self.others));
        }
        lines
    }
}

fn reason(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Receipt(receipt) => why(receipt),
        Outcome::Refused(problem) => format!("cannot be sent: {problem}"),
        Outcome::Unsettled(Unsettled::GaveUp(why)) => format!("unsettled: {why}"),
        Outcome::Unsettled(Unsettled::Stopped) => {
            "unsettled: stopped before its answer came".to_owned()
        }
    }
}

fn why(receipt: &Receipt) -> String {
    let mut text = receipt.status.as_str().to_owned();
    if receipt.status == Status::Conflict {
        text.push_str(": its key came before with another payload");
    }
    for finding in &receipt.findings {
        text.push_str(&format!("; {}/{}", finding.rule, finding.code));
        if let Some(pointer) = &finding.pointer {
            text.push_str(&format!(" at {pointer}"));
        }
        if !finding.detail.is_empty() {
            text.push_str(&format!(": {}", finding.detail));
        }
    }
    text
}

pub(super) fn json(summary: &Summary) -> Value {
    let statuses: serde_json::Map<_, _> = Status::ALL
        .into_iter()
        .filter(|status| *status != Status::Retry)
        .map(|status| (status.as_str().to_owned(), summary.status(status).into()))
        .collect();
    let findings: Vec<_> = summary
        .findings
        .iter()
        .map(|((rule, code), count)| json!({ "rule": rule, "code": code, "count": count }))
        .collect();
    json!({
        "events": summary.events,
        "statuses": statuses,
        "refused": summary.refused,
        "unsettled": summary.unsettled,
        "findings": findings,
        "other_findings": summary.other_findings,
        "requests": summary.requests,
        "retries": summary.retries,
        "bytes": summary.bytes,
        "seconds": summary.elapsed.as_secs_f64(),
        "events_per_second": summary.events_per_second(),
        "ack_ms": { "p50": millis(summary.ack_quantile(0.5)), "p99": millis(summary.ack_quantile(0.99)) },
        "stopped": summary.stopped.as_ref().map(ToString::to_string),
    })
}

pub(super) fn text(summary: &Summary) -> String {
    let mut facts = vec![("events".to_owned(), summary.events.to_string())];
    for status in Status::ALL {
        if summary.status(status) > 0 {
            facts.push((status.as_str().to_owned(), summary.status(status).to_string()));
        }
    }
    for (name, count) in [("cannot be sent", summary.refused), ("unsettled", summary.unsettled)] {
        if count > 0 {
            facts.push((name.to_owned(), count.to_string()));
        }
    }
    let seconds = summary.elapsed.as_secs_f64();
    let rate = summary.events_per_second();
    facts.push(("took".to_owned(), format!("{seconds:.2} s, {rate:.0} events/s")));
    let (p50, p99) = (millis(summary.ack_quantile(0.5)), millis(summary.ack_quantile(0.99)));
    facts.push(("acknowledged".to_owned(), format!("p50 {p50:.1} ms, p99 {p99:.1} ms")));
    let (requests, retries) = (summary.requests, summary.retries);
    facts.push(("requests".to_owned(), format!("{requests}, {retries} of them retries")));

    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let facts = facts.iter().map(|(name, value)| format!("{name:width$}  {value}"));
    let mut text = facts.collect::<Vec<_>>().join("\n");
    if !summary.findings.is_empty() {
        let rows = summary.findings.iter().map(|((rule, code), count)| {
            vec![rule.to_string(), printable(code), count.to_string()]
        });
        text.push_str("\n\n");
        text.push_str(&table(&["RULE", "FINDING", "COUNT"], rows));
    }
    if summary.other_findings > 0 {
        text.push_str(&format!("\nand {} findings of other kinds", summary.other_findings));
    }
    text
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
