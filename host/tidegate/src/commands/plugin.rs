//! `tidegate plugin`: the components that a tenant's rules are made of.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use tidegate_types::Digest;

use super::{Context, files};
use crate::cli::PluginCommand;
use crate::client::{Body, path};
use crate::output::cell;

/// More than any gateway takes; it says itself what it takes.
const MAX_BYTES: u64 = 256 << 20;

pub(super) fn run(context: &Context, command: PluginCommand) -> anyhow::Result<()> {
    let Context { admin, print } = context;
    match command {
        PluginCommand::Push { of, name, file } => {
            let bytes = files::read_whole(&file, MAX_BYTES)?;
            let path = path(&["tenants", &of.tenant, "plugins", &name, "versions"]);
            // RFC 9530: the gateway compares what arrives with what was read here.
            let sum = format!("sha-256=:{}:", STANDARD.encode(Digest::of(&bytes).0));
            let body = Body::Wasm { bytes, content_digest: HeaderValue::try_from(sum)? };
            let stored = admin.post(&path, body)?;
            print.answer(&stored, || {
                format!(
                    "plugin {name} version {} {}",
                    cell(&stored, "/version"),
                    cell(&stored, "/digest")
                )
            })?;
        }
        PluginCommand::List { of } => {
            let list = admin.get(&path(&["tenants", &of.tenant, "plugins"]))?;
            print.list(
                &list,
                &[
                    ("NAME", "/name"),
                    ("VERSION", "/version"),
                    ("BUILT IN", "/builtin"),
                    ("DIGEST", "/digest"),
                    ("BYTES", "/bytes"),
                    ("CREATED", "/created_at"),
                ],
            )?;
        }
        PluginCommand::Inspect { of, name, version } => {
            let at = path(&["tenants", &of.tenant, "plugins", &name, "versions", &version]);
            let found = admin.get(&at)?;
            print.one(
                &found,
                &[
                    ("name", "/name"),
                    ("version", "/version"),
                    ("built in", "/builtin"),
                    ("digest", "/digest"),
                    ("bytes", "/bytes"),
                    ("imports", "/inspection/imports"),
                    ("exports", "/inspection/exports"),
                    ("compile ms", "/inspection/compile_ms"),
                    ("code bytes", "/inspection/code_bytes"),
                    ("manifest", "/inspection/manifest"),
                ],
            )?;
        }
    }
    Ok(())
}
