//! The content of a reference table: text cells under named columns, the first of which is the key.
//!
//! It is stored as canonical CSV (RFC 4180 with line feeds): the header with the key first, then
//! the rows sorted by the bytes of their keys, quoted only where needed. The same content has the
//! same digest, in whatever order its rows were uploaded. An empty cell stands for "no value".

mod parse;

use csv::{QuoteStyle, Terminator, WriterBuilder};

/// At most so many columns.
pub const MAX_COLUMNS: usize = 1000;
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

/// One thing that is wrong with a table's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineProblem {
    /// The line, counted from 1 with the header.
    pub line: u64,
    pub detail: String,
}

/// Everything that is wrong with a table's text, at most a hundred things.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the table cannot be used: {}", list(problems))]
pub struct TableError {
    pub problems: Vec<LineProblem>,
}

fn list(problems: &[LineProblem]) -> String {
    let shown = problems.iter().take(3).map(|p| format!("line {}: {}", p.line, p.detail));
    shown.collect::<Vec<_>>().join("; ")
}

impl TableContent {
    /// Reads CSV as people write it: UTF-8 with or without a byte order mark, a header row, any
    /// order of rows. The key is the first column unless `key` names one.
    ///
    /// # Errors
    /// Each line that is ragged or has an empty or repeated key; column names that are empty or
    /// repeated; a `key` that is no column; more than `max_rows` rows; an unclosed quotation mark.
    pub fn parse(csv: &[u8], key: Option<&str>, max_rows: u64) -> Result<Self, TableError> {
        parse::parse(csv, key, max_rows)
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

#[cfg(test)]
mod tests;
