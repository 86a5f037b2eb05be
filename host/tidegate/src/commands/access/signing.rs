//! `tidegate signing-key`: whose signatures count, and what is asked of them.

use anyhow::Context as _;
use http::Method;
use serde_json::{Value, json};
use tidegate_distribution::PublicKey;

use super::super::{Context, files};
use crate::cli::SigningKeyCommand;
use crate::client::{Body, path};
use crate::output::cell;

const MAX_KEY_BYTES: u64 = 4096;

pub(in super::super) fn run(context: &Context, command: SigningKeyCommand) -> anyhow::Result<()> {
    let Context { admin, print } = context;
    let keys = |tenant: &str| path(&["tenants", tenant, "signing-keys"]);
    match command {
        SigningKeyCommand::Add { of, name, file } => {
            let text = String::from_utf8(files::read_whole(&file, MAX_KEY_BYTES)?);
            let text = text.unwrap_or_default();
            let key: PublicKey = text.parse().with_context(|| file.display().to_string())?;
            let id = key.id();
            let body = Body::Json(json!({ "name": name, "public_key": key.to_pem() }));
            let at = format!("{}/{id}", keys(&of.tenant));
            let answer = admin.call(Method::PUT, &at, body)?;
            print.answer(&answer, || format!("registered key {id}"))?;
        }
        SigningKeyCommand::List { of } => {
            let list = admin.get(&keys(&of.tenant))?;
            print.list(&list, &[("ID", "/id"), ("NAME", "/name"), ("CREATED", "/created_at")])?;
        }
        SigningKeyCommand::Remove { of, id } => {
            let at = path(&["tenants", &of.tenant, "signing-keys", &id]);
            let answer = admin.call(Method::DELETE, &at, Body::Nothing)?;
            print.answer(&answer, || format!("removed key {id}"))?;
        }
        SigningKeyCommand::Policy { of, policy } => {
            let at = path(&["tenants", &of.tenant, "signature-policy"]);
            let answer = match policy {
                None => admin.get(&at)?,
                Some(policy) => admin.call(Method::PUT, &at, Body::Json(written(&policy)))?,
            };
            print.answer(&answer, || {
                format!("{} {}", cell(&answer, "/policy"), cell(&answer, "/key")).trim().to_owned()
            })?;
        }
    }
    Ok(())
}

/// What is no policy's name is a key's id.
fn written(policy: &str) -> Value {
    match policy {
        "none" | "any-known-key" => json!({ "policy": policy }),
        key => json!({ "policy": "this-key", "key": key }),
    }
}
