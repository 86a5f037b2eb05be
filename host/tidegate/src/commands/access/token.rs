//! `tidegate token`: credentials of the admin API.

use anyhow::Context as _;
use http::Method;
use serde_json::{Value, json};

use super::super::Context;
use crate::cli::TokenCommand;
use crate::client::{Body, path};
use crate::output::{cell, remark};

pub(in super::super) fn run(context: &Context, command: TokenCommand) -> anyhow::Result<()> {
    let Context { admin, print } = context;
    match command {
        TokenCommand::Create { name, scopes, tenant, expires_at } => {
            let mut wanted = json!({ "name": name, "scopes": scopes });
            for (member, value) in [("tenant", tenant), ("expires_at", expires_at)] {
                if let (Some(members), Some(value)) = (wanted.as_object_mut(), value) {
                    members.insert(member.to_owned(), value.into());
                }
            }
            let made = admin.post(&path(&["tokens"]), Body::Json(wanted))?;
            let secret = made.pointer("/token").and_then(Value::as_str);
            let secret = secret.context("the gateway's answer holds no token")?.to_owned();
            // The token alone on standard output: `tidegate token create … > token-file` keeps it.
            print.answer(&made, || secret)?;
            let id = cell(&made, "/id");
            remark(&format!("created token {id}: keep it now, it cannot be shown again"));
        }
        TokenCommand::List => {
            let list = admin.get_all(&path(&["tokens"]), "tokens", ("after", "/id"))?;
            let columns = [
                ("ID", "/id"),
                ("NAME", "/name"),
                ("TENANT", "/tenant"),
                ("SCOPES", "/scopes"),
                ("CREATED", "/created_at"),
                ("BY", "/created_by"),
                ("EXPIRES", "/expires_at"),
                ("REVOKED", "/revoked_at"),
            ];
            print.list(&list, &columns)?;
        }
        TokenCommand::Revoke { id } => {
            let answer = admin.call(Method::DELETE, &path(&["tokens", &id]), Body::Nothing)?;
            print.answer(&answer, || format!("revoked token {id}"))?;
        }
    }
    Ok(())
}
