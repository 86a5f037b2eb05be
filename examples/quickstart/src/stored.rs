//! Reads back what the gateway published: every row of every Parquet file that its manifest names.

use std::fs::File;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use arrow_array::{RecordBatch, cast::AsArray as _};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tidegate_storage::manifest;

/// One stored event.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    /// Is it held in the quarantine?
    pub(crate) quarantined: bool,
    pub(crate) event_id: &'a str,
    /// The digest of the revision that judged it.
    pub(crate) revision: &'a str,
    /// As it was posted.
    pub(crate) original: &'a [u8],
    /// The rules that found something, once for each finding.
    pub(crate) rules: Vec<&'a str>,
}

/// How much was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Files {
    pub(crate) count: u64,
    pub(crate) bytes: u64,
}

/// Reads everything of a tenant that is published in a storage folder.
///
/// # Errors
/// Where the manifest or a file cannot be read, or a file holds something other than the manifest
/// says.
pub(crate) fn read(
    folder: &Path,
    tenant: &str,
    mut each: impl FnMut(Row<'_>) -> Result<()>,
) -> Result<Files> {
    let mut files = Files::default();
    let own = format!("tenant={tenant}");
    for file in manifest::read(folder)?.into_iter().flat_map(|entry| entry.files) {
        if file.path.split('/').all(|part| part != own) {
            continue;
        }
        let quarantined = match file.path.split('/').next() {
            Some("accepted") => false,
            Some("quarantine") => true,
            // What was decided about events in quarantine, not events.
            Some("dispositions") => continue,
            _ => {
                bail!("the manifest names {}, which is neither accepted nor quarantine", file.path)
            }
        };
        let rows = read_file(&folder.join(&file.path), quarantined, &mut each)
            .with_context(|| format!("reading {}", file.path))?;
        ensure!(
            rows == file.rows,
            "{} holds {rows} rows, the manifest says {}",
            file.path,
            file.rows
        );
        files.count += 1;
        files.bytes += file.bytes;
    }
    Ok(files)
}

fn read_file(
    path: &Path,
    quarantined: bool,
    each: &mut impl FnMut(Row<'_>) -> Result<()>,
) -> Result<u64> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?;
    let columns = ["event_id", "revision", "original", "findings"];
    let mask = ProjectionMask::columns(builder.parquet_schema(), columns);
    let mut rows = 0;
    for batch in builder.with_projection(mask).build()? {
        let batch = batch?;
        for_each_row(&batch, quarantined, each)?;
        rows += batch.num_rows() as u64;
    }
    Ok(rows)
}

fn for_each_row(
    batch: &RecordBatch,
    quarantined: bool,
    each: &mut impl FnMut(Row<'_>) -> Result<()>,
) -> Result<()> {
    let column =
        |name: &str| batch.column_by_name(name).with_context(|| format!("no column {name}"));
    let text = |name: &str| {
        column(name)?.as_string_opt::<i32>().with_context(|| format!("column {name} is not text"))
    };
    let (event_id, revision) = (text("event_id")?, text("revision")?);
    let original =
        column("original")?.as_binary_opt::<i32>().context("column original is not binary")?;
    let findings =
        column("findings")?.as_list_opt::<i32>().context("column findings is no list")?;
    let structs = findings.values().as_struct_opt().context("findings are no structs")?;
    let rules = structs.column_by_name("rule").context("findings have no rule")?;
    let rules = rules.as_string_opt::<i32>().context("a finding's rule is not text")?;
    for (row, range) in findings.offsets().windows(2).enumerate() {
        let &[from, to] = range else { continue };
        let rules = (from..to).map(|finding| rules.value(finding as usize)).collect();
        each(Row {
            quarantined,
            event_id: event_id.value(row),
            revision: revision.value(row),
            original: original.value(row),
            rules,
        })?;
    }
    Ok(())
}
