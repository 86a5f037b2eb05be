//! The content of a reference table: text cells under named columns, the first of which is the key.
//!
//! It is stored as canonical CSV (RFC 4180 with line feeds): the header with the key first, the other
//! columns as in the upload, then the rows sorted by the bytes of their keys, quoted only where
//! needed. The same content has the same digest, in whatever order its rows were uploaded and in
//! whatever format. An empty cell stands for "no value": a null, a missing member and an empty text are
//! one and the same.

mod csv_text;
mod ndjson;
mod rows;

use csv::{QuoteStyle, Terminator, WriterBuilder};

/// At most so many columns.
pub const MAX_COLUMNS: usize = 1000;
/// At most so many cells: what they need beside their bytes is bounded by it.
pub const MAX_CELLS: usize = 32 << 20;
/// At most so many problems are told of one upload.
const MAX_PROBLEMS: usize = 100;

/// The checked content of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableContent {
    columns: Vec<String>,
    /// All cells, row after row.
    text: String,
    /// For each cell its end in `text`.
    ends: Vec<u32>,
}

/// Cells, row after row: a table as some other reader found it, unchecked, and what is inside of
/// checked content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableCells {
    pub columns: Vec<String>,
    /// All cells, row after row.
    pub text: String,
    /// For each cell its end in `text`.
    pub ends: Vec<u32>,
}

/// A table as it is uploaded.
#[derive(Clone, Debug)]
pub enum TableSource<'a> {
    /// UTF-8 with or without a byte order mark, a header row, any order of rows.
    Csv(&'a [u8]),
    /// One JSON object a line.
    Ndjson(&'a [u8]),
    /// What was read from a file of columns; problems are told by row, counted from 1.
    Cells(TableCells),
}

/// How large a table may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableBounds {
    pub rows: u64,
    /// Of all cells together.
    pub bytes: u64,
}

/// What the places of problems count, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Lines of a text, a header included.
    Line,
    Row,
}

impl std::fmt::Display for Unit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Line => "line",
            Self::Row => "row",
        })
    }
}

/// One thing that is wrong with a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The line or row, counted from 1.
    pub at: u64,
    pub detail: String,
}

/// Everything that is wrong with a table, at most a hundred things.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the table cannot be used: {}", list(*unit, problems))]
pub struct TableError {
    pub unit: Unit,
    pub problems: Vec<Problem>,
}

fn list(unit: Unit, problems: &[Problem]) -> String {
    let shown = problems.iter().take(3).map(|p| format!("{unit} {}: {}", p.at, p.detail));
    shown.collect::<Vec<_>>().join("; ")
}

/// The text of an upload.
fn utf8(bytes: &[u8]) -> Result<&str, TableError> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = before.iter().filter(|b| **b == b'\n').count() as u64 + 1;
        TableError::one(Unit::Line, line, "the text is not UTF-8")
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

impl TableContent {
    /// Reads an upload. The key is the first column unless `key` names one.
    ///
    /// # Errors
    /// Each row that cannot be read, or has an empty or repeated key; column names that are empty or
    /// repeated; a `key` that is no column; a table that is out of bounds.
    pub fn read(
        source: TableSource<'_>,
        key: Option<&str>,
        bounds: TableBounds,
    ) -> Result<Self, TableError> {
        match source {
            TableSource::Csv(csv) => csv_text::parse(csv, key, bounds),
            TableSource::Ndjson(ndjson) => ndjson::parse(ndjson, key, bounds),
            TableSource::Cells(cells) => read_cells(cells, key, bounds),
        }
    }

    /// Reads what [`Self::canonical`] wrote, in one pass.
    ///
    /// # Errors
    /// Where it is something else.
    pub fn read_canonical(bytes: &[u8]) -> Result<Self, TableError> {
        csv_text::read_canonical(bytes)
    }

    /// The parts, for whoever puts an index over them.
    #[must_use]
    pub fn into_cells(self) -> TableCells {
        let Self { columns, text, ends } = self;
        TableCells { columns, text, ends }
    }

    /// Names of the columns, the key's first.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len() / self.columns.len().max(1)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// A cell; `None` outside the table. Rows are sorted by key.
    #[must_use]
    pub fn cell(&self, row: usize, column: usize) -> Option<&str> {
        if column >= self.columns.len() {
            return None;
        }
        let index = row.checked_mul(self.columns.len())?.checked_add(column)?;
        let end = *self.ends.get(index)?;
        let start = index.checked_sub(1).and_then(|before| self.ends.get(before)).copied();
        self.text.get(start.unwrap_or(0) as usize..end as usize)
    }

    /// The cells of one row, the key first; nothing outside the table.
    pub fn row(&self, row: usize) -> impl Iterator<Item = &str> {
        (0..self.columns.len()).map_while(move |column| self.cell(row, column))
    }

    /// The bytes that are stored and digested.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        let out = Vec::with_capacity(self.text.len() + self.ends.len());
        let mut writer = WriterBuilder::new()
            .terminator(Terminator::Any(b'\n'))
            .quote_style(QuoteStyle::Necessary)
            .from_writer(out);
        let header = writer.write_record(&self.columns);
        let rows = (0..self.len()).try_for_each(|row| writer.write_record(self.row(row)));
        header.and(rows).expect("rows of one width are written to memory");
        writer.into_inner().map_err(|e| e.into_error()).expect("memory is flushed")
    }
}

fn read_cells(
    cells: TableCells,
    key: Option<&str>,
    bounds: TableBounds,
) -> Result<TableContent, TableError> {
    let TableCells { columns, text, ends } = cells;
    let mut rows = rows::Rows::new(Unit::Row, bounds);
    let width = columns.len().max(1);
    let (Ok(()) | Err(rows::Enough)) = rows.name_columns(columns.into_iter(), 1);
    if rows.columns.is_empty() && !rows.has_problems() {
        let (Ok(()) | Err(rows::Enough)) = rows.problem(1, "the table has no columns");
    }
    let mut rows = rows.checked()?;
    let mut start = 0;
    for (ends, at) in ends.chunks(width).zip(1u64..) {
        let end = ends.last().map_or(start, |end| *end as usize);
        let row = text.get(start..end).unwrap_or_default();
        let ends = ends.iter().map(|end| (*end as usize).saturating_sub(start));
        if rows.push(at, row, ends).is_err() {
            break;
        }
        start = end;
    }
    rows.checked()?.by_key(key, 1)
}

#[cfg(test)]
mod tests;
