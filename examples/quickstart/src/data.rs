//! The data: where its files are, how they are fetched and read, and what is known of them.

pub(crate) mod expected;
pub(crate) mod flights;
pub(crate) mod package;

use std::collections::HashSet;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::{Context as _, Result};
use flate2::read::GzDecoder;

/// The reference tables, by their names in the revisions.
pub(crate) const TABLES: [&str; 3] = ["airlines", "airports", "planes"];

/// A table of the package is at most this large, in bytes.
const LARGEST_TABLE: u64 = 16 << 20;

/// The folder of this example, as cargo or `cargo xtask` tells it at run time: a build folder that
/// several checkouts share may hold a program that was built in another one.
pub(crate) fn folder() -> &'static Path {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let told = std::env::var_os("CARGO_MANIFEST_DIR");
        told.map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
    });
    &FOLDER
}

/// The committed slice of January 2013.
pub(crate) fn january() -> PathBuf {
    folder().join("data/flights-2013-01.csv.zst")
}

/// The text of a reference table: CSV with a header.
///
/// # Errors
/// Where the committed file cannot be read.
fn table(name: &str) -> Result<String> {
    let path = folder().join(format!("data/{name}.csv.gz"));
    let file = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
    let mut decoder = GzDecoder::new(file).take(LARGEST_TABLE);
    let mut text = String::new();
    decoder.read_to_string(&mut text).with_context(|| format!("reading {}", path.display()))?;
    Ok(text)
}

/// The keys of a reference table: its first column.
///
/// # Errors
/// Where the committed file cannot be read.
pub(crate) fn table_keys(name: &str) -> Result<HashSet<String>> {
    let text = table(name)?;
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let mut keys = HashSet::new();
    for record in reader.records() {
        let record = record.with_context(|| format!("reading table {name}"))?;
        keys.extend(record.get(0).map(str::to_owned));
    }
    Ok(keys)
}
