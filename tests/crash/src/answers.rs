//! Reading answers: the receipts in a response of any form.

use serde_json::Value;
use tidegate_testkit::Response;
use tidegate_types::Receipt;

/// The receipts that settle or postpone each event; `None` where the request as a whole was put
/// off (503), so nobody knows yet. Any other answer fails the test.
#[must_use]
pub fn receipts(response: &Response, events: usize) -> Option<Vec<Receipt>> {
    let body = response.json();
    let list = match (response.status, body.get("receipts")) {
        (503, _) => return None,
        (202, Some(list)) => list.clone(),
        (202, None) => Value::Array(vec![body]),
        // A single event that was not taken: a problem with the receipt in it.
        (400 | 409 | 422, None) if body.get("event_status").is_some() => {
            Value::Array(vec![unmerged(body)])
        }
        (status, _) => panic!("unexpected answer {status}: {}", response.text()),
    };
    let receipts: Vec<Receipt> =
        serde_json::from_value(list).expect("receipts have their documented form");
    assert_eq!(receipts.len(), events, "one receipt for each event: {}", response.text());
    Some(receipts)
}

fn unmerged(mut problem: Value) -> Value {
    if let Some(members) = problem.as_object_mut()
        && let Some(status) = members.remove("event_status")
    {
        members.insert("status".into(), status);
    }
    problem
}
