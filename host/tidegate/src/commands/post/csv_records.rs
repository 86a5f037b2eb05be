//! CSV (RFC 4180) as events: the header gives the member names, in its order. An empty field is
//! null; one that looks like a number is that number, digit by digit as it is written; everything
//! else is text. An integer beyond 64 bits, and one with leading zeros, is text.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use csv::{ReaderBuilder, StringRecord};
use serde_json::Number;
use tidegate_connector::InputError;

use super::input::MAX_RECORD_BYTES;

/// Which fields become what.
#[derive(Clone, Debug, Default)]
pub(super) struct CsvOptions {
    pub(super) text_columns: Vec<String>,
    pub(super) null_texts: Vec<String>,
    pub(super) empty_as_text: bool,
}

pub(super) struct CsvRecords<R> {
    reader: csv::Reader<Metered<R>>,
    /// Bytes that may still be read for the record at hand.
    allowance: Arc<AtomicUsize>,
    columns: Vec<Column>,
    options: CsvOptions,
    record: StringRecord,
}

struct Column {
    /// `"name":`
    opening: Vec<u8>,
    is_text: bool,
}

impl<R: Read> CsvRecords<R> {
    /// Reads the header.
    pub(super) fn new(reader: R, options: &CsvOptions) -> Result<Self, InputError> {
        let allowance = Arc::new(AtomicUsize::new(MAX_RECORD_BYTES));
        let metered = Metered { inner: reader, allowance: Arc::clone(&allowance) };
        let mut reader = ReaderBuilder::new().from_reader(metered);
        let header = reader.headers()?.clone();
        let columns = columns(&header, options)?;
        Ok(Self {
            reader,
            allowance,
            columns,
            options: options.clone(),
            record: StringRecord::new(),
        })
    }

    fn event(&self) -> Result<Bytes, InputError> {
        let mut out = Vec::with_capacity(self.record.as_slice().len() + 16 * self.columns.len());
        out.push(b'{');
        for (column, field) in self.columns.iter().zip(&self.record) {
            if out.len() > 1 {
                out.push(b',');
            }
            out.extend_from_slice(&column.opening);
            self.write_value(&mut out, column, field)?;
        }
        out.push(b'}');
        Ok(out.into())
    }

    fn write_value(
        &self,
        out: &mut Vec<u8>,
        column: &Column,
        field: &str,
    ) -> serde_json::Result<()> {
        let is_null = (field.is_empty() && !self.options.empty_as_text)
            || self.options.null_texts.iter().any(|text| text == field);
        if is_null {
            out.extend_from_slice(b"null");
            Ok(())
        } else if !column.is_text && is_number(field) {
            out.extend_from_slice(field.as_bytes());
            Ok(())
        } else {
            serde_json::to_writer(out, field)
        }
    }
}

impl<R: Read> Iterator for CsvRecords<R> {
    type Item = Result<Bytes, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.allowance.store(MAX_RECORD_BYTES, Ordering::Relaxed);
        match self.reader.read_record(&mut self.record) {
            Ok(false) => None,
            Ok(true) => Some(self.event()),
            Err(error) => Some(Err(error.into())),
        }
    }
}

fn columns(header: &StringRecord, options: &CsvOptions) -> Result<Vec<Column>, InputError> {
    for name in &options.text_columns {
        if !header.iter().any(|column| column == name) {
            return Err(format!("there is no column `{name}` to keep as text").into());
        }
    }
    let mut columns = Vec::with_capacity(header.len());
    for (place, name) in header.iter().enumerate() {
        if name.is_empty() {
            return Err(format!("column {} has no name in the header", place + 1).into());
        }
        if header.iter().take(place).any(|before| before == name) {
            return Err(format!("the header names column `{name}` twice").into());
        }
        let mut opening = serde_json::to_vec(name)?;
        opening.push(b':');
        columns.push(Column {
            opening,
            is_text: options.text_columns.iter().any(|text| text == name),
        });
    }
    Ok(columns)
}

/// A JSON number whose value survives: an integer of 64 bits, or a decimal that is a finite double.
fn is_number(field: &str) -> bool {
    let is_edge = |byte: Option<u8>, also: &[u8]| {
        byte.is_some_and(|byte| byte.is_ascii_digit() || also.contains(&byte))
    };
    if !is_edge(field.bytes().next(), b"-") || !is_edge(field.bytes().next_back(), b"") {
        return false;
    }
    let is_integer = !field.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
    match serde_json::from_str::<Number>(field) {
        // serde_json reads `-0` and integers beyond 64 bits as doubles.
        Ok(number) => !is_integer || number.is_i64() || number.is_u64() || field == "-0",
        Err(_) => false,
    }
}

