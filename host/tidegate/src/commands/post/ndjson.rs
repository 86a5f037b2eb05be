//! NDJSON: one event per line. Empty lines are passed over; what a line holds is not looked at.

use std::io::{BufRead, Read as _};

use bytes::Bytes;
use tidegate_connector::InputError;

use super::input::MAX_RECORD_BYTES;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

pub(super) struct NdjsonRecords<R> {
    reader: R,
    line: u64,
}

impl<R: BufRead> NdjsonRecords<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, line: 0 }
    }

    /// The next line with its line break; empty at the end.
    fn read_line(&mut self) -> Result<Vec<u8>, InputError> {
        self.line += 1;
        let mut line = Vec::new();
        let limit = MAX_RECORD_BYTES as u64 + 1;
        let read = self.reader.by_ref().take(limit).read_until(b'\n', &mut line);
        read.map_err(|error| format!("line {}: {error}", self.line))?;
        if line.len() > MAX_RECORD_BYTES {
            return Err(
                format!("line {}: it is longer than {MAX_RECORD_BYTES} bytes", self.line).into()
            );
        }
        Ok(line)
    }
}

impl<R: BufRead> Iterator for NdjsonRecords<R> {
    type Item = Result<Bytes, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let line = match self.read_line() {
                Ok(line) => Bytes::from(line),
                Err(error) => return Some(Err(error)),
            };
            if line.is_empty() {
                return None;
            }
            let mut event: &[u8] = &line;
            if self.line == 1 {
                event = event.strip_prefix(BYTE_ORDER_MARK).unwrap_or(event);
            }
            let event = event.trim_ascii();
            if !event.is_empty() {
                return Some(Ok(line.slice_ref(event)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, BufReader};

    use super::*;

    fn lines(text: &[u8]) -> Vec<String> {
        let records = NdjsonRecords::new(BufReader::with_capacity(3, text));
        records.map(|line| String::from_utf8(line.unwrap().to_vec()).unwrap()).collect()
    }

    #[test]
    fn lines_are_events() {
        for (text, expected) in [
            (&b""[..], &[][..]),
            (b"\n\r\n  \n", &[]),
            (b"{}\n{\"a\":1}\n", &["{}", "{\"a\":1}"]),
            (b"\xef\xbb\xbf{}\r\n\r\n\t{ }\r\n", &["{}", "{ }"]),
            (b"{}\n{\"torn\"", &["{}", "{\"torn\""]),
        ] {
            assert_eq!(lines(text), expected, "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn a_line_without_end_is_not_read_whole() {
        let endless = BufReader::new(io::repeat(b'x'));
        let error = NdjsonRecords::new(endless).next().unwrap().unwrap_err();
        assert!(error.to_string().starts_with("line 1: it is longer"), "{error}");
    }
}
