//! Reads flights as events: one JSON object a row, `null` where the cell is empty.

use std::fmt::Write as _;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use anyhow::{Context as _, Result};
use bytes::Bytes;

/// The columns that hold text; all others hold whole numbers.
const TEXT: [&str; 6] = ["id", "carrier", "tailnum", "origin", "dest", "time_hour"];

/// The flights of a file that [`super::package::prepare`] wrote, in its order.
pub(crate) struct Flights {
    header: csv::StringRecord,
    rows: csv::StringRecordsIntoIter<zstd::Decoder<'static, BufReader<File>>>,
}

impl Flights {
    /// # Errors
    /// Where the file cannot be read.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let opening = || format!("opening {}", path.display());
        let file = File::open(path).with_context(opening)?;
        let decoder = zstd::Decoder::new(file).with_context(opening)?;
        let mut reader = csv::Reader::from_reader(decoder);
        let header = reader.headers().with_context(opening)?.clone();
        Ok(Self { header, rows: reader.into_records() })
    }
}

impl Iterator for Flights {
    type Item = Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = self.rows.next()?;
        Some(row.context("reading a flight").and_then(|row| event(&self.header, &row)))
    }
}

fn event(header: &csv::StringRecord, row: &csv::StringRecord) -> Result<Bytes> {
    let mut json = String::with_capacity(400);
    for (name, value) in header.iter().zip(row) {
        json.push(if json.is_empty() { '{' } else { ',' });
        write!(json, "\"{name}\":")?;
        if value.is_empty() {
            json.push_str("null");
        } else if TEXT.contains(&name) {
            json.push_str(&serde_json::to_string(value)?);
        } else {
            let number: i64 = value
                .parse()
                .with_context(|| format!("`{value}` in column {name} is no number"))?;
            write!(json, "{number}")?;
        }
    }
    json.push('}');
    Ok(json.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data;

    #[test]
    fn cells_become_typed_members() {
        let header = csv::StringRecord::from(vec!["id", "dep_time", "tailnum", "arr_delay"]);
        let row = |cells: &[&str]| event(&header, &csv::StringRecord::from(cells.to_vec()));
        assert_eq!(
            row(&["1/\"a\"", "517", "", "-3"]).unwrap(),
            r#"{"id":"1/\"a\"","dep_time":517,"tailnum":null,"arr_delay":-3}"#
        );
        assert!(row(&["1", "NA", "", ""]).is_err());
    }

    #[test]
    fn the_slice_is_january() {
        let mut count = 0;
        for event in Flights::open(&data::january()).unwrap() {
            let event: serde_json::Value = serde_json::from_slice(&event.unwrap()).unwrap();
            assert_eq!((&event["year"], &event["month"]), (&2013.into(), &1.into()), "{event}");
            count += 1;
        }
        assert_eq!(count, data::expected::JANUARY.events);
    }
}