/// Ends with an error where one record takes more than its allowance, such as after a quotation
/// mark that is never closed.
struct Metered<R> {
    inner: R,
    allowance: Arc<AtomicUsize>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.allowance.load(Ordering::Relaxed);
        if left == 0 {
            return Err(io::Error::other(format!(
                "one record is longer than {MAX_RECORD_BYTES} bytes; is a quotation mark missing?"
            )));
        }
        let count = self.inner.read(buffer)?;
        self.allowance.store(left.saturating_sub(count), Ordering::Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(text: &str, options: &CsvOptions) -> Vec<String> {
        let records = match CsvRecords::new(text.as_bytes(), options) {
            Ok(records) => records,
            Err(error) => return vec![format!("error: {error}")],
        };
        let shown = records.map(|event| match event {
            Ok(event) => String::from_utf8(event.to_vec()).unwrap(),
            Err(error) => format!("error: {error}"),
        });
        shown.collect()
    }

    #[test]
    fn fields_are_typed() {
        let value = |field: &str| {
            let event = events(&format!("v,w\n{field},x\n"), &CsvOptions::default()).remove(0);
            event.strip_prefix("{\"v\":").unwrap().strip_suffix(",\"w\":\"x\"}").unwrap().to_owned()
        };
        for (field, json) in [
            ("", "null"),
            ("\"\"", "null"),
            ("0", "0"),
            ("-0", "-0"),
            ("517", "517"),
            ("-1.50", "-1.50"),
            ("1e3", "1e3"),
            ("\"12\"", "12"),
            ("18446744073709551615", "18446744073709551615"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"),
            ("18446744073709551616", "\"18446744073709551616\""),
            ("1e999", "\"1e999\""),
            ("007", "\"007\""),
            ("+1", "\"+1\""),
            (".5", "\".5\""),
            ("5.", "\"5.\""),
            ("1 ", "\"1 \""),
            (" 1", "\" 1\""),
            ("0x10", "\"0x10\""),
            ("NaN", "\"NaN\""),
            ("-", "\"-\""),
            ("NA", "\"NA\""),
            ("true", "\"true\""),
            ("null", "\"null\""),
            ("1-2", "\"1-2\""),
            ("\"a \"\"b\"\",\nc\"", "\"a \\\"b\\\",\\nc\""),
            ("ZRH\u{7}é", "\"ZRH\\u0007é\""),
        ] {
            assert_eq!(value(field), json, "{field}");
        }
    }

    #[test]
    fn options_decide() {
        let options = CsvOptions {
            text_columns: vec!["flight".into()],
            null_texts: vec!["NA".into(), "-99".into()],
            empty_as_text: true,
        };
        let text = "flight,delay\n1545,NA\n,-99\nNA,\n";
        assert_eq!(
            events(text, &options),
            [
                r#"{"flight":"1545","delay":null}"#,
                r#"{"flight":"","delay":null}"#,
                r#"{"flight":null,"delay":""}"#,
            ]
        );
    }

    #[test]
    fn headers_and_records_are_checked() {
        let none = CsvOptions::default();
        for (text, expected) in [
            ("", &[][..]),
            ("a\n", &[]),
            ("\u{feff}a,b\r\n1,2\r\n\r\n3,4", &[r#"{"a":1,"b":2}"#, r#"{"a":3,"b":4}"#]),
            ("a b,\"c\"\"d\"\n1,2\n", &[r#"{"a b":1,"c\"d":2}"#]),
            ("a,,b\n", &["error: column 2 has no name in the header"]),
            ("a,b,a\n", &["error: the header names column `a` twice"]),
        ] {
            assert_eq!(events(text, &none), expected, "{text:?}");
        }
        let ragged = events("a,b\n1,2\n3\n", &none);
        assert_eq!(ragged[0], r#"{"a":1,"b":2}"#);
        assert!(ragged[1].starts_with("error: ") && ragged[1].contains("line: 3"), "{}", ragged[1]);
        let options = CsvOptions { text_columns: vec!["x".into()], ..none };
        assert_eq!(events("a\n", &options), ["error: there is no column `x` to keep as text"]);
    }

    #[test]
    fn an_open_quotation_mark_does_not_take_the_whole_input() {
        let endless = "a\n1\n\"".as_bytes().chain(io::repeat(b'x'));
        let mut records = CsvRecords::new(endless, &CsvOptions::default()).unwrap();
        assert_eq!(records.next().unwrap().unwrap(), r#"{"a":1}"#);
        let error = records.next().unwrap().unwrap_err();
        assert!(error.to_string().contains("quotation mark"), "{error}");
    }
}
