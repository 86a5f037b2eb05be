//! `tidegate revision`: what decides a tenant's events, made, activated and taken back as a whole.

use anyhow::Context as _;
use serde_json::Value;

use super::{Context, files};
use crate::cli::RevisionCommand;
use crate::client::{Body, path};
use crate::output::cell;

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
                );
            }
            let (number, digest) = (cell(&stored, "/number"), cell(&stored, "/digest"));
            context.print.answer(&stored, || format!("revision {number} {digest}"))?;
        }
        RevisionCommand::Activate { of, revision } => {
            switch(context, &[&of.tenant, "revisions", &revision, "activate"])?;
        }
        RevisionCommand::Rollback { of } => switch(context, &[&of.tenant, "rollback"])?,
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
fn switch(context: &Context, segments: &[&str]) -> anyhow::Result<()> {
    let whole: Vec<&str> = std::iter::once("tenants").chain(segments.iter().copied()).collect();
    let active = context.admin.post(&path(&whole), Body::Nothing)?;
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
    context.print.one(
        &status,
        &[
            ("revision", "/active/number"),
            ("digest", "/active/digest"),
            ("since", "/active/at"),
            ("by", "/active/by"),
            ("rollback to", "/rollback_to/number"),
        ],
    )?;
    Ok(())
}
