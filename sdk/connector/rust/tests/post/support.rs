//! What the tests of posting share: a scripted server, receipts, and a recorder of outcomes.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use tidegate_connector::{ConnectorOptions, InputError, Outcome, RetryPolicy, Settled};

/// The events of a batch request.
pub(crate) fn events_of(body: &str) -> Vec<serde_json::Value> {
    let body: serde_json::Value = serde_json::from_str(body).expect("the connector sends JSON");
    body["events"].as_array().expect("a batch").clone()
}

/// One receipt.
pub(crate) fn receipt(status: &str) -> serde_json::Value {
    serde_json::json!({
        "event_id": "0192d4e5-8a7c-7def-bfff-ffffffffffff",
        "received_at": "2024-10-29T00:00:00.000Z",
        "status": status,
    })
}

/// A batch's answer.
pub(crate) fn receipts(list: &[serde_json::Value]) -> String {
    serde_json::json!({ "accepted": 0, "rejected": 0, "receipts": list }).to_string()
}

/// Options that try again almost at once.
pub(crate) fn options(address: std::net::SocketAddr) -> ConnectorOptions {
    let mut options = ConnectorOptions::new(format!("http://{address}"), "tg_live_test");
    options.key_field = None;
    options.retry = RetryPolicy {
        max_attempts: 40,
        max_elapsed: Duration::from_secs(60),
        first_delay: Duration::from_millis(1),
        max_delay: Duration::from_millis(4),
    };
    options
}

/// Numbered events with a key.
pub(crate) fn numbered(
    count: u64,
) -> impl Iterator<Item = Result<Bytes, InputError>> + Send + 'static {
    (0..count).map(|n| Ok(Bytes::from(format!(r#"{{"key":"k{n}","n":{n}}}"#))))
}

/// Outcomes by index, in words; settling twice is a failure.
#[derive(Default)]
pub(crate) struct Ledger(pub(crate) BTreeMap<u64, String>);

impl Ledger {
    pub(crate) fn record(&mut self, settled: Settled) {
        let text = match settled.outcome {
            Outcome::Receipt(receipt) => receipt.status.as_str().to_owned(),
            Outcome::Refused(problem) => format!("refused: {problem}"),
            Outcome::Unsettled(unsettled) => format!("unsettled: {unsettled:?}"),
        };
        let before = self.0.insert(settled.index, text);
        assert!(before.is_none(), "event {} settled twice", settled.index);
    }

    pub(crate) fn count(&self, text: &str) -> usize {
        self.0.values().filter(|outcome| outcome.starts_with(text)).count()
    }
}
