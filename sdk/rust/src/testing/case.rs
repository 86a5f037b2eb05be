//! The form of a golden case.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::boundary::native::{HostColumns, Table, TableRow};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) config: Box<RawValue>,
    #[serde(default)]
    pub(super) tables: BTreeMap<String, Vec<Row>>,
    #[serde(default)]
    pub(super) events: Vec<Box<RawValue>>,
    #[serde(default)]
    pub(super) host: Vec<HostColumns>,
    pub(super) expect: Option<Expected>,
    pub(super) expect_problems: Option<Vec<ExpectedProblem>>,
}

impl Case {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let case: Self =
            serde_json::from_str(text).map_err(|error| format!("this is no case: {error}"))?;
        if case.expect.is_some() == case.expect_problems.is_some() {
            return Err("a case has one of `expect` and `expect_problems`".to_owned());
        }
        if case.expect.is_some() && case.events.is_empty() {
            return Err("`events` is empty: a batch has at least one row".to_owned());
        }
        if !case.host.is_empty() && case.host.len() != case.events.len() {
            return Err("`host` has one entry for each event, or is left out".to_owned());
        }
        Ok(case)
    }

    pub(super) fn table(&self, name: &str) -> Result<Table, String> {
        let rows =
            self.tables.get(name).ok_or_else(|| format!("the case has no table `{name}`"))?;
        let keyed = rows.iter().map(|row| (row.key.clone(), row.cells.clone()));
        Ok(Table(keyed.collect()))
    }
}

/// What a rule must say of a case's events.
#[derive(Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expected {
    #[serde(default)]
    pub(super) findings: Vec<Finding>,
    #[serde(default)]
    pub(super) patches: Vec<Patch>,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Finding {
    pub(super) row: usize,
    pub(super) code: String,
    pub(super) severity: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) pointer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) detail: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Patch {
    pub(super) row: usize,
    pub(super) op: String,
    pub(super) pointer: String,
    // `null` is a value too, so its absence is told apart.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<serde_json::Value>,
}

fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<serde_json::Value>, D::Error> {
    serde_json::Value::deserialize(from).map(Some)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectedProblem {
    pub(super) pointer: String,
    pub(super) message: String,
}

/// A row of a reference table. Read by hand because the order of its members matters.
#[derive(Debug)]
pub(super) struct Row {
    key: String,
    cells: TableRow,
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RowVisitor)
    }
}

struct RowVisitor;

impl<'de> Visitor<'de> for RowVisitor {
    type Value = Row;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table's row: an object of texts, the key first")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Row, A::Error> {
        let mut key = None;
        let mut cells = TableRow::new();
        while let Some((name, text)) = members.next_entry::<String, Option<String>>()? {
            if cells.is_empty() {
                key.clone_from(&text);
            }
            cells.insert(name, text);
        }
        let key =
            key.ok_or_else(|| serde::de::Error::custom("a table's row begins with its key"))?;
        Ok(Row { key, cells })
    }
}
