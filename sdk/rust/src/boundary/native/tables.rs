//! Reference tables of cases. Their cells are text, as in the CSV files that tables come from.

use std::collections::BTreeMap;

use crate::boundary::CellType;

/// A row by column name; `None` is an empty cell.
pub(crate) type TableRow = BTreeMap<String, Option<String>>;

/// A reference table: its rows by their key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table(pub(crate) BTreeMap<String, TableRow>);

impl Table {
    pub(crate) fn contains(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    pub(crate) fn row(&self, key: &str) -> Option<&TableRow> {
        self.0.get(key)
    }
}

/// A table's cell as JSON text: quoted where it is read as text, as it stands where it is read as
/// anything else.
pub(crate) fn lexeme(row: &TableRow, column: &str, cell: CellType) -> String {
    match row.get(column) {
        Some(Some(text)) if cell == CellType::Text => {
            serde_json::Value::from(text.as_str()).to_string()
        }
        Some(Some(text)) => text.clone(),
        Some(None) | None => "null".to_owned(),
    }
}
