//! The form of a golden case, with the lines on which its parts stand.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// A text that is no case.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct CaseError {
    /// From 1.
    pub line: usize,
    pub message: String,
}

/// One case.
#[derive(Debug)]
pub struct Case<'t> {
    text: &'t str,
    pub config: &'t RawValue,
    pub tables: BTreeMap<String, Vec<TableRow>>,
    pub events: Vec<&'t RawValue>,
    /// For each event its host columns, an object; empty where the case gives none.
    pub host: Vec<&'t RawValue>,
    /// What the rule must say of the events; `None` where its configuration must be refused.
    pub expect: Option<Expected>,
    pub expect_problems: Vec<ExpectedProblem>,
}

/// What a rule must say of a case's events.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    #[serde(default)]
    pub findings: Vec<Finding>,
    #[serde(default)]
    pub patches: Vec<Patch>,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    pub row: usize,
    pub code: String,
    pub severity: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Compared only where the case gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    pub row: usize,
    pub op: String,
    pub pointer: String,
    // `null` is a value too, so its absence is told apart.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub value: Option<serde_json::Value>,
}

fn present<'de, D: Deserializer<'de>>(from: D) -> Result<Option<serde_json::Value>, D::Error> {
    serde_json::Value::deserialize(from).map(Some)
}

/// A problem that the rule must find in its configuration.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedProblem {
    pub pointer: String,
    /// A part of the whole message.
    pub message: String,
}

/// A row of a reference table: its members in the order in which they stand, the first the key.
#[derive(Clone, Debug)]
pub struct TableRow(pub Vec<(String, Option<String>)>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form<'t> {
    #[serde(borrow)]
    config: &'t RawValue,
    #[serde(default)]
    tables: BTreeMap<String, Vec<TableRow>>,
    #[serde(default, borrow)]
    events: Vec<&'t RawValue>,
    #[serde(default, borrow)]
    host: Vec<&'t RawValue>,
    expect: Option<Expected>,
    expect_problems: Option<Vec<ExpectedProblem>>,
}

impl<'t> Case<'t> {
    /// Reads a case.
    ///
    /// # Errors
    /// Where the text is no case, with the line.
    pub fn parse(text: &'t str) -> Result<Self, CaseError> {
        let wrong = |line, message: &str| Err(CaseError { line, message: message.into() });
        let Form { config, tables, events, host, expect, expect_problems } =
            serde_json::from_str(text).map_err(|error| CaseError {
                line: error.line().max(1),
                message: format!("this is no case: {error}"),
            })?;
        if expect.is_some() == expect_problems.is_some() {
            return wrong(1, "a case has one of `expect` and `expect_problems`");
        }
        if expect.is_some() && events.is_empty() {
            return wrong(1, "`events` is empty: a batch has at least one row");
        }
        if !host.is_empty() && host.len() != events.len() {
            return wrong(1, "`host` has one entry for each event, or is left out");
        }
        let expect_problems = expect_problems.unwrap_or_default();
        let case = Self { text, config, tables, events, host, expect, expect_problems };
        if let Some(other) = case.host.iter().find(|columns| !columns.get().starts_with('{')) {
            return wrong(case.line_of(other), "an entry of `host` is an object of columns");
        }
        if let Some((name, _)) = case.tables.iter().find(|(_, rows)| rows_disagree(rows)) {
            return wrong(1, &format!("the rows of table `{name}` have different keys"));
        }
        Ok(case)
    }

    /// The line, from 1, on which a part of this case begins.
    #[must_use]
    pub fn line_of(&self, part: &RawValue) -> usize {
        let start = (part.get().as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        let before = self.text.as_bytes().get(..start).unwrap_or_default();
        1 + before.iter().filter(|byte| **byte == b'\n').count()
    }
}

/// Is another column the first in one row than in another?
fn rows_disagree(rows: &[TableRow]) -> bool {
    let key = |row: &TableRow| row.0.first().map(|(name, _)| name.clone());
    rows.iter().zip(rows.iter().skip(1)).any(|(one, next)| key(one) != key(next))
}

impl<'de> Deserialize<'de> for TableRow {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = TableRow;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table's row: an object of texts, the key first")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<TableRow, A::Error> {
        let mut out = Vec::new();
        while let Some(member) = members.next_entry::<String, Option<String>>()? {
            out.push(member);
        }
        match out.first() {
            Some((_, Some(_))) => Ok(TableRow(out)),
            _ => Err(serde::de::Error::custom("a table's row begins with its key")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_know_their_lines() {
        let text = "{\"config\": {},\n\"events\": [\n  {},\n  {\"a\":\n 1}],\n\"expect\": {}}";
        let case = Case::parse(text).expect("a case");
        let lines: Vec<usize> = case.events.iter().map(|event| case.line_of(event)).collect();
        assert_eq!((case.line_of(case.config), lines), (1, vec![3, 4]));
    }

    #[test]
    fn what_is_no_case_is_told_with_its_line() {
        for (text, line, why) in [
            ("", 1, "no case"),
            ("{\n\"confg\": {}}", 2, "confg"),
            ("{\"config\": {}}", 1, "one of `expect`"),
            ("{\"config\": {}, \"expect\": {}, \"expect_problems\": []}", 1, "one of `expect`"),
            ("{\"config\": {}, \"expect\": {}}", 1, "at least one row"),
            (
                "{\"config\": {}, \"expect\": {}, \"events\": [1], \"host\": [{}, {}]}",
                1,
                "one entry",
            ),
            ("{\"config\": {}, \"expect\": {}, \"events\": [1], \"host\": [\n7]}", 2, "object of"),
            (
                "{\"config\": {}, \"expect_problems\": [], \"tables\": {\"t\": [{}]}}",
                1,
                "begins with",
            ),
            (
                "{\"config\": {}, \"expect_problems\": [], \"tables\": {\"t\": [{\"a\": \"1\"}, {\"b\": \"1\"}]}}",
                1,
                "table `t` have different keys",
            ),
        ] {
            let error = Case::parse(text).expect_err(why);
            assert!(error.message.contains(why) && error.line == line, "{error}");
        }
    }
}
