//! Candidates: shadows, canaries, replays, and the differences that they tell.

use std::time::Duration;

use anyhow::bail;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::cli::Thresholds;
use crate::client::{Body, path};
use crate::commands::Context;
use crate::output::{cell, table};

/// How often a replay is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// A body with thresholds, where some are given.
pub(super) fn thresholds(thresholds: &Thresholds) -> anyhow::Result<Body> {
    let given = serde_json::to_value(thresholds)?;
    let none = given.as_object().is_none_or(serde_json::Map::is_empty);
    Ok(if none { Body::Nothing } else { Body::Json(json!({ "thresholds": given })) })
}

pub(super) fn start(context: &Context, segments: &[&str], body: Body) -> anyhow::Result<()> {
    let whole: Vec<&str> = std::iter::once("tenants").chain(segments.iter().copied()).collect();
    let begun = context.admin.post(&path(&whole), body)?;
    context.print.answer(&begun, || {
        let percent = cell(&begun, "/percent");
        let share = if percent.is_empty() { percent } else { format!(" of {percent} %") };
        let stage = cell(&begun, "/stage");
        format!("{stage}{share}: revision {} {}", cell(&begun, "/number"), cell(&begun, "/digest"))
    })?;
    Ok(())
}

pub(super) fn stop(context: &Context, tenant: &str, reason: Option<String>) -> anyhow::Result<()> {
    let body = reason.map_or(Body::Nothing, |reason| Body::Json(json!({ "reason": reason })));
    let ended = context.admin.post(&path(&["tenants", tenant, "rollout", "stop"]), body)?;
    let text =
        || format!("stopped: revision {} {}", cell(&ended, "/number"), cell(&ended, "/digest"));
    Ok(context.print.answer(&ended, text)?)
}

pub(super) fn show(context: &Context, tenant: &str) -> anyhow::Result<()> {
    let rollout = context.admin.get(&path(&["tenants", tenant, "rollout"]))?;
    Ok(context.print.answer(&rollout, || {
        let mut lines = vec![format!(
            "{} {} since {}: revision {} {}",
            cell(&rollout, "/stage"),
            cell(&rollout, "/percent"),
            cell(&rollout, "/at"),
            cell(&rollout, "/number"),
            cell(&rollout, "/digest")
        )];
        if let Some(counts) = rollout.pointer("/counts") {
            lines.push(counted(counts));
        }
        if let Some(diff) = rollout.pointer("/diff") {
            lines.push(difference(diff));
        }
        lines.join("\n")
    })?)
}

fn counted(counts: &Value) -> String {
    let columns = ["accepted", "quarantined", "rejected", "faulted", "p99_us"];
    let mut headings = vec!["ON THIS NODE"];
    headings.extend(columns);
    let rows = ["active", "candidate"].map(|side| {
        let numbers = columns.iter().map(|name| cell(counts, &format!("/{side}/{name}")));
        std::iter::once(side.to_owned()).chain(numbers).collect()
    });
    table(&headings, rows.into_iter())
}

/// The difference that a shadow or a replay has found, for people.
fn difference(diff: &Value) -> String {
    let mut lines = vec![format!(
        "{} of {} events compared ({} shed, {} without room); {} verdicts differ",
        cell(diff, "/compared"),
        cell(diff, "/seen"),
        cell(diff, "/shed"),
        cell(diff, "/failed"),
        cell(diff, "/flipped")
    )];
    let stood_in = cell(diff, "/stood_in");
    if !matches!(stood_in.as_str(), "" | "0") {
        lines.push(format!(
            "  {stood_in} with a rule's fall-back in its place, which is no difference"
        ));
    }
    for flip in list(diff, "/flips") {
        let [events, from, to] = ["/events", "/from", "/to"].map(|at| cell(flip, at));
        lines.push(format!("  {events} {from} -> {to}"));
    }
    for rule in list(diff, "/rules") {
        let [rule, code, new, gone] = ["/rule", "/code", "/new", "/gone"].map(|at| cell(rule, at));
        lines.push(format!("  rule {rule}, {code}: {new} new, {gone} gone"));
    }
    if let Some(Value::Object(fields)) = diff.pointer("/fields") {
        lines.extend(fields.iter().map(|(at, count)| format!("  field {at}: {count} differ")));
    }
    for sample in list(diff, "/samples") {
        let [id, from, to, fields] =
            ["/event_id", "/from", "/to", "/fields"].map(|at| cell(sample, at));
        lines.push(format!("  e.g. {id} {from} -> {to} {fields}"));
    }
    let (before, after) = (cell(diff, "/cost/before_us"), cell(diff, "/cost/candidate_us"));
    lines.push(if before.is_empty() {
        format!("  judging took {after} us")
    } else {
        format!("  judging took {after} us, {before} us before")
    });
    lines.join("\n")
}

fn list<'v>(value: &'v Value, at: &str) -> &'v [Value] {
    value.pointer(at).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Runs a replay to its end and prints what it found.
pub(super) fn replay(
    context: &Context,
    tenant: &str,
    revision: &str,
    body: Value,
) -> anyhow::Result<()> {
    let begin = path(&["tenants", tenant, "revisions", revision, "replays"]);
    let mut replay = context.admin.post(&begin, Body::Json(body))?;
    let view = path(&["tenants", tenant, "replays", &cell(&replay, "/id")]);
    let style = "{bar:40} {percent} % of the log, {msg} events";
    let bar = ProgressBar::new(1).with_style(ProgressStyle::with_template(style)?);
    while cell(&replay, "/state") == "running" {
        let number = |at: &str| replay.pointer(at).and_then(Value::as_u64).unwrap_or_default();
        bar.set_length(number("/progress/end").max(1));
        bar.set_position(number("/progress/position"));
        bar.set_message(cell(&replay, "/progress/events"));
        std::thread::sleep(LOOK);
        replay = context.admin.get(&view)?;
    }
    bar.finish_and_clear();
    if cell(&replay, "/state") == "failed" {
        bail!("the replay failed: {}", cell(&replay, "/problem/detail"));
    }
    Ok(context.print.answer(&replay, || {
        replay.pointer("/diff").map_or_else(|| cell(&replay, "/state"), difference)
    })?)
}
