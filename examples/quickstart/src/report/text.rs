//! The result in words, and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::Count;
use crate::data::expected::ADDED_RULE;
use crate::feed::{AGAIN, Times};
use crate::ledger::Ledger;

/// What was measured while posting.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// Over the first half, when nothing else happens.
    pub(crate) events_per_second: f64,
    /// From sending a request to its answer, per receipt, over those before the kill.
    pub(crate) ack_p50: Duration,
    pub(crate) ack_p99: Duration,
    pub(crate) times: Times,
}

/// The summary for people.
pub(crate) fn summary(
    count: &Count,
    ledger: &Ledger,
    run: &Run,
    revisions: &[String; 2],
    storage: &Path,
) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    write_summary(&mut out, count, ledger, run, revisions, storage).ok();
    out
}

fn write_summary(
    out: &mut String,
    count: &Count,
    ledger: &Ledger,
    run: &Run,
    revisions: &[String; 2],
    storage: &Path,
) -> std::fmt::Result {
    let unanswered = ledger.duplicate.saturating_sub(AGAIN);
    writeln!(out, "\nPosted {} events, {AGAIN} of them a second time.", thousands(count.posted))?;
    writeln!(out, "\nReceipts ({} in all)", thousands(ledger.receipts))?;
    let fresh = ledger.receipts - ledger.duplicate - ledger.rejected;
    row(out, "accepted or quarantined", fresh, "")?;
    let note = format!("{AGAIN} posted again, {unanswered} durable before the kill but unanswered");
    row(out, "duplicate", ledger.duplicate, &note)?;
    row(out, "rejected", ledger.rejected, "")?;
    writeln!(
        out,
        "\nStored, counted from {} Parquet files ({} KiB)",
        count.files.count,
        count.files.bytes / 1024
    )?;
    row(out, "accepted", count.accepted, "")?;
    row(out, "quarantined", count.quarantined, "held by a rule, with its findings")?;
    row(out, "lost", count.lost, "")?;
    row(out, "stored twice", count.stored_twice, "")?;
    writeln!(out, "\nFindings by rule")?;
    for (rule, found) in &count.findings {
        let note = if rule == ADDED_RULE { "the rule that revision 2 adds" } else { "" };
        row(out, rule, *found, note)?;
    }
    writeln!(out, "\nEvents by the revision that judged them")?;
    for (name, digest) in ["revision 1", "revision 2"].iter().zip(revisions) {
        row(out, name, count.revisions.get(digest).copied().unwrap_or_default(), digest)?;
    }
    let Times { swap, restart, .. } = run.times;
    writeln!(out, "\nSpeed, with the poster and this count on the same machine")?;
    writeln!(
        out,
        "  {} events/s over the first half, 8 connections, batches of 100",
        thousands(run.events_per_second as u64)
    )?;
    writeln!(
        out,
        "  acknowledged (durable) within {:.1} ms p50, {:.1} ms p99, before the kill",
        millis(run.ack_p50),
        millis(run.ack_p99)
    )?;
    writeln!(
        out,
        "  revision 2 active after {:.0} ms, {} receipts meanwhile",
        millis(swap),
        thousands(ledger.during_swap)
    )?;
    writeln!(out, "  killed with SIGKILL, taking events again after {:.0} ms", millis(restart))?;
    writeln!(out, "\nThe Parquet files are in {}", storage.display())?;
    writeln!(out, "A query for them (DuckDB):\n{}", query(storage))
}

/// A query that a reader can paste: which carriers' events are held, and why.
fn query(storage: &Path) -> String {
    let quarantine = storage.join("quarantine/**/*.parquet");
    let quarantine = quarantine.display().to_string().replace('\'', "''");
    format!(
        "  SELECT event.carrier, finding.rule, count(*) AS events\n  \
           FROM (SELECT event, unnest(findings) AS finding\n        \
                 FROM read_parquet('{quarantine}', hive_partitioning = true))\n  \
           GROUP BY ALL ORDER BY events DESC LIMIT 10;\n"
    )
}

/// The last line, its members in this order.
#[derive(Serialize)]
struct Line<'a> {
    posted: u64,
    accepted: u64,
    quarantined: u64,
    duplicate: u64,
    rejected: u64,
    lost: u64,
    stored: u64,
    stored_twice: u64,
    findings: &'a BTreeMap<String, u64>,
    revisions: &'a BTreeMap<String, u64>,
    kills: u64,
    events_per_second: u64,
    ack_ms: AckMillis,
}

#[derive(Serialize)]
struct AckMillis {
    p50: f64,
    p99: f64,
}

/// The last line.
pub(crate) fn json(count: &Count, ledger: &Ledger, run: &Run) -> serde_json::Result<String> {
    let rounded = |ack: Duration| (millis(ack) * 1000.0).round() / 1000.0;
    serde_json::to_string(&Line {
        posted: count.posted,
        accepted: count.accepted,
        quarantined: count.quarantined,
        duplicate: ledger.duplicate,
        rejected: ledger.rejected,
        lost: count.lost,
        stored: count.stored(),
        stored_twice: count.stored_twice,
        findings: &count.findings,
        revisions: &count.revisions,
        kills: run.times.kills,
        events_per_second: run.events_per_second as u64,
        ack_ms: AckMillis { p50: rounded(run.ack_p50), p99: rounded(run.ack_p99) },
    })
}

fn row(out: &mut String, label: &str, value: u64, note: &str) -> std::fmt::Result {
    let line = format!("  {label:<24} {:>9}  {note}", thousands(value));
    writeln!(out, "{}", line.trim_end())
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// `27,004`.
fn thousands(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_threes() {
        for (value, text) in
            [(0, "0"), (999, "999"), (1000, "1,000"), (27_004, "27,004"), (1_336_776, "1,336,776")]
        {
            assert_eq!(thousands(value), text);
        }
    }
}
