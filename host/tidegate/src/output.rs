//! What the command line prints: JSON for programs, short tables and sentences for people; errors
//! to standard error.

use std::io::{self, Write as _};

use serde_json::Value;

/// How the commands of this run print.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printer {
    json: bool,
}

/// One column: its heading, and where its value is in a row.
pub(crate) type Column = (&'static str, &'static str);

impl Printer {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// An answer for programs as it is, or a text about it for people.
    pub(crate) fn answer(self, value: &Value, text: impl FnOnce() -> String) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.json { writeln!(out, "{value}") } else { writeln!(out, "{}", text()) }
    }

    /// A line on the way to an answer: for people alone.
    pub(crate) fn line(self, text: &str) -> io::Result<()> {
        if self.json { Ok(()) } else { writeln!(io::stdout().lock(), "{text}") }
    }

    /// A list, which an answer holds as its only array.
    pub(crate) fn list(self, value: &Value, columns: &[Column]) -> io::Result<()> {
        self.answer(value, || {
            let rows = items(value).iter();
            let cells = rows.map(|row| columns.iter().map(|(_, at)| cell(row, at)).collect());
            table(&columns.iter().map(|(heading, _)| *heading).collect::<Vec<_>>(), cells)
        })
    }

    /// One thing, a line for each of its members that is there.
    pub(crate) fn one(self, value: &Value, fields: &[Column]) -> io::Result<()> {
        self.answer(value, || facts(value, fields))
    }
}

impl Printer {
    /// One thing, and below it the lists that are in it, each where it has rows.
    pub(crate) fn facts_and_lists(
        self,
        value: &Value,
        fields: &[Column],
        lists: &[(&str, &[Column])],
    ) -> io::Result<()> {
        self.answer(value, || {
            let mut parts = vec![facts(value, fields)];
            for (at, columns) in lists {
                let rows = value.pointer(at).and_then(Value::as_array);
                let rows = rows.map(Vec::as_slice).unwrap_or_default();
                let cells =
                    rows.iter().map(|row| columns.iter().map(|(_, at)| cell(row, at)).collect());
                if !rows.is_empty() {
                    let headings: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
                    parts.push(table(&headings, cells));
                }
            }
            parts.join("\n\n")
        })
    }
}

/// A remark beside the answer: to standard error, so that the answer alone can be captured.
pub(crate) fn remark(text: &str) {
    // There is nowhere left to tell that standard error is closed.
    writeln!(io::stderr().lock(), "{text}").ok();
}

/// An error and its causes.
pub(crate) fn error(error: &anyhow::Error) {
    remark(&format!("error: {error:#}"));
}

/// Columns as wide as their widest cell, two spaces apart.
pub(crate) fn table(headings: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut lines: Vec<Vec<String>> =
        vec![headings.iter().map(|&heading| heading.to_owned()).collect()];
    lines.extend(rows);
    let mut widths = vec![0; headings.len()];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(line) {
            *width = cell.chars().count().max(*width);
        }
    }
    let padded = lines.iter().map(|line| {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    padded.collect::<Vec<_>>().join("\n")
}

fn facts(value: &Value, fields: &[Column]) -> String {
    let present = fields.iter().map(|(name, at)| (name, cell(value, at)));
    let present: Vec<_> = present.filter(|(_, text)| !text.is_empty()).collect();
    let width = present.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    let lines = present.iter().map(|(name, text)| format!("{name:width$}  {text}"));
    lines.collect::<Vec<_>>().join("\n")
}

fn items(value: &Value) -> &[Value] {
    let list = match value {
        Value::Object(members) => members.values().find_map(Value::as_array),
        other => other.as_array(),
    };
    list.map(Vec::as_slice).unwrap_or_default()
}

/// Text as it is, lists with commas, everything else as JSON; nothing for what is missing or null.
pub(crate) fn cell(row: &Value, at: &str) -> String {
    match row.pointer(at) {
        None | Some(Value::Null) => String::new(),
        Some(Value::Array(list)) if list.iter().all(Value::is_string) => {
            list.iter().map(|item| cell(item, "")).collect::<Vec<_>>().join(", ")
        }
        Some(Value::String(text)) => printable(text),
        Some(other) => other.to_string(),
    }
}

/// Control characters, with which a terminal could be steered, become spaces.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tables_align_and_leave_gaps_for_what_is_missing() {
        let value = json!({"total": 2, "keys": [
            {"id": "k1", "name": "edge \u{1b}[31mé", "scopes": ["a", "b"], "active": true},
            {"id": "long-id", "active": null},
        ]});
        let columns: [Column; 4] =
            [("ID", "/id"), ("NAME", "/name"), ("SCOPES", "/scopes"), ("ACTIVE", "/active")];
        let rows =
            items(&value).iter().map(|row| columns.iter().map(|(_, at)| cell(row, at)).collect());
        let text = table(&columns.map(|(heading, _)| heading), rows);
        assert_eq!(
            text,
            "ID       NAME         SCOPES  ACTIVE\nk1       edge  [31mé  a, b    true\nlong-id"
        );
    }

    #[test]
    fn facts_name_only_what_is_there() {
        let value =
            json!({"number": 3, "digest": "sha256:00", "none": null, "inner": {"x": [1, 2]}});
        let fields: [Column; 4] =
            [("number", "/number"), ("digest", "/digest"), ("none", "/none"), ("x", "/inner/x")];
        assert_eq!(facts(&value, &fields), "number  3\ndigest  sha256:00\nx       [1,2]");
    }
}
