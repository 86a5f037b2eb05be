//! Cells cut out of events, as the contract defines them.

use std::collections::HashMap;

use serde_json::value::RawValue;

use crate::boundary::{CellType, Column};

/// The values of host columns for one event, by name.
pub(crate) type HostColumns = HashMap<String, Box<RawValue>>;

/// One event of a case.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) json: Box<RawValue>,
    pub(crate) host: HostColumns,
}

impl Event {
    /// The JSON text at a pointer or of a host column; `None` where there is none.
    pub(crate) fn at(&self, pointer: &str) -> Option<String> {
        if pointer.starts_with('@') {
            return self.host.get(pointer).map(|value| value.get().to_owned());
        }
        at_pointer(&self.json, pointer).map(|value| value.get().to_owned())
    }
}

fn at_pointer(json: &RawValue, pointer: &str) -> Option<Box<RawValue>> {
    let mut place = json.to_owned();
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        place = if place.get().starts_with('{') {
            let mut members: HashMap<String, Box<RawValue>> =
                serde_json::from_str(place.get()).ok()?;
            members.remove(&token)?
        } else {
            let items: Vec<Box<RawValue>> = serde_json::from_str(place.get()).ok()?;
            let canonical = token == "0" || !token.starts_with(['0', '+']);
            let index: usize = canonical.then(|| token.parse().ok())??;
            items.into_iter().nth(index)?
        };
    }
    Some(place)
}

/// Fills in the `@occurrence` columns that are read and that the case does not give, as the host
/// counts them: how often the value has come so far, this row included. A row without the value
/// stands alone.
pub(crate) fn occurrences(events: &mut [Event], pointers: impl Iterator<Item = String>) {
    for column in pointers {
        let Some(pointer) = column.strip_prefix("@occurrence") else { continue };
        let place = if pointer.is_empty() { "@key" } else { pointer };
        let mut seen: HashMap<String, u64> = HashMap::new();
        for event in events.iter_mut() {
            let is_key = |value: &String| !pointer.is_empty() || value != "null";
            let count = event.at(place).filter(is_key).map_or(1, |value| {
                let count = seen.entry(value).or_default();
                *count += 1;
                *count
            });
            let lexeme = RawValue::from_string(count.to_string()).expect("a number is JSON");
            event.host.entry(column.clone()).or_insert(lexeme);
        }
    }
}

impl Column {
    /// Appends a row: the cell of a JSON text, `None` for a missing field.
    pub(crate) fn push(&mut self, cell: CellType, lexeme: Option<&str>) {
        let validity = match lexeme {
            None => 0,
            Some("null") if cell != CellType::Json => 1,
            Some(lexeme) => {
                if self.push_value(cell, lexeme) {
                    2
                } else {
                    3
                }
            }
        };
        if validity != 2 {
            let slot: &[u8] = match cell {
                CellType::Text | CellType::Json => &[],
                CellType::Integer | CellType::Number => &[0; 8],
                CellType::Boolean => &[0],
            };
            self.data.extend_from_slice(slot);
        }
        self.validity.push(validity);
        if matches!(cell, CellType::Text | CellType::Json) {
            self.offsets.push(u32::try_from(self.data.len()).expect("cases are small"));
        }
    }

    /// Appends a value; false, and nothing is appended, where it has another type.
    fn push_value(&mut self, cell: CellType, lexeme: &str) -> bool {
        let bytes = match cell {
            CellType::Json => Some(lexeme.as_bytes().to_vec()),
            CellType::Text => serde_json::from_str(lexeme).ok().map(String::into_bytes),
            CellType::Integer => integer(lexeme).map(|value| value.to_le_bytes().to_vec()),
            CellType::Number => {
                serde_json::from_str(lexeme).ok().map(|value: f64| value.to_le_bytes().to_vec())
            }
            CellType::Boolean => {
                serde_json::from_str(lexeme).ok().map(|value: bool| vec![u8::from(value)])
            }
        };
        self.data.extend_from_slice(bytes.as_deref().unwrap_or_default());
        bytes.is_some()
    }
}

