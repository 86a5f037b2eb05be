//! The events of all inputs, one after the other, read as they are needed.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use tidegate_connector::InputError;

use super::csv_records::{CsvOptions, CsvRecords};
use super::key::add_key;
use super::ndjson::NdjsonRecords;
use crate::cli::{Format, PostArguments};
use crate::commands::files;

/// The largest line or record, in bytes: far more than a gateway takes, and little memory.
pub(super) const MAX_RECORD_BYTES: usize = 16 << 20;

type Records = Box<dyn Iterator<Item = Result<Bytes, InputError>> + Send>;

/// An iterator over the events of all inputs; an error is its last item.
pub(super) struct Input {
    left: VecDeque<PathBuf>,
    format: Option<Format>,
    key_field: Option<String>,
    csv: CsvOptions,
    taken: Arc<AtomicU64>,
    current: Option<Current>,
}

struct Current {
    path: PathBuf,
    records: Records,
    /// Records that were read, the last one included.
    number: u64,
}

impl Input {
    /// `taken` counts the bytes read from the inputs as they lie on the disk.
    pub(super) fn new(arguments: &PostArguments, taken: Arc<AtomicU64>) -> Self {
        let csv = CsvOptions {
            text_columns: arguments.text_columns.clone(),
            null_texts: arguments.null_texts.clone(),
            empty_as_text: arguments.empty_as_text,
        };
        Self {
            left: arguments.files.iter().cloned().collect(),
            format: arguments.format,
            key_field: arguments.key_field.clone(),
            csv,
            taken,
            current: None,
        }
    }

    fn open(&self, path: &Path) -> Result<Records, InputError> {
        let reader = files::open(path, Arc::clone(&self.taken))?;
        match self.format.unwrap_or_else(|| format_of(path)) {
            Format::Ndjson => Ok(Box::new(NdjsonRecords::new(reader))),
            Format::Csv => Ok(Box::new(CsvRecords::new(reader, &self.csv)?)),
        }
    }

    /// What comes next, without the name of the file where it is an error.
    fn advance(&mut self) -> Option<Result<Bytes, (PathBuf, InputError)>> {
        loop {
            let Some(current) = &mut self.current else {
                let path = self.left.pop_front()?;
                match self.open(&path) {
                    Ok(records) => self.current = Some(Current { path, records, number: 0 }),
                    Err(error) => return Some(Err((path, error))),
                }
                continue;
            };
            match current.records.next() {
                None => self.current = None,
                Some(Err(error)) => return Some(Err((current.path.clone(), error))),
                Some(Ok(event)) => {
                    current.number += 1;
                    let Some(field) = &self.key_field else { return Some(Ok(event)) };
                    return Some(Ok(add_key(event, field, &current.path, current.number)));
                }
            }
        }
    }
}

impl Iterator for Input {
    type Item = Result<Bytes, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance()?;
        if next.is_err() {
            self.left.clear();
            self.current = None;
        }
        Some(next.map_err(|(path, error)| format!("{}: {error}", files::name(&path)).into()))
    }
}

/// By extension, below the one of its compression.
fn format_of(path: &Path) -> Format {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let name = [".gz", ".zst"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
    if name.ends_with(".csv") { Format::Csv } else { Format::Ndjson }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_by_extension() {
        for name in ["a.csv", "dir.ndjson/A.CSV", "a.csv.gz", "a.csv.zst"] {
            assert_eq!(format_of(Path::new(name)), Format::Csv, "{name}");
        }
        for name in ["-", "a.ndjson", "a.jsonl.gz", "a.csv.bak", "csv", "a.gz"] {
            assert_eq!(format_of(Path::new(name)), Format::Ndjson, "{name}");
        }
    }
}
