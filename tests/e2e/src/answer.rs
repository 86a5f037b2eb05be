//! Reading answers: each reader checks that the answer has the form that it reads.

use serde_json::Value;
use tidegate_testkit::Response;

/// An RFC 9457 problem of one status and one kind, as `type` names it; answers its body.
pub fn problem(response: &Response, status: u16, kind: &str) -> Value {
    let body = response.json();
    assert_eq!(response.status, status, "{}", response.text());
    assert_eq!(
        response.header("content-type"),
        Some("application/problem+json"),
        "{}",
        response.text()
    );
    assert_eq!(body["type"], format!("urn:tidegate:problem:{kind}"), "{body}");
    assert_eq!(body["status"], status, "{body}");
    assert!(
        body["title"].is_string() && body["detail"].as_str().is_some_and(|text| !text.is_empty()),
        "{body}"
    );
    body
}

/// The receipts of a batch, its tally checked against them.
pub fn receipts(response: &Response) -> Vec<Value> {
    let body = response.json();
    assert_eq!(response.status, 202, "{}", response.text());
    let receipts = body["receipts"].as_array().expect("receipts").clone();
    let is_taken = |receipt: &&Value| {
        matches!(receipt["status"].as_str(), Some("accepted" | "quarantined" | "duplicate"))
    };
    let taken = receipts.iter().filter(is_taken).count();
    assert_eq!(body["accepted"], taken, "{body}");
    assert_eq!(body["rejected"], receipts.len() - taken, "{body}");
    receipts.iter().for_each(check_receipt);
    receipts
}

/// The statuses of a batch's receipts, in order.
pub fn statuses(response: &Response) -> Vec<String> {
    receipts(response)
        .iter()
        .map(|receipt| receipt["status"].as_str().expect("a status").to_owned())
        .collect()
}

/// The findings of a receipt or of a rejected event's problem: code and pointer.
pub fn findings(receipt: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let list = receipt["findings"].as_array().cloned().unwrap_or_default();
    list.iter().map(|finding| (text(&finding["code"]), text(&finding["pointer"]))).collect()
}

/// The id is a UUIDv7 and `received_at` is its millisecond.
pub fn check_receipt(receipt: &Value) {
    let id = receipt["event_id"].as_str().expect("an event id");
    let parts: Vec<_> = id.split('-').collect();
    assert_eq!(
        parts.iter().map(|part| part.len()).collect::<Vec<_>>(),
        [8, 4, 4, 4, 12],
        "{receipt}"
    );
    assert!(
        parts
            .iter()
            .all(|part| part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))),
        "{receipt}"
    );
    assert!(parts[2].starts_with('7') && parts[3].starts_with(['8', '9', 'a', 'b']), "{receipt}");
    let millis =
        u64::from_str_radix(&format!("{}{}", parts[0], parts[1]), 16).expect("hexadecimal digits");
    let received_at = receipt["received_at"].as_str().expect("a time of receipt");
    assert_eq!(received_at.len(), "2026-11-21T09:00:00.000Z".len(), "{receipt}");
    assert!(
        received_at.ends_with(&format!("{:02}.{:03}Z", millis / 1000 % 60, millis % 1000)),
        "{receipt}"
    );
}
