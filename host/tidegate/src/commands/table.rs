//! `tidegate table`: what rules may look up.

use http::Method;

use super::{Context, files};
use crate::cli::TableCommand;
use crate::client::{Body, encode, path};
use crate::output::cell;

/// More than any gateway takes; it says itself what it takes.
const MAX_BYTES: u64 = 1 << 30;

pub(super) fn run(context: &Context, command: TableCommand) -> anyhow::Result<()> {
    let Context { admin, print } = context;
    match command {
        TableCommand::Put { of, name, file, key } => {
            let bytes = files::read_whole(&file, MAX_BYTES)?;
            let mut path = path(&["tenants", &of.tenant, "tables", &name]);
            if let Some(column) = key {
                path.push_str(&format!("?key={}", encode(&column)));
            }
            let body = Body::Bytes { content_type: "text/csv", bytes };
            let stored = admin.call(Method::PUT, &path, body)?;
            print.answer(&stored, || {
                let (generation, rows) = (cell(&stored, "/generation"), cell(&stored, "/rows"));
                format!(
                    "table {name} generation {generation}, {rows} rows {}",
                    cell(&stored, "/digest")
                )
            })?;
        }
        TableCommand::List { of } => {
            let list = admin.get(&path(&["tenants", &of.tenant, "tables"]))?;
            print.list(
                &list,
                &[
                    ("NAME", "/name"),
                    ("GENERATION", "/generation"),
                    ("ROWS", "/rows"),
                    ("DIGEST", "/digest"),
                    ("CREATED", "/created_at"),
                ],
            )?;
        }
    }
    Ok(())
}