/// The integer of a JSON number; `1e3` and `2.0` are integers.
fn integer(lexeme: &str) -> Option<i64> {
    if let Ok(exact) = lexeme.parse() {
        return Some(exact);
    }
    let number: f64 = serde_json::from_str(lexeme).ok()?;
    // Both bounds are exact doubles; the upper one is the first that does not fit.
    let fits = number.fract() == 0.0
        && (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&number);
    fits.then_some(number as i64)
}

/// Compares exactly: every finite double is rounded to the integers within it.
pub(crate) fn integer_in_range(value: i64, low: f64, high: f64) -> bool {
    let value = i128::from(value);
    // Casts saturate, and `i128` holds every integer that an `i64` is compared with.
    !low.is_nan()
        && !high.is_nan()
        && (low.ceil() as i128) <= value
        && value <= (high.floor() as i128)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_values() {
        use CellType::{Boolean, Integer, Json, Number, Text};
        let nine = 9i64.to_le_bytes();
        let low = i64::MIN.to_le_bytes();
        let half = 0.5f64.to_le_bytes();
        let none: &[u8] = &[];
        for (cell, lexeme, validity, data) in [
            (Text, Some(r#""a\u00e9""#), 2, "aé".as_bytes()),
            (Text, Some("\"\""), 2, none),
            (Text, Some("7"), 3, none),
            (Text, Some("null"), 1, none),
            (Text, None, 0, none),
            (Integer, Some("9"), 2, &nine),
            (Integer, Some("9.0"), 2, &nine),
            (Integer, Some("0.9e1"), 2, &nine),
            (Integer, Some("-9223372036854775808"), 2, &low),
            (Integer, Some("9223372036854775808"), 3, &[0; 8]),
            (Integer, Some("9.5"), 3, &[0; 8]),
            (Integer, Some("\"9\""), 3, &[0; 8]),
            (Number, Some("5e-1"), 2, &half),
            (Number, Some("true"), 3, &[0; 8]),
            (Boolean, Some("true"), 2, &[1]),
            (Boolean, Some("0"), 3, &[0]),
            (Boolean, None, 0, &[0]),
            (Json, Some("null"), 2, b"null"),
            (Json, Some("[ 1.0 ]"), 2, b"[ 1.0 ]"),
        ] {
            let mut column = Column::default();
            column.push(cell, lexeme);
            assert_eq!(
                (column.validity, &*column.data),
                (vec![validity], data),
                "{cell:?} {lexeme:?}"
            );
        }
    }

    #[test]
    fn places_in_events() {
        let json = r#"{"a":{"b":[10,{"":1}],"~/":2},"":3,"n":null}"#;
        let event = Event { json: serde_json::from_str(json).unwrap(), host: HostColumns::new() };
        for (pointer, expected) in [
            ("", Some(json)),
            ("/", Some("3")),
            ("/a/b", Some(r#"[10,{"":1}]"#)),
            ("/a/b/0", Some("10")),
            ("/a/b/1/", Some("1")),
            ("/a/~0~1", Some("2")),
            ("/n", Some("null")),
            ("/n/x", None),
            ("/a/b/00", None),
            ("/a/b/+1", None),
            ("/a/b/2", None),
            ("/a/b/-", None),
            ("/c", None),
            ("@node", None),
        ] {
            assert_eq!(event.at(pointer).as_deref(), expected, "{pointer}");
        }
    }

    #[test]
    fn integers_are_compared_exactly() {
        let (most, infinity) = (i64::MAX, f64::INFINITY);
        for (value, low, high, within) in [
            (1, 1.0, 1.0, true),
            (1, 1.5, 2.0, false),
            (1, 0.0, 0.5, false),
            (0, -infinity, infinity, true),
            // As doubles, both would be 2^53.
            (9_007_199_254_740_993, 0.0, 9_007_199_254_740_992.0, false),
            (most, 0.0, 9_223_372_036_854_775_808.0, true),
            (most, 9_223_372_036_854_775_808.0, infinity, false),
            (0, f64::NAN, 1.0, false),
            (0, 0.0, f64::NAN, false),
        ] {
            assert_eq!(integer_in_range(value, low, high), within, "{value} {low} {high}");
        }
    }
}
