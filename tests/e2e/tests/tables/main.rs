//! Reference tables over a real gateway: the files they come as, revisions that follow them, and large
//! ones while events come in.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail the test")]

mod followed;
mod large;

use serde_json::{Value, json};
use tidegate_testkit::{Gateway, Response, Tenant};

const CSV: &str = "text/csv";
const NDJSON: &str = "application/x-ndjson";
const PARQUET: &str = "application/vnd.apache.parquet";

fn put(gateway: &Gateway, query: &str, media: &str, body: &[u8]) -> Response {
    gateway.admin("PUT", &format!("/v1/tenants/acme/tables/planes{query}"), media, body)
}

fn ok(response: &Response) -> Value {
    assert!(matches!(response.status, 200 | 201), "{} {}", response.status, response.text());
    response.json()
}

/// A revision that quarantines events whose `/tailnum` is no key of the table.
fn checking(table: Value) -> Value {
    json!({
        "default_type": "flight", "event_types": { "flight": {} }, "tables": { "planes": table },
        "rules": [{ "name": "refs", "component": "expectations", "config": { "expectations": [
            { "name": "known", "field": "/tailnum", "expect": { "in_table": "planes" } },
        ] } }],
    })
}

/// What becomes of an event with this tail number.
fn status_of(gateway: &Gateway, tenant: &Tenant, tailnum: &str) -> String {
    let answer = tenant.post(gateway, &json!({ "tailnum": tailnum }));
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.json()["status"].as_str().unwrap().to_owned()
}
