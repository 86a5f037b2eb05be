//! Rows as they stand in an upload, whatever its format, and how they become checked content: the
//! key first, the rows in the order of their keys.

use super::{
    MAX_CELLS, MAX_COLUMNS, MAX_PROBLEMS, Problem, TableBounds, TableContent, TableError, Unit,
};

/// The rows in the upload's order, and where each stood.
pub(super) struct Rows {
    pub(super) columns: Vec<String>,
    text: String,
    /// For each cell its end in `text`.
    ends: Vec<u32>,
    rows: Vec<Row>,
    unit: Unit,
    bounds: TableBounds,
    problems: Vec<Problem>,
}

struct Row {
    /// The number of its first cell. Cells that a row lacks at its end are empty.
    first: u32,
    at: u64,
}

/// Nothing more will be read.
#[derive(Debug)]
pub(super) struct Enough;

impl Rows {
    pub(super) fn new(unit: Unit, bounds: TableBounds) -> Self {
        let (columns, text, ends) = (Vec::new(), String::new(), Vec::new());
        Self { columns, text, ends, rows: Vec::new(), unit, bounds, problems: Vec::new() }
    }

    /// Takes the names of all columns; `at` is where they stand.
    pub(super) fn name_columns(
        &mut self,
        names: impl ExactSizeIterator<Item = String>,
        at: u64,
    ) -> Result<(), Enough> {
        if names.len() > MAX_COLUMNS {
            self.problem(at, format!("a table has at most {MAX_COLUMNS} columns"))?;
            return Err(Enough);
        }
        for name in names {
            self.name_column(name, at)?;
        }
        Ok(())
    }

    /// Takes the name of one more column.
    pub(super) fn name_column(&mut self, name: String, at: u64) -> Result<(), Enough> {
        let odd = |c: char| c.is_control() || c == '\u{feff}';
        if self.columns.len() >= MAX_COLUMNS {
            self.problem(at, format!("a table has at most {MAX_COLUMNS} columns"))?;
            return Err(Enough);
        }
        if name.is_empty() || name.len() > 200 || name.chars().any(odd) {
            let detail = "must have a name of 1 to 200 bytes without control characters";
            self.problem(at, format!("column {} {detail}", self.columns.len() + 1))?;
        } else if self.columns.contains(&name) {
            self.problem(at, format!("two columns are called `{name}`"))?;
        }
        self.columns.push(name);
        Ok(())
    }

    /// Tells that something is wrong; after a hundred things nothing more is read.
    pub(super) fn problem(&mut self, at: u64, detail: impl Into<String>) -> Result<(), Enough> {
        self.problems.push(Problem { at, detail: detail.into() });
        if self.problems.len() < MAX_PROBLEMS { Ok(()) } else { Err(Enough) }
    }

    pub(super) fn has_problems(&self) -> bool {
        !self.problems.is_empty()
    }

    /// Adds a row: its cells one after the other, and where in them each ends.
    pub(super) fn push(
        &mut self,
        at: u64,
        text: &str,
        ends: impl Iterator<Item = usize>,
    ) -> Result<(), Enough> {
        if self.rows.len() as u64 >= self.bounds.rows {
            self.problem(at, format!("more than {} rows", self.bounds.rows))?;
            return Err(Enough);
        }
        let start = self.text.len();
        if (start + text.len()) as u64 > self.bounds.bytes.min(u32::MAX.into()) {
            self.problem(at, format!("the cells have more than {} bytes", self.bounds.bytes))?;
            return Err(Enough);
        }
        self.rows.push(Row { first: self.ends.len() as u32, at });
        self.text.push_str(text);
        // Both fit: the text is shorter than 4 GiB.
        self.ends.extend(ends.map(|end| (start + end) as u32));
        if self.rows.len().saturating_mul(self.columns.len()) > MAX_CELLS {
            self.problem(at, format!("more than {MAX_CELLS} cells"))?;
            return Err(Enough);
        }
        Ok(())
    }

    pub(super) fn last(&self) -> Option<u64> {
        self.rows.last().map(|row| row.at)
    }

    /// All that was wrong, where anything was.
    pub(super) fn checked(self) -> Result<Self, TableError> {
        if self.problems.is_empty() { Ok(self) } else { Err(self.told()) }
    }

    fn told(mut self) -> TableError {
        self.problems.sort_by_key(|problem| problem.at);
        self.problems.truncate(MAX_PROBLEMS);
        TableError { unit: self.unit, problems: self.problems }
    }

    fn cell(&self, row: usize, column: usize) -> &str {
        let first =
            |row: usize| self.rows.get(row).map_or(self.ends.len(), |row| row.first as usize);
        let index = first(row) + column;
        if index >= first(row + 1) {
            return "";
        }
        let end = |index: usize| self.ends.get(index).map_or(0, |end| *end as usize);
        self.text.get(index.checked_sub(1).map_or(0, end)..end(index)).unwrap_or_default()
    }

    /// Puts the key first and the rows in the order of their keys; tells every key that is empty or
    /// comes twice. `named_at` is where the columns are named.
    pub(super) fn by_key(
        mut self,
        key: Option<&str>,
        named_at: u64,
    ) -> Result<TableContent, TableError> {
        let key = match key {
            None => 0,
            Some(name) => match self.columns.iter().position(|column| column == name) {
                Some(key) => key,
                None => {
                    let columns = self.columns.join(", ");
                    let detail = format!("no column is called `{name}`; the columns are {columns}");
                    self.problems.insert(0, Problem { at: named_at, detail });
                    return Err(self.told());
                }
            },
        };
        let mut order: Vec<(&str, u32)> = Vec::with_capacity(self.rows.len());
        order.extend((0..self.rows.len()).map(|row| (self.cell(row, key), row as u32)));
        order.sort_unstable();
        let problems = self.key_problems(&order);
        if !problems.is_empty() {
            drop(order);
            self.problems = problems;
            return Err(self.told());
        }
        let others = (0..self.columns.len()).filter(|column| *column != key);
        let places: Vec<usize> = std::iter::once(key).chain(others).collect();
        let columns = places.iter().filter_map(|place| self.columns.get(*place).cloned()).collect();
        let mut text = String::with_capacity(self.text.len());
        let mut ends = Vec::with_capacity(order.len() * places.len());
        for (_, row) in order {
            for place in &places {
                text.push_str(self.cell(row as usize, *place));
                // The same cells in another order: their sum still fits.
                ends.push(text.len() as u32);
            }
        }
        Ok(TableContent { columns, text, ends })
    }

    /// `order` is sorted by key, then as in the upload.
    fn key_problems(&self, order: &[(&str, u32)]) -> Vec<Problem> {
        let at = |row: u32| self.rows.get(row as usize).map_or(0, |row| row.at);
        let mut problems = Vec::new();
        let mut first: Option<(&str, u32)> = None;
        for (key, row) in order {
            match first {
                _ if key.is_empty() => {
                    problems.push(Problem { at: at(*row), detail: "the key is empty".to_owned() });
                }
                Some((same, first)) if same == *key => {
                    let (shown, unit): (String, _) = (key.chars().take(80).collect(), self.unit);
                    let detail =
                        format!("the key `{shown}` stands on {unit} {} already", at(first));
                    problems.push(Problem { at: at(*row), detail });
                }
                _ => first = Some((key, *row)),
            }
        }
        problems
    }
}
