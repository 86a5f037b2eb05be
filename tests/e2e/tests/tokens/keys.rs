//! The issuer changes its keys, or is not there.

use tidegate_e2e::problem;
use tidegate_testkit::{Gateway, Oidc};

use crate::{metric, post, post_until, start, token};

fn fetches(gateway: &Gateway, server: &Oidc, outcome: &str) -> u64 {
    let (issuer, name) = (server.issuer(), "tidegate_issuer_fetches_total");
    metric(gateway, &format!("{name}{{issuer=\"{issuer}\",outcome=\"{outcome}\"}}"))
}

/// Keys are used while their issuer is down, for so long and no longer; then its tokens are put off.
#[test]
fn a_stopped_issuer_is_trusted_for_a_while() {
    let mut server = Oidc::start();
    let (gateway, tenant) = start(
        &server,
        &[
            ("JWT__KEYS_REFRESH", "50ms"),
            ("JWT__KEYS_INTERVAL", "50ms"),
            ("JWT__KEYS_MAX_AGE", "3s"),
        ],
    );
    let (seen, unseen) = (token(&server), token(&server));
    assert_eq!(post(&gateway, &seen).status, 202);
    server.stop();
    let failed = fetches(&gateway, &server, "failed");
    while fetches(&gateway, &server, "failed") < failed + 2 {
        assert_eq!(post(&gateway, &seen).status, 202);
    }
    assert_eq!(post(&gateway, &unseen).status, 202);
    let answer = post_until(&gateway, &seen, 503, 202);
    problem(&answer, 503, "unavailable");
    assert_eq!(answer.header("retry-after"), Some("1"));
    // Neither keys nor other requests are concerned.
    assert_eq!(tenant.post(&gateway, &serde_json::json!({ "a": 1 })).status, 202);
    assert_eq!(gateway.request("GET", "/readyz", &[], b"").status, 200);

    // It comes back with another key: what the old one signed is void, also what was remembered.
    server.restart();
    let answer = post_until(&gateway, &token(&server), 202, 503);
    assert_eq!(answer.status, 202);
    for old in [&seen, &unseen] {
        problem(&post(&gateway, old), 401, "unauthenticated");
    }
    let log = gateway.log();
    let warned = log.lines().filter(|line| line.contains("issuer's keys not fetched")).count();
    assert_eq!(warned, 1, "{log}");
}

/// Tokens that name keys nobody knows cause one fetch in an interval, and a new key is found by it.
#[test]
fn unknown_keys_are_asked_for_once_in_an_interval() {
    let mut server = Oidc::start();
    let (gateway, _) =
        start(&server, &[("JWT__KEYS_INTERVAL", "2s"), ("INGRESS__MAX_AUTH_FAILURES", "1000000")]);
    let old = token(&server);
    assert_eq!(post(&gateway, &old).status, 202);
    server.stop();
    server.restart();
    let new = token(&server);
    let (before, begun) = (fetches(&gateway, &server, "succeeded"), std::time::Instant::now());
    let mut sent = 0;
    while post(&gateway, &new).status != 202 {
        sent += 1;
        assert!(sent < 100_000, "the new key is never found");
    }
    let intervals = begun.elapsed().as_secs() / 2 + 1;
    let fetched = fetches(&gateway, &server, "succeeded") - before;
    assert!(fetched <= intervals, "{fetched} fetches in {intervals} intervals, {sent} tokens");
    problem(&post(&gateway, &old), 401, "unauthenticated");
}
