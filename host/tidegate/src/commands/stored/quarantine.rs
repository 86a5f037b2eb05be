//! `tidegate quarantine`: events that rules hold are found, shown, released and discarded.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use http::Method;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::cli::{Held, HeldFilter, QuarantineCommand};
use crate::client::{Body, encode, path};
use crate::commands::{Context, files};
use crate::output::{Column, cell, remark};

/// How often a job is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// More than the gateway takes.
const MAX_PATCH_BYTES: u64 = 4 << 20;
/// The most events that the gateway gives at once.
const PAGE: usize = 1000;

const JOB: [Column; 10] = [
    ("ID", "/id"),
    ("NODE", "/node"),
    ("ACTION", "/action"),
    ("STATE", "/state"),
    ("RELEASED", "/released"),
    ("DISCARDED", "/discarded"),
    ("HELD AGAIN", "/held_again"),
    ("FAILED", "/failed"),
    ("BY", "/by"),
    ("BEGUN", "/at"),
];

pub(in crate::commands) fn run(
    context: &Context,
    command: QuarantineCommand,
) -> anyhow::Result<()> {
    match command {
        QuarantineCommand::List { of, filter, limit } => list(context, &of.tenant, &filter, limit),
        QuarantineCommand::Groups { of, by, filter } => {
            let query = query(&filter)?;
            let path = below(&of.tenant, &["groups"]);
            let counts = context.admin.get(&format!("{path}?by={}{query}", encode(&by)))?;
            Ok(context.print.list(&counts, &[("EVENTS", "/events"), ("GROUP", "/group")])?)
        }
        QuarantineCommand::Show { of, event_id } => {
            let event = context.admin.get(&below(&of.tenant, &[&event_id]))?;
            Ok(context.print.answer(&event, || shown(&event))?)
        }
        QuarantineCommand::Release { of, held, reason, patch, force } => {
            let mut body = json!({ "reason": reason.unwrap_or_default(), "force": force });
            if let (Some(file), Some(members)) = (patch, body.as_object_mut()) {
                members.insert("patch".to_owned(), patch_in(&file)?);
            }
            settle(context, &of.tenant, held, "release", body)
        }
        QuarantineCommand::Discard { of, held, reason } => {
            settle(context, &of.tenant, held, "discard", json!({ "reason": reason }))
        }
        QuarantineCommand::Jobs { of } => {
            let path = below(&of.tenant, &["jobs"]);
            let jobs = context.admin.get_all(&path, "jobs", ("before", "/id"))?;
            Ok(context.print.list(&jobs, &JOB)?)
        }
        QuarantineCommand::Follow { of, job } => {
            let path = below(&of.tenant, &["jobs", &job.to_string()]);
            let job = context.admin.get(&path)?;
            follow(context, &of.tenant, job)
        }
        QuarantineCommand::Cancel { of, job } => {
            let path = below(&of.tenant, &["jobs", &job.to_string()]);
            let job = context.admin.call(Method::DELETE, &path, Body::Nothing)?;
            Ok(context.print.one(&job, &JOB)?)
        }
    }
}

fn below(tenant: &str, rest: &[&str]) -> String {
    let whole: Vec<&str> =
        ["tenants", tenant, "quarantine"].into_iter().chain(rest.iter().copied()).collect();
    path(&whole)
}

/// A filter as the end of a query.
fn query(filter: &HeldFilter) -> anyhow::Result<String> {
    let Value::Object(members) = serde_json::to_value(filter)? else { return Ok(String::new()) };
    let parts = members
        .iter()
        .map(|(name, value)| format!("&{name}={}", encode(value.as_str().unwrap_or_default())));
    Ok(parts.collect())
}

fn list(context: &Context, tenant: &str, filter: &HeldFilter, limit: usize) -> anyhow::Result<()> {
    let (query, path) = (query(filter)?, below(tenant, &[]));
    let (mut all, mut after) = (Vec::new(), String::new());
    while all.len() < limit {
        let wanted = (limit - all.len()).min(PAGE);
        let mut page = context.admin.get(&format!("{path}?limit={wanted}{after}{query}"))?;
        let events = page.get_mut("events").and_then(Value::as_array_mut);
        all.append(events.context("the gateway's answer holds no events")?);
        let next = cell(&page, "/next");
        if next.is_empty() {
            break;
        }
        after = format!("&after={}", encode(&next));
    }
    let columns = [
        ("EVENT", "/event_id"),
        ("RECEIVED", "/received_at"),
        ("TYPE", "/event_type"),
        ("RULE", "/findings/0/rule"),
        ("CODE", "/findings/0/code"),
        ("FIELD", "/findings/0/pointer"),
    ];
    Ok(context.print.list(&json!({ "events": all }), &columns)?)
}

