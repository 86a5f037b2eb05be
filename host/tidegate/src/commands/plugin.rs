//! `tidegate plugin`: the components that a tenant's rules are made of.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use tidegate_types::Digest;

use super::{Context, files};
use crate::cli::{Global, LocalPluginCommand, OfTenant, PluginCommand};
use crate::client::{Body, path};
use crate::output::{Printer, cell};

mod follow;
mod logs;
mod pack;
mod registry;
mod show;
mod signing;

/// More than any gateway takes; it says itself what it takes.
const MAX_BYTES: u64 = 256 << 20;

pub(super) fn run(global: &Global, command: PluginCommand) -> anyhow::Result<ExitCode> {
    let context = || super::context(global);
    let done = match command {
        PluginCommand::Push { of, name, file, signature, no_wait } => {
            return push(&context()?, &of, &name, &file, signature.as_deref(), no_wait);
        }
        PluginCommand::Show { of, plugin } => {
            let (name, version) = plugin.split_once('@').with_context(|| {
                format!("write {plugin}@VERSION; `tidegate plugin list` has the versions")
            })?;
            show::run(&context()?, &of, name, version)
        }
        PluginCommand::Pack { component, cases, output } => {
            pack::run(Printer::new(global.json), &component, &cases, output.as_deref())
        }
        PluginCommand::Logs { of, plugin, rule, level, follow } => {
            let wanted = logs::Wanted { plugin, rule, level };
            logs::run(&context()?, &of, &wanted, follow)
        }
        PluginCommand::Local(command) => local(Printer::new(global.json), command),
        PluginCommand::List { of } => list(&context()?, &of),
        PluginCommand::Inspect { of, name, version } => inspect(&context()?, &of, &name, &version),
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// What needs no gateway.
fn local(print: Printer, command: LocalPluginCommand) -> anyhow::Result<()> {
    match command {
        LocalPluginCommand::Keygen { file } => signing::keygen(print, &file),
        LocalPluginCommand::Sign { file, key } => signing::sign(print, &file, &key),
        LocalPluginCommand::Publish { file, reference, registry } => {
            registry::publish(print, &file, &reference, &registry)
        }
        LocalPluginCommand::Pull { reference, output, registry } => {
            registry::pull(print, &reference, &output, &registry)
        }
    }
}

fn push(
    context: &Context,
    of: &OfTenant,
    name: &str,
    file: &Path,
    signature: Option<&Path>,
    no_wait: bool,
) -> anyhow::Result<ExitCode> {
    let path = path(&["tenants", &of.tenant, "plugins", name, "versions"]);
    let signature = signing::beside(file, signature)?;
    let oci = file.to_str().filter(|text| text.starts_with("oci://"));
    let body = if let Some(oci) = oci {
        Body::Pull { oci: oci.to_owned(), signature }
    } else {
        let bytes = files::read_whole(file, MAX_BYTES)?;
        // RFC 9530: the gateway compares what arrives with what was read here.
        let sum = format!("sha-256=:{}:", STANDARD.encode(Digest::of(&bytes).0));
        Body::Wasm { bytes, content_digest: HeaderValue::try_from(sum)?, signature }
    };
    let stored = context.admin.post(&path, body)?;
    let job = if no_wait { stored } else { follow::to_the_end(context, of, stored)? };
    context.print.answer(&job, || {
        let text = |at| cell(&job, at);
        let line = format!("plugin {name} version {} {}", text("/version"), text("/digest"));
        format!("{line} {}", text("/state")).trim_end().to_owned()
    })?;
    let bad = matches!(follow::state(&job), Some("failed" | "error"));
    Ok(if bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn list(context: &Context, of: &OfTenant) -> anyhow::Result<()> {
    let list = context.admin.get(&path(&["tenants", &of.tenant, "plugins"]))?;
    let columns = [
        ("NAME", "/name"),
        ("VERSION", "/version"),
        ("BUILT IN", "/builtin"),
        ("DIGEST", "/digest"),
        ("BYTES", "/bytes"),
        ("CREATED", "/created_at"),
    ];
    context.print.list(&list, &columns)?;
    Ok(())
}

fn inspect(context: &Context, of: &OfTenant, name: &str, version: &str) -> anyhow::Result<()> {
    let at = path(&["tenants", &of.tenant, "plugins", name, "versions", version]);
    let found = context.admin.get(&at)?;
    let fields = [
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
    ];
    context.print.one(&found, &fields)?;
    Ok(())
}
