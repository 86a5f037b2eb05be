//! `tidegate revision`: what decides a tenant's events, made, activated and taken back as a whole.

mod rollout;

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{Context, files};
use crate::cli::RevisionCommand;
use crate::client::{Body, path};
use crate::output::{Column, cell};

/// More than any gateway takes; it says itself what it takes.
const MAX_BYTES: u64 = 64 << 20;

pub(super) fn run(context: &Context, command: RevisionCommand) -> anyhow::Result<()> {
    match command {
        RevisionCommand::Apply { of, file, activate } => {
            let stored = apply(context, &of.tenant, &file)?;
            if activate {
                return switch(
                    context,
                    &[&of.tenant, "revisions", &cell(&stored, "/digest"), "activate"],
                    Body::Nothing,
                );
            }
            let (number, digest) = (cell(&stored, "/number"), cell(&stored, "/digest"));
            context.print.answer(&stored, || format!("revision {number} {digest}"))?;
        }
        RevisionCommand::Activate { of, revision, thresholds } => {
            let path = [&of.tenant, "revisions", &revision, "activate"];
            switch(context, &path, rollout::thresholds(&thresholds)?)?;
        }
        RevisionCommand::Rollback { of } => {
            switch(context, &[&of.tenant, "rollback"], Body::Nothing)?;
        }
        RevisionCommand::Shadow { of, revision } => {
            rollout::start(
                context,
                &[&of.tenant, "revisions", &revision, "shadow"],
                Body::Nothing,
            )?;
        }
        RevisionCommand::Canary { of, revision, percent, thresholds } => {
            let body = json!({ "percent": percent, "thresholds": thresholds });
            let path = [&of.tenant, "revisions", &revision, "canary"];
            rollout::start(context, &path, Body::Json(body))?;
        }
        RevisionCommand::Rollout { of } => rollout::show(context, &of.tenant)?,
        RevisionCommand::Stop { of, reason } => rollout::stop(context, &of.tenant, reason)?,
        RevisionCommand::Replay { of, revision, since, until, event_types, limit } => {
            let mut body = json!({ "since": since, "until": until, "event_types": event_types, "limit": limit });
            if let Some(members) = body.as_object_mut() {
                members.retain(|_, value| !value.is_null());
            }
            rollout::replay(context, &of.tenant, &revision, body)?;
        }
        RevisionCommand::Status { of } => status(context, &of.tenant)?,
        RevisionCommand::List { of } => {
            let path = path(&["tenants", &of.tenant, "revisions"]);
            let list = context.admin.get_all(&path, "revisions", ("before", "/number"))?;
            context.print.list(
                &list,
                &[
                    ("NUMBER", "/number"),
                    ("DIGEST", "/digest"),
                    ("STATE", "/state"),
                    ("CREATED", "/created_at"),
                ],
            )?;
        }
    }
    Ok(())
}

fn apply(context: &Context, tenant: &str, file: &std::path::Path) -> anyhow::Result<Value> {
    let bytes = files::read_whole(file, MAX_BYTES)?;
    let document: Value = serde_json::from_slice(&bytes)
        .with_context(|| format!("{} is not JSON", files::name(file)))?;
    context.admin.post(&path(&["tenants", tenant, "revisions"]), Body::Json(document))
}

/// Makes another revision the active one, below `/v1/tenants`.
fn switch(context: &Context, segments: &[&str], body: Body) -> anyhow::Result<()> {
    let whole: Vec<&str> = std::iter::once("tenants").chain(segments.iter().copied()).collect();
    let active = context.admin.post(&path(&whole), body)?;
    context.print.answer(&active, || {
        format!("active: revision {} {}", cell(&active, "/number"), cell(&active, "/digest"))
    })?;
    Ok(())
}

fn status(context: &Context, tenant: &str) -> anyhow::Result<()> {
    let status = context.admin.get(&path(&["tenants", tenant, "status"]))?;
    if status.pointer("/active").is_none_or(Value::is_null) {
        return Ok(context.print.answer(&status, || "no revision is active".to_owned())?);
    }
    context.print.facts_and_lists(
        &status,
        &[
            ("revision", "/active/number"),
            ("digest", "/active/digest"),
            ("since", "/active/at"),
            ("by", "/active/by"),
            ("because", "/active/reason"),
            ("candidate", "/rollout/digest"),
            ("stage", "/rollout/stage"),
            ("rollback to", "/rollback_to/number"),
            ("cannot run here", "/failing/0/detail"),
        ],
        &[("/rules", RULES), ("/nodes", NODES)],
    )?;
    Ok(())
}

/// What is told of each active rule.
const RULES: &[Column] = &[
    ("RULE", "/name"),
    ("PLUGIN", "/plugin"),
    ("VERSION", "/version"),
    ("CONTRACT", "/contract"),
    ("DIGEST", "/digest"),
];

/// What is told of each node that shares the catalog.
const NODES: &[Column] = &[
    ("NODE", "/name"),
    ("STATE", "/state"),
    ("DIGEST", "/digest"),
    ("SINCE", "/at"),
    ("LOST", "/lost"),
    ("DETAIL", "/detail"),
];
