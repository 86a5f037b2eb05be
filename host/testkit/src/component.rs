//! Components that differ from all others, so that each has to be compiled and admitted anew.

use serde_json::json;
use tidegate_golden::CaseFile;

/// The first-party rule `required`, given as bytes, with one golden case, which it meets and which
/// holds this text.
#[must_use]
pub fn of_its_own(required: &[u8], text: &str) -> Vec<u8> {
    let case = json!({
        "config": { "fields": [{ "pointer": "/id" }] },
        "events": [{ "id": text }, {}],
        "expect": { "findings": [
            { "row": 1, "code": "missing", "severity": "hard", "pointer": "/id" },
        ] },
    });
    let case = CaseFile { file: "ids.json".to_owned(), text: case.to_string() };
    tidegate_golden::pack(required, vec![case]).expect("a component takes cases")
}
