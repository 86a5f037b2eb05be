//! Reference tables: rows by key, immutable, shared by all instances that use them.

use std::collections::HashMap;

use ahash::RandomState;

/// One generation of a reference table.
#[derive(Debug)]
pub struct Table {
    generation: u64,
    columns: Vec<String>,
    /// Key → index of the row.
    keys: HashMap<Box<str>, usize, RandomState>,
    /// All cells, row after row, in the order of `columns`.
    cells: Vec<Box<str>>,
}

/// A table whose parts do not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    #[error("row {row} has {found} cells; the table has {expected} columns")]
    Ragged { row: usize, found: usize, expected: usize },
    #[error("row {row} repeats the key of an earlier row")]
    DuplicateKey { row: usize },
    #[error("the table has no column `{0}`")]
    NoColumn(String),
}

impl Table {
    /// A table of rows of text; the column `key` tells them apart. Rows are counted from 0.
    ///
    /// # Errors
    /// Where a row has another number of cells than there are columns, or repeats a key, or there
    /// is no column `key`.
    pub fn new<R>(
        generation: u64,
        columns: Vec<String>,
        key: &str,
        rows: R,
    ) -> Result<Self, TableError>
    where
        R: IntoIterator<Item = Vec<String>>,
    {
        let key_at = columns.iter().position(|name| name == key);
        let key_at = key_at.ok_or_else(|| TableError::NoColumn(key.to_owned()))?;
        let mut table = Self { generation, columns, keys: HashMap::default(), cells: Vec::new() };
        for (row, cells) in rows.into_iter().enumerate() {
            let (found, expected) = (cells.len(), table.columns.len());
            if found != expected {
                return Err(TableError::Ragged { row, found, expected });
            }
            let key = cells.get(key_at).cloned().unwrap_or_default();
            if table.keys.insert(key.into(), row).is_some() {
                return Err(TableError::DuplicateKey { row });
            }
            table.cells.extend(cells.into_iter().map(Into::into));
        }
        Ok(table)
    }

    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    #[must_use]
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }

    #[must_use]
    pub fn contains(&self, key: &str) -> bool {
        self.keys.contains_key(key)
    }

    /// The cell of a row by its key; `None` where no row has it.
    #[must_use]
    pub fn cell(&self, key: &str, column: usize) -> Option<&str> {
        let row = self.keys.get(key)?;
        self.cells.get(row * self.columns.len() + column).map(|cell| &**cell)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}
