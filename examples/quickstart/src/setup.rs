//! Sets the tenant up with the gateway's command line and the files of this folder; the README tells
//! the same steps for a person.

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::data;
use crate::gateway::Gateway;

pub(crate) const TENANT: &str = "nyc";

/// What the rest of the quickstart needs of the set-up.
pub(crate) struct Prepared {
    pub(crate) api_key: String,
    /// Digests of the revisions: the first is active, the second only applied.
    pub(crate) revisions: [String; 2],
}

/// # Errors
/// Where a command fails.
pub(crate) fn prepare(gateway: &Gateway) -> Result<Prepared> {
    let file = |name: &str| data::folder().join(name).display().to_string();
    gateway.command(&["tenant", "create", TENANT])?;
    let key = gateway.command(&["key", "create", "--tenant", TENANT, "--name", "quickstart"])?;
    gateway.command(&[
        "schema",
        "put",
        "--tenant",
        TENANT,
        "flight",
        &file("flight.schema.json"),
    ])?;
    for table in data::TABLES {
        let rows = file(&format!("data/{table}.csv.gz"));
        gateway.command(&["table", "put", "--tenant", TENANT, table, &rows])?;
    }
    let first = apply(gateway, &file("revision-1.json"))?;
    activate(gateway, &first)?;
    let second = apply(gateway, &file("revision-2.json"))?;
    Ok(Prepared { api_key: member(&key, "key")?, revisions: [first, second] })
}

/// Makes a revision the one that judges events.
///
/// # Errors
/// Where the command fails.
pub(crate) fn activate(gateway: &Gateway, digest: &str) -> Result<()> {
    gateway.command(&["revision", "activate", "--tenant", TENANT, digest]).map(drop)
}

fn apply(gateway: &Gateway, file: &str) -> Result<String> {
    member(&gateway.command(&["revision", "apply", "--tenant", TENANT, file])?, "digest")
}

fn member(json: &str, name: &str) -> Result<String> {
    let value: serde_json::Value = serde_json::from_str(json)
        .with_context(|| format!("the command printed no JSON: {json}"))?;
    let member = value.get(name).map(String::deserialize);
    Ok(member.with_context(|| format!("the command's JSON has no `{name}`: {json}"))??)
}
