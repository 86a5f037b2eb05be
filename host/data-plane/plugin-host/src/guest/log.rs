//! The log of a call: lines and counts, bounded, cleaned, and handed to the host's log afterwards.

use std::sync::{Arc, Mutex};

/// Bytes of one line.
const MAX_LINE_BYTES: usize = 1024;

/// How loud a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
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

    /// Hands the lines to the host's log.
    pub(crate) fn emit(&mut self, tenant: &str, rule: &str) {
        for (level, line) in self.lines.drain(..) {
            match level {
                Level::Debug => tracing::debug!(tenant, rule, line, "rule logged"),
                Level::Info => tracing::info!(tenant, rule, line, "rule logged"),
                // A tenant's rule does not raise the operator's alarms: what it calls a warning or
                // an error is a statement of the rule, not of the gateway.
                Level::Warn => tracing::info!(tenant, rule, line, level = "warn", "rule logged"),
                Level::Error => tracing::info!(tenant, rule, line, level = "error", "rule logged"),
            }
        }
        if self.dropped > 0 {
            tracing::info!(tenant, rule, dropped = self.dropped, "rule logged more than it may");
            self.dropped = 0;
        }
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
