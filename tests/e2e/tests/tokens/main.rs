//! Bearer tokens of a real server of OpenID Connect, at the sockets of a real gateway (A2, B2, D2).

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail the test")]

mod believed;
mod keys;
mod rights;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidegate_e2e::revision;
use tidegate_testkit::{Gateway, Oidc, Response, Tenant};

/// A gateway that takes tokens of a server, with one tenant whose events need nothing but to be JSON
/// objects.
fn start(server: &Oidc, settings: &[(&str, &str)]) -> (Gateway, Tenant) {
    let issuers = server.as_setting();
    let mut all = vec![("JWT__ISSUERS", issuers.as_str())];
    all.extend_from_slice(settings);
    let gateway = Gateway::start_with(&all);
    let tenant = Tenant::create(&gateway, "acme");
    tenant.activate(&gateway, &revision::plain());
    (gateway, tenant)
}

/// A token for the tenant, that may write.
fn token(server: &Oidc) -> String {
    token_with(server, &json!({}))
}

fn token_with(server: &Oidc, claims: &Value) -> String {
    server.token("acme", "events:write", claims)
}

fn post(gateway: &Gateway, token: &str) -> Response {
    post_event(gateway, token, &json!({ "a": 1 }))
}

fn post_event(gateway: &Gateway, token: &str, event: &Value) -> Response {
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", &*authorization), ("content-type", "application/json")];
    gateway.request("POST", "/v1/events", &headers, event.to_string().as_bytes())
}

/// Posts until the answer has this status; on the way there it has the other one.
fn post_until(gateway: &Gateway, token: &str, status: u16, meanwhile: u16) -> Response {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let answer = post(gateway, token);
        if answer.status == status {
            return answer;
        }
        assert_eq!(answer.status, meanwhile, "{}", answer.text());
        assert!(Instant::now() < deadline, "still {meanwhile}, not {status}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A number of the metrics.
fn metric(gateway: &Gateway, series: &str) -> u64 {
    let text = gateway.admin("GET", "/metrics", "text/plain", b"").text();
    let line = text.lines().find_map(|line| line.strip_prefix(series));
    line.unwrap_or_else(|| panic!("{series} is not in {text}")).trim().parse().unwrap()
}
