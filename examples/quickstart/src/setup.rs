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
    let (api_key, revisions) = tenant(gateway, TENANT, ["revision-1.json", "revision-2.json"])?;
    Ok(Prepared { api_key, revisions })
}

/// Makes a tenant with key, schema and tables, and applies two revisions, the first of which is
/// active; answers the key and the revisions' digests.
///
/// # Errors
/// Where a command fails.
pub(crate) fn tenant(
    gateway: &Gateway,
    tenant: &str,
    revisions: [&str; 2],
) -> Result<(String, [String; 2])> {
    let of = ["--tenant", tenant];
    gateway.command(&["tenant", "create", tenant])?;
    let key = gateway.command(&["key", "create", of[0], of[1], "--name", "quickstart"])?;
    let schema = file("flight.schema.json");
    gateway.command(&["schema", "put", of[0], of[1], "flight", &schema])?;
    for table in data::TABLES {
        let rows = file(&format!("data/{table}.csv.gz"));
        gateway.command(&["table", "put", of[0], of[1], table, &rows])?;
    }
    let [first, second] = revisions.map(|revision| apply(gateway, tenant, &file(revision)));
    let (first, second) = (first?, second?);
    activate(gateway, tenant, &first)?;
    Ok((member(&key, "key")?, [first, second]))
}

fn file(name: &str) -> String {
    data::folder().join(name).display().to_string()
}

/// Makes a revision the one that judges events.
///
/// # Errors
/// Where the command fails.
pub(crate) fn activate(gateway: &Gateway, tenant: &str, digest: &str) -> Result<()> {
    gateway.command(&["revision", "activate", "--tenant", tenant, digest]).map(drop)
}

fn apply(gateway: &Gateway, tenant: &str, file: &str) -> Result<String> {
    member(&gateway.command(&["revision", "apply", "--tenant", tenant, file])?, "digest")
}

fn member(json: &str, name: &str) -> Result<String> {
    let value: serde_json::Value = serde_json::from_str(json)
        .with_context(|| format!("the command printed no JSON: {json}"))?;
    let member = value.get(name).map(String::deserialize);
    Ok(member.with_context(|| format!("the command's JSON has no `{name}`: {json}"))??)
}
