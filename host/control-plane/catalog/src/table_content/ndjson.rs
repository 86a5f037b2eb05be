//! From NDJSON to rows: one object a line. A text is its text, a number, `true` and `false` are what
//! is written, `null` and a member that is not there are "no value". The columns come in the order in
//! which their names first appear.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::de::{DeserializeSeed, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::rows::{Enough, Rows};
use super::{TableBounds, TableContent, TableError, Unit};

/// Columns by name.
type Columns = HashMap<String, usize>;

pub(super) fn parse(
    bytes: &[u8],
    key: Option<&str>,
    bounds: TableBounds,
) -> Result<TableContent, TableError> {
    let text = super::utf8(bytes)?;
    let mut rows = Rows::new(Unit::Line, bounds);
    let (Ok(()) | Err(Enough)) = read(text, &mut rows);
    let rows = rows.checked()?;
    if rows.columns.is_empty() {
        return Err(TableError::one(
            Unit::Line,
            1,
            "there is no object with the names of the columns",
        ));
    }
    rows.by_key(key, 1)
}

fn read(text: &str, rows: &mut Rows) -> Result<(), Enough> {
    let mut columns = Columns::new();
    let mut line = Line::default();
    for (object, at) in text.lines().zip(1u64..) {
        if object.trim().is_empty() {
            continue;
        }
        line.clear();
        let mut reader = serde_json::Deserializer::from_str(object);
        let read =
            Members(&mut line, &mut columns).deserialize(&mut reader).and_then(|()| reader.end());
        if let Err(error) = read {
            rows.problem(at, told(&error))?;
            continue;
        }
        for name in line.new.drain(..) {
            rows.name_column(name, at)?;
        }
        if rows.has_problems() {
            // What follows is read for its own problems alone.
            continue;
        }
        rows.push(at, &line.row.0, line.row.1.iter().copied())?;
    }
    Ok(())
}

/// An error of serde, without the line, which is always 1.
fn told(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.split_once(" at line 1 column ") {
        Some((what, column)) => format!("{what} (at byte {column} of the line)"),
        None => text,
    }
}

/// One line's members.
#[derive(Default)]
struct Line {
    /// Names that no line before had, in their order.
    new: Vec<String>,
    /// The cells by column; `None` where there is no value.
    cells: Vec<Option<String>>,
    /// Which columns the line has named.
    named: Vec<bool>,
    /// The cells' text, and where each ends.
    row: (String, Vec<usize>),
}

impl Line {
    fn clear(&mut self) {
        self.new.clear();
        self.cells.clear();
        self.named.clear();
        self.row.0.clear();
        self.row.1.clear();
    }
}

/// Reads an object into a line.
struct Members<'a>(&'a mut Line, &'a mut Columns);

impl<'de> DeserializeSeed<'de> for Members<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Members<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a member for each column")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        use serde::de::Error as _;
        let Self(line, columns) = self;
        while let Some(name) = members.next_key::<Cow<'de, str>>()? {
            let value: &RawValue = members.next_value()?;
            let column = match columns.get(&*name) {
                Some(column) => *column,
                None => {
                    let column = columns.len();
                    if column >= super::MAX_COLUMNS {
                        let most = super::MAX_COLUMNS;
                        return Err(A::Error::custom(format!(
                            "a table has at most {most} columns"
                        )));
                    }
                    columns.insert(name.clone().into_owned(), column);
                    line.new.push(name.clone().into_owned());
                    column
                }
            };
            if line.cells.len() <= column {
                line.cells.resize(column + 1, None);
                line.named.resize(column + 1, false);
            }
            let named = line.named.get_mut(column).map(|named| std::mem::replace(named, true));
            if named == Some(true) {
                return Err(A::Error::custom(format!("the member `{name}` comes twice")));
            }
            let cell = cell(value.get()).ok_or_else(|| {
                let detail = "must be a text, a number, true, false or null";
                A::Error::custom(format!("the member `{name}` {detail}"))
            })?;
            if let Some(slot) = line.cells.get_mut(column) {
                *slot = cell;
            }
        }
        for cell in &line.cells {
            line.row.0.push_str(cell.as_deref().unwrap_or_default());
            line.row.1.push(line.row.0.len());
        }
        Ok(())
    }
}

/// The text of a value; `None` where it is an object or an array.
fn cell(json: &str) -> Option<Option<String>> {
    match json.as_bytes().first()? {
        b'{' | b'[' => None,
        b'n' => Some(None),
        b'"' => serde_json::from_str(json).ok(),
        _ => Some(Some(json.to_owned())),
    }
}
