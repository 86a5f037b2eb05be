//! `tidegate key`: the credentials of a tenant's producers.

mod import;

use anyhow::Context as _;
use http::Method;
use serde_json::{Map, Value, json};

use super::super::{Context, files};
use crate::cli::KeyCommand;
use crate::client::{Body, path};
use crate::output::{cell, remark};

pub(in super::super) fn run(context: &Context, command: KeyCommand) -> anyhow::Result<()> {
    let Context { admin, print } = context;
    match command {
        KeyCommand::Create { of, name, scopes, rate_limit, expires_at } => {
            let wanted = new_key(&name, &scopes, rate_limit, expires_at);
            let made = admin.post(&path(&["tenants", &of.tenant, "keys"]), Body::Json(wanted))?;
            let secret = made.pointer("/key").and_then(Value::as_str);
            let secret = secret.context("the gateway's answer holds no key")?.to_owned();
            // The key alone on standard output: `tidegate key create … > key-file` keeps it.
            print.answer(&made, || secret)?;
            remark(&format!(
                "created key {}: keep it now, it cannot be shown again",
                cell(&made, "/id")
            ));
        }
        KeyCommand::List { of } => {
            let list = admin.get(&path(&["tenants", &of.tenant, "keys"]))?;
            print.list(
                &list,
                &[
                    ("ID", "/id"),
                    ("NAME", "/name"),
                    ("SCOPES", "/scopes"),
                    ("PER MINUTE", "/rate_limit"),
                    ("ACTIVE", "/is_active"),
                    ("CREATED", "/created_at"),
                    ("EXPIRES", "/expires_at"),
                    ("LAST USED", "/last_used_at"),
                ],
            )?;
        }
        KeyCommand::Quotas { of, id, set } => {
            let path = path(&["tenants", &of.tenant, "keys", &id, "quotas"]);
            let quotas = json!({ "quotas": files::read_json(&set)? });
            let answer = admin.call(Method::PUT, &path, Body::Json(quotas))?;
            print.answer(&answer, || answer.to_string())?;
        }
        KeyCommand::Import { file } => import::run(context, &file)?,
        KeyCommand::Revoke { of, id } => {
            let path = path(&["tenants", &of.tenant, "keys", &id]);
            let answer = admin.call(Method::DELETE, &path, Body::Nothing)?;
            print.answer(&answer, || format!("revoked key {id}"))?;
        }
    }
    Ok(())
}

/// What is not said is left to the gateway.
fn new_key(
    name: &str,
    scopes: &[String],
    rate_limit: Option<u64>,
    expires_at: Option<String>,
) -> Value {
    let mut wanted = Map::new();
    wanted.insert("name".to_owned(), name.into());
    if !scopes.is_empty() {
        wanted.insert("scopes".to_owned(), json!(scopes));
    }
    if let Some(limit) = rate_limit {
        wanted.insert("rate_limit".to_owned(), limit.into());
    }
    if let Some(time) = expires_at {
        wanted.insert("expires_at".to_owned(), time.into());
    }
    Value::Object(wanted)
}