fn shown(event: &Value) -> String {
    let mut lines = vec![
        format!(
            "{} {}, {}",
            cell(event, "/event_id"),
            cell(event, "/event_type"),
            cell(event, "/state")
        ),
        format!(
            "received {}, judged by revision {}",
            cell(event, "/received_at"),
            cell(event, "/revision")
        ),
    ];
    let findings = event.pointer("/findings").and_then(Value::as_array);
    for finding in findings.into_iter().flatten() {
        let [severity, rule, code, pointer, detail] =
            ["/severity", "/rule", "/code", "/pointer", "/detail"].map(|at| cell(finding, at));
        lines.push(format!("  {severity}: {rule} {code} {pointer} {detail}").trim_end().to_owned());
    }
    lines.push(cell(event, "/original"));
    if let Some(settlement) = event.pointer("/settlement").filter(|it| !it.is_null()) {
        lines.push(decided(settlement));
    }
    if event.get("mended").is_some() {
        lines.push(format!("released as {}", cell(event, "/mended")));
    }
    lines.join("\n")
}

fn decided(settlement: &Value) -> String {
    let [action, by, at, reason] =
        ["/action", "/by", "/at", "/reason"].map(|at| cell(settlement, at));
    let because = if reason.is_empty() { reason } else { format!(": {reason}") };
    format!("{action} by {by} at {at}{because}")
}

fn patch_in(file: &Path) -> anyhow::Result<Value> {
    let bytes = files::read_whole(file, MAX_PATCH_BYTES)?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is not JSON", files::name(file)))
}

fn settle(
    context: &Context,
    tenant: &str,
    held: Held,
    action: &str,
    mut body: Value,
) -> anyhow::Result<()> {
    let Some(event_id) = held.event_id else {
        let job = json!({ "action": action, "filter": held.filter, "rate": held.rate });
        if let (Some(members), Value::Object(job)) = (body.as_object_mut(), job) {
            members.extend(job);
            members
                .retain(|name, value| !value.is_null() && (action == "release" || name != "force"));
        }
        let job = context.admin.post(&below(tenant, &["jobs"]), Body::Json(body))?;
        let id = cell(&job, "/id");
        remark(&format!(
            "job {id} goes on when this command ends: `tidegate quarantine follow --tenant {tenant} {id}`"
        ));
        return follow(context, tenant, job);
    };
    let settled = context.admin.post(&below(tenant, &[&event_id, action]), Body::Json(body))?;
    Ok(context.print.answer(&settled, || decided(&settled))?)
}

/// Looks at a job until it has ended.
fn follow(context: &Context, tenant: &str, mut job: Value) -> anyhow::Result<()> {
    let view = below(tenant, &["jobs", &cell(&job, "/id")]);
    let style = "{bar:40} {percent} % of the log, {msg}";
    let bar = ProgressBar::new(1).with_style(ProgressStyle::with_template(style)?);
    while cell(&job, "/state") == "running" {
        let number = |at: &str| job.pointer(at).and_then(Value::as_u64).unwrap_or_default();
        bar.set_length(number("/progress/end").max(1));
        bar.set_position(number("/progress/position"));
        bar.set_message(counted(&job));
        std::thread::sleep(LOOK);
        job = context.admin.get(&view)?;
    }
    bar.finish_and_clear();
    let state = cell(&job, "/state");
    context.print.answer(&job, || format!("{state}: {}", counted(&job)))?;
    if state == "failed" {
        bail!("the job failed: {}", cell(&job, "/detail"));
    }
    Ok(())
}

fn counted(job: &Value) -> String {
    let [released, discarded, held_again, failed] =
        ["/released", "/discarded", "/held_again", "/failed"].map(|at| cell(job, at));
    format!("{released} released, {discarded} discarded, {held_again} held again, {failed} failed")
}
