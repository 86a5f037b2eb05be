//! Who may send what: credentials in all their states, scopes, tenants, and who reads receipts.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail the test")]

mod access;
mod canaries;
mod failures;
mod foreign;
mod keys;
mod quotas;
mod scopes;
mod stored;

use serde_json::Value;
use tidegate_testkit::{Gateway, Response, Tenant};

fn start() -> (Gateway, Tenant) {
    start_with(&[])
}

fn start_with(settings: &[(&str, &str)]) -> (Gateway, Tenant) {
    let gateway = Gateway::start_with(settings);
    let tenant = Tenant::create(&gateway, "acme");
    (gateway, tenant)
}

/// Posts an event with these keys, each in a header of its own.
fn post_with(gateway: &Gateway, keys: &[&str]) -> Response {
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(keys.iter().map(|key| ("x-api-key", *key)));
    gateway.request("POST", "/v1/events", &headers, b"{}")
}

fn make_key(gateway: &Gateway, tenant: &Tenant, request: &Value) -> Value {
    let answer = ask_for_key(gateway, tenant, request);
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

fn ask_for_key(gateway: &Gateway, tenant: &Tenant, request: &Value) -> Response {
    let path = format!("/v1/tenants/{}/keys", tenant.id);
    gateway.admin("POST", &path, "application/json", request.to_string().as_bytes())
}
