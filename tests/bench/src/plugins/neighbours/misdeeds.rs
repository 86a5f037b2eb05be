//! What the hostile component is told to do (`tests/guests/programs/hostile`).

use serde_json::{Value, json};

/// Modes while it judges, and how much of each.
pub(super) const RUNNING: [(&str, u64); 70] = [
    ("loop", 0),
    ("poll-loop", 0),
    ("recursion", 0),
    ("memory", 0),
    ("panic", 0),
    ("exit", 0),
    ("abort", 0),
    ("transient", 0),
    ("permanent", 0),
    ("transient-second-call", 0),
    ("sleep", 0),
    ("sleep-shortly", 0),
    ("handles", 0),
    ("log-flood", 1000),
    ("print-flood", 1000),
    ("undeclared-read", 0),
    ("read-many", 0),
    ("read-large", 0),
    ("match-undeclared", 0),
    ("match-wrong-cell", 0),
    ("range-wrong-cell", 0),
    ("conform-undeclared", 0),
    ("table-undeclared", 0),
    ("table-column-undeclared", 0),
    ("count-undeclared", 0),
    ("match", 0),
    ("lookup-bomb", 1000),
    ("lookup-keys-uneven", 0),
    ("probe", 0),
    ("row-short", 0),
    ("row-long", 0),
    ("code-short", 0),
    ("severity-short", 0),
    ("field-short", 0),
    ("detail-end-short", 0),
    ("row-range", 0),
    ("code-range", 0),
    ("severity-range", 0),
    ("field-range", 0),
    ("ends-backwards", 0),
    ("ends-beyond", 0),
    ("details-left", 0),
    ("detail-not-utf8", 0),
    ("detail-split-char", 0),
    ("detail-long", 0),
    ("findings-many", 64),
    ("findings-many", 1_000_000),
    ("output", 5 << 20),
    ("output", 9 << 20),
    ("output", 100_000_000),
    ("patch-uninvited", 0),
    ("patch-row-short", 0),
    ("patch-op-short", 0),
    ("patch-field-short", 0),
    ("patch-end-short", 0),
    ("patch-row-range", 0),
    ("patch-op-range", 0),
    ("patch-field-range", 0),
    ("patch-ends-beyond", 0),
    ("patch-values-left", 0),
    ("patch-removal-with-value", 0),
    ("patch-no-json", 0),
    ("patch-two-values", 0),
    ("patch-nothing", 0),
    ("patch-breaks-out", 0),
    ("patch-not-utf8", 0),
    ("patch-deep", 0),
    ("patch-duplicate-names", 0),
    ("patch-flood", 300_000),
    ("burn", 3_000_000),
];

/// Modes while it is configured: those that take time or memory, and some that are merely wrong.
pub(super) const CONFIGURING: [&str; 9] = [
    "loop", "memory", "panic", "read-batch", "undeclared-column", "bad-pattern", "huge-pattern",
    "outside-schema", "many-codes",
];

/// The configuration of a mode.
pub(super) fn running(mode: &str, amount: u64) -> Value {
    let mut config = json!({ "mode": mode, "amount": amount, "pattern": "a", "schema": "true", "table": "table" });
    if mode.starts_with("patch") && mode != "patch-uninvited" {
        config["enricher"] = true.into();
    }
    config
}

/// Finds what there is to find, and nothing else.
pub(super) fn honest() -> Value {
    json!({ "mode": "honest" })
}

/// Takes some ten milliseconds for each batch.
pub(super) fn slow() -> Value {
    json!({ "mode": "burn", "always": true, "amount": 10_000_000 })
}
