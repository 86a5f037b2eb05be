//! The log of a call: lines and counts, bounded, cleaned, and handed to the host afterwards.

use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};

/// Bytes of one line.
const MAX_LINE_BYTES: usize = 1024;

/// How loud a line is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    #[default]
    Debug,
    Info,
    Warn,
    Error,
}

/// What one call has logged.
#[derive(Debug, Default)]
pub(crate) struct CallLog {
    lines: Vec<(Level, String)>,
    bytes: usize,
    dropped: u64,
    max_lines: usize,
    max_bytes: usize,
}

/// Shared between the imports and the WASI streams of one instance.
pub(crate) type SharedLog = Arc<Mutex<CallLog>>;

impl CallLog {
    pub(crate) fn begin(&mut self, max_lines: usize, max_bytes: usize) {
        *self = Self { max_lines, max_bytes, ..Self::default() };
    }

    pub(crate) fn line(&mut self, level: Level, text: &str) {
        if self.lines.len() >= self.max_lines || self.bytes >= self.max_bytes {
            self.dropped += 1;
            return;
        }
        let room = MAX_LINE_BYTES.min(self.max_bytes - self.bytes);
        let text = text.get(..text.floor_char_boundary(room)).unwrap_or_default();
        let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.bytes += clean.len().max(1);
        self.lines.push((level, clean));
    }

    /// What the call that is over has logged, and how many lines more it would have; `None` of the
    /// usual one, which has nothing to say.
    pub(crate) fn take(&mut self) -> Option<(Vec<(Level, String)>, u64)> {
        if self.lines.is_empty() && self.dropped == 0 {
            return None;
        }
        Some((std::mem::take(&mut self.lines), std::mem::take(&mut self.dropped)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_bounded_and_cleaned() {
        let mut log = CallLog::default();
        log.begin(3, 2000);
        log.line(Level::Info, "a\nb\u{1b}[31m");
        log.line(Level::Info, &"x".repeat(10_000));
        for _ in 0..1000 {
            log.line(Level::Error, "ä".repeat(700).as_str());
        }
        assert_eq!(log.lines.len(), 3);
        assert_eq!(log.lines[0].1, "a b [31m");
        assert!(log.lines.iter().map(|(_, line)| line.len()).sum::<usize>() <= 2000);
        assert_eq!(log.dropped, 999);
    }
}
