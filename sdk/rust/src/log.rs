//! What a rule wants its operators to see. Never part of a verdict: the host may drop any of it.

use crate::boundary::host;
use crate::rule::manifest::Metric;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Debug,
    Info,
    Warn,
    Error,
}

/// Writes one line of at most 1 KiB; the host drops lines over the limit of the call.
pub fn write(level: Level, message: &str) {
    host::write_log(level, message);
}

/// Adds to a counter that the rule declared.
pub fn count(metric: Metric, delta: u64) {
    host::count(metric.0, delta);
}
