//! From CSV as people write it to rows; and back from what is stored.

use csv::{ByteRecord, Position, Reader, ReaderBuilder};

use super::rows::{Enough, Rows};
use super::{Problem, TableBounds, TableContent, TableError, Unit};

pub(super) fn parse(
    csv: &[u8],
    key: Option<&str>,
    bounds: TableBounds,
) -> Result<TableContent, TableError> {
    let text = super::utf8(csv)?;
    let mut reader = reader(text);
    let mut rows = Rows::new(Unit::Line, bounds);
    let (Ok(()) | Err(Enough)) = read(&mut reader, &mut rows);
    let rows = rows.checked()?;
    // Every quoted field has two marks, and one inside is doubled: an odd number is a field that
    // never ended and has swallowed the lines after it.
    if text.bytes().filter(|b| *b == b'"').count() % 2 == 1 {
        let line = rows.last().unwrap_or(1);
        return Err(TableError::one(Unit::Line, line, "a quotation mark is not closed"));
    }
    rows.by_key(key, 1)
}

fn reader(text: &str) -> Reader<&[u8]> {
    ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes())
}

fn next(
    reader: &mut Reader<&[u8]>,
    record: &mut ByteRecord,
    rows: &mut Rows,
) -> Result<Option<u64>, Enough> {
    match reader.read_byte_record(record) {
        Ok(true) => Ok(Some(record.position().map_or(0, Position::line))),
        Ok(false) => Ok(None),
        Err(error) => {
            rows.problem(1, error.to_string())?;
            Err(Enough)
        }
    }
}

fn read(reader: &mut Reader<&[u8]>, rows: &mut Rows) -> Result<(), Enough> {
    let mut record = ByteRecord::new();
    if next(reader, &mut record, rows)?.is_none() {
        return rows.problem(1, "there is no header row with the names of the columns");
    }
    let names: Vec<_> =
        record.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    rows.name_columns(names.into_iter(), 1)?;
    if rows.has_problems() {
        return Err(Enough);
    }
    let width = record.len();
    while let Some(line) = next(reader, &mut record, rows)? {
        if record.len() != width {
            let detail = format!("{} fields where the header has {width}", record.len());
            rows.problem(line, detail)?;
            continue;
        }
        // The whole is UTF-8, and fields are cut beside ASCII.
        let text = std::str::from_utf8(record.as_slice()).unwrap_or_default();
        let ends = (0..width).map(|field| record.range(field).map_or(0, |range| range.end));
        rows.push(line, text, ends)?;
    }
    Ok(())
}

/// Reads what `TableContent::canonical` wrote, without sorting anything.
pub(super) fn read_canonical(csv: &[u8]) -> Result<TableContent, TableError> {
    let damaged = |at, detail: &str| TableError::one(Unit::Line, at, detail);
    let text = super::utf8(csv)?;
    let mut reader = reader(text);
    let mut record = ByteRecord::new();
    let mut read = |record: &mut ByteRecord| {
        reader.read_byte_record(record).map_err(|error| damaged(1, &error.to_string()))
    };
    read(&mut record)?;
    let columns: Vec<String> =
        record.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    let mut content =
        TableContent { columns, text: String::with_capacity(text.len()), ends: Vec::new() };
    let width = content.columns.len();
    while read(&mut record)? {
        let line = record.position().map_or(0, Position::line);
        if record.len() != width {
            return Err(damaged(line, "the row has another width than the header"));
        }
        let start = content.text.len();
        content.text.push_str(std::str::from_utf8(record.as_slice()).unwrap_or_default());
        for field in 0..width {
            let end = start + record.range(field).map_or(0, |range| range.end);
            let end = u32::try_from(end).map_err(|_| damaged(line, "more than 4 GiB"))?;
            content.ends.push(end);
        }
    }
    let keys = (0..content.len()).map(|row| content.cell(row, 0));
    if width == 0 || !keys.is_sorted_by(|a, b| a < b) {
        return Err(damaged(1, "this is no stored table: its rows are not in order"));
    }
    Ok(content)
}

impl TableError {
    pub(super) fn one(unit: Unit, at: u64, detail: &str) -> Self {
        Self { unit, problems: vec![Problem { at, detail: detail.to_owned() }] }
    }
}
