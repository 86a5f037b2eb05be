//! Golden cases as files: the SDK documents their form. All but the rows of tables is read here anew, so
//! that the engine is checked against the text and not against what travels in components.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tidegate_golden::TableRow;
use tidegate_plugin_host::{Table, Tables};
use tidegate_types::{EventId, TableName, UnixMillis};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) config: Box<RawValue>,
    #[serde(default)]
    tables: BTreeMap<String, Vec<TableRow>>,
    #[serde(default)]
    pub(super) events: Vec<Box<RawValue>>,
    #[serde(default)]
    host: Vec<Map<String, Value>>,
    #[serde(default)]
    expect: Map<String, Value>,
    pub(super) expect_problems: Option<Vec<Value>>,
}

impl Case {
    pub(super) fn parse(text: &str) -> Self {
        let case: Self = serde_json::from_str(text).expect("a case");
        let settled = settle_ids(text, &case.host);
        serde_json::from_str(&settled).expect("a case")
    }

    pub(super) fn host_column(&self, row: usize, column: &str) -> Option<&str> {
        self.host.get(row)?.get(column)?.as_str()
    }

    /// Does the rule read how often a value has come in the request? Then the request is part of
    /// what a verdict depends on.
    pub(super) fn counts_occurrences(&self) -> bool {
        self.config.get().contains("\"unique\"")
    }

    pub(super) fn expected_findings(&self) -> &[Value] {
        self.expect.get("findings").and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// What the rule must say, both lists there.
    pub(super) fn expected(&self) -> Value {
        let list = |name: &str| self.expect.get(name).cloned().unwrap_or_else(|| json!([]));
        json!({ "findings": list("findings"), "patches": list("patches") })
    }

    pub(super) fn tables(&self) -> Tables {
        let table = |(name, rows): (&String, &Vec<TableRow>)| {
            let name = TableName::new(name).expect("a table's name");
            (name, Arc::new(table(rows)))
        };
        self.tables.iter().map(table).collect()
    }
}

/// A case names ids and times of its own; a real id holds its time. Where a row gives both, its id
/// is replaced, wherever it stands in the case, by one of that time.
fn settle_ids(text: &str, host: &[Map<String, Value>]) -> String {
    let mut text = text.to_owned();
    for (at, columns) in host.iter().enumerate() {
        let column = |name: &str| columns.get(name).and_then(Value::as_str);
        if let (Some(id), Some(time)) = (column("@event_id"), column("@received_at")) {
            let time = UnixMillis::parse_rfc3339(time).expect("a time");
            text = text.replace(id, &EventId::from_parts(time, 0, at as u64).to_string());
        }
    }
    text
}

/// The first member of the first row is the key; a cell that is null or left out is empty.
fn table(rows: &[TableRow]) -> Table {
    let key = rows
        .first()
        .and_then(|row| row.0.first())
        .map(|(name, _)| name.clone())
        .expect("a table has a row");
    let names: BTreeSet<&String> =
        rows.iter().flat_map(|row| row.0.iter().map(|(name, _)| name)).collect();
    let cell = |row: &TableRow, name: &String| {
        let found = row.0.iter().find(|(other, _)| other == name);
        found.and_then(|(_, cell)| cell.clone()).unwrap_or_default()
    };
    let cells = rows.iter().map(|row| names.iter().map(|name| cell(row, name)).collect());
    Table::new(1, names.iter().map(|name| (*name).clone()).collect(), &key, cells).expect("a table")
}
