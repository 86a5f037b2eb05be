//! Wrong input of every kind gets its documented 4xx and a pointer, never a 5xx, and leaves the
//! gateway serving with nothing in its log that an operator must look at.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail the test")]

mod abuse;
mod anonymous;
mod encoding;
mod envelope;
mod json;
mod slow;
mod transport;

use serde_json::json;
use tidegate_e2e::{assert_quiet, revision};
use tidegate_testkit::{Gateway, Response, Tenant};

/// A gateway with one tenant whose events need nothing but to be JSON objects.
fn start(settings: &[(&str, &str)]) -> (Gateway, Tenant) {
    let gateway = Gateway::start_with(settings);
    let tenant = Tenant::create(&gateway, "acme");
    tenant.activate(&gateway, &revision::plain());
    (gateway, tenant)
}

fn post(
    gateway: &Gateway,
    tenant: &Tenant,
    path: &str,
    content_type: &str,
    body: &[u8],
) -> Response {
    gateway.request("POST", path, &tidegate_e2e::request::headers(tenant, content_type, &[]), body)
}

/// After all that was sent before, the gateway is as ready as ever and has nothing to complain of.
fn assert_unharmed(gateway: &Gateway, tenant: &Tenant) {
    assert_eq!(gateway.request("GET", "/readyz", &[], b"").status, 200);
    let answer = tenant.post(gateway, &json!({ "after": "all" }));
    assert_eq!(answer.status, 202, "{}", answer.text());
    assert_quiet(gateway);
}
