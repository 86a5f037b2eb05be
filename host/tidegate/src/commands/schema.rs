//! `tidegate schema`: the JSON Schemas of a tenant's events.

use http::Method;

use super::{Context, files};
use crate::cli::SchemaCommand;
use crate::client::{Body, path};
use crate::output::cell;

/// More than any gateway takes; it says itself what it takes.
const MAX_BYTES: u64 = 64 << 20;

pub(super) fn run(context: &Context, command: SchemaCommand) -> anyhow::Result<()> {
    let Context { admin, print } = context;
    match command {
        SchemaCommand::Put { of, name, file } => {
            let bytes = files::read_whole(&file, MAX_BYTES)?;
            let path = path(&["tenants", &of.tenant, "schemas", &name]);
            let body = Body::Bytes { content_type: "application/schema+json", bytes };
            let stored = admin.call(Method::PUT, &path, body)?;
            print.answer(&stored, || {
                format!(
                    "schema {name} version {} {}",
                    cell(&stored, "/version"),
                    cell(&stored, "/digest")
                )
            })?;
        }
        SchemaCommand::List { of } => {
            let list = admin.get(&path(&["tenants", &of.tenant, "schemas"]))?;
            print.list(
                &list,
                &[
                    ("NAME", "/name"),
                    ("VERSION", "/version"),
                    ("DIGEST", "/digest"),
                    ("BYTES", "/bytes"),
                    ("CREATED", "/created_at"),
                ],
            )?;
        }
    }
    Ok(())
}
