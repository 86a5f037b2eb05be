//! `tidegate table`: what rules may look up.

use std::path::Path;

use http::Method;

use super::{Context, files};
use crate::cli::{TableCommand, TableFormat};
use crate::client::{Body, encode, path};
use crate::output::cell;

/// More than any gateway takes; it says itself what it takes.
const MAX_BYTES: u64 = 1 << 30;

pub(super) fn run(context: &Context, command: TableCommand) -> anyhow::Result<()> {
    let Context { admin, print } = context;
    match command {
        TableCommand::Put { of, name, file, key, format } => {
            let format = format.unwrap_or_else(|| guessed(&file));
            let bytes = files::read_whole(&file, MAX_BYTES)?;
            let mut path = path(&["tenants", &of.tenant, "tables", &name]);
            if let Some(column) = key {
                path.push_str(&format!("?key={}", encode(&column)));
            }
            let body = Body::Bytes { content_type: content_type(format), bytes };
            let stored = admin.call(Method::PUT, &path, body)?;
            print.answer(&stored, || {
                let (generation, rows) = (cell(&stored, "/generation"), cell(&stored, "/rows"));
                let mut text = format!(
                    "table {name} generation {generation}, {rows} rows {}",
                    cell(&stored, "/digest")
                );
                if stored.pointer("/derived/number").is_some() {
                    let number = cell(&stored, "/derived/number");
                    text.push_str(&format!("\nrevision {number} follows it and is active"));
                }
                if stored.pointer("/derive_problem/detail").is_some() {
                    let why = cell(&stored, "/derive_problem/detail");
                    text.push_str(&format!("\nno revision follows it: {why}"));
                }
                text
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

fn content_type(format: TableFormat) -> &'static str {
    match format {
        TableFormat::Csv => "text/csv",
        TableFormat::Ndjson => "application/x-ndjson",
        TableFormat::Parquet => "application/vnd.apache.parquet",
    }
}

/// By the file's name, without what says how it is compressed.
fn guessed(file: &Path) -> TableFormat {
    let name = file.file_name().map(|name| name.to_string_lossy().to_lowercase());
    let name = name.unwrap_or_default();
    let plain = name.trim_end_matches(".gz").trim_end_matches(".zst");
    match plain.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "ndjson" | "jsonl" => TableFormat::Ndjson,
        "parquet" => TableFormat::Parquet,
        _ => TableFormat::Csv,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_tells_the_format() {
        for (name, format) in [
            ("planes.csv", TableFormat::Csv),
            ("planes.csv.gz", TableFormat::Csv),
            ("planes", TableFormat::Csv),
            ("-", TableFormat::Csv),
            ("a.parquet/planes.txt", TableFormat::Csv),
            ("planes.ndjson", TableFormat::Ndjson),
            ("planes.JSONL.zst", TableFormat::Ndjson),
            ("data/planes.parquet", TableFormat::Parquet),
        ] {
            assert_eq!(guessed(Path::new(name)), format, "{name}");
        }
    }
}
