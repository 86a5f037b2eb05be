//! What a token opens: one tenant, its quotas, its receipts, some types of events; and what becomes of
//! who sends wrong ones again and again.

use serde_json::{Value, json};
use tidegate_e2e::{assert_quiet, problem};
use tidegate_testkit::{Gateway, Oidc, Response};

use crate::{post, post_event, start, token, token_with};

fn insufficient(answer: &Response, scope: &str) {
    let body = problem(answer, 403, "forbidden");
    let detail = format!("the credentials lack the scope {scope}");
    assert_eq!(body["detail"], detail.as_str());
    let told = format!(
        "Bearer realm=\"tidegate\", error=\"insufficient_scope\", error_description=\"{detail}\""
    );
    assert_eq!(answer.header("www-authenticate"), Some(&*told));
}

fn read(gateway: &Gateway, token: &str, id: &str) -> Response {
    let authorization = format!("Bearer {token}");
    gateway.request("GET", &format!("/v1/events/{id}"), &[("authorization", &authorization)], b"")
}

/// A2, D2: `events:read` reads the receipts of the token's own tenant, however the event came.
#[test]
fn receipts_are_read_with_a_token_of_their_tenant() {
    let server = Oidc::start();
    let (gateway, tenant) = start(&server, &[]);
    let (writer, reader) = (token(&server), server.token("acme", "events:read", &json!({})));
    let other = server.token("other", "events:read events:write", &json!({}));
    let by_token = post(&gateway, &writer).json();
    let by_key = tenant.post(&gateway, &json!({ "a": 2 })).json();
    for receipt in [&by_token, &by_key] {
        let id = receipt["event_id"].as_str().unwrap();
        let answer = read(&gateway, &reader, id);
        assert_eq!((answer.status, &answer.json()["event_id"]), (200, &receipt["event_id"]));
        problem(&read(&gateway, &other, id), 404, "not-found");
        insufficient(&read(&gateway, &writer, id), "events:read");
        let answer = read(&gateway, "a.b.c", id);
        problem(&answer, 401, "unauthenticated");
        assert!(answer.header("www-authenticate").unwrap().contains("invalid_token"));
    }
    insufficient(&post(&gateway, &reader), "events:write");
    assert_quiet(&gateway);
}

/// B2, D2: a token may be for some types of events; an event that names another tenant is 403 (A2).
#[test]
fn some_types_of_events_of_one_tenant() {
    let server = Oidc::start();
    let (gateway, tenant) = start(&server, &[]);
    let routes = json!({
        "type_pointer": "/type",
        "event_types": { "orders": {}, "refunds": { "tenant": "/tenant" } },
    });
    tenant.activate(&gateway, &routes);
    let orders = server.token("acme", "openid events:write:orders", &json!({}));
    let (order, refund) =
        (json!({ "type": "orders" }), json!({ "type": "refunds", "tenant": "acme" }));
    assert_eq!(post_event(&gateway, &orders, &order).status, 202);
    let told = problem(&post_event(&gateway, &orders, &refund), 403, "forbidden");
    assert_eq!(told["findings"][0]["code"], "scope", "{told}");
    let foreign = json!({ "type": "refunds", "tenant": "other" });
    let told = problem(&post_event(&gateway, &token(&server), &foreign), 403, "forbidden");
    assert_eq!(told["findings"][0]["code"], "other-tenant", "{told}");
    assert_quiet(&gateway);
}

/// A7, D3: the tenant's quotas hold for its tokens and its keys together.
#[test]
fn the_quotas_of_the_tenant() {
    let server = Oidc::start();
    let (gateway, tenant) = start(&server, &[]);
    let quotas = json!({ "quotas": { "requests": { "limit": 3, "window_seconds": 3600 } } });
    let path = "/v1/tenants/acme/quotas";
    let set = gateway.admin("PUT", path, "application/json", quotas.to_string().as_bytes());
    assert_eq!(set.status, 200, "{}", set.text());
    let token = token(&server);
    let answer = post(&gateway, &token);
    assert_eq!(answer.status, 202);
    assert_eq!(answer.header("ratelimit-policy"), Some("\"tenant-requests\";q=3;w=3600"));
    assert_eq!(answer.header("x-ratelimit-remaining"), Some("2"));
    assert_eq!(tenant.post(&gateway, &json!({})).status, 202);
    // Another token of the same tenant has none of its own.
    let another = token_with(&server, &json!({ "sub": "another" }));
    assert_eq!(post(&gateway, &another).header("x-ratelimit-remaining"), Some("0"));
    let told = problem(&post(&gateway, &token), 429, "quota-exceeded");
    assert_eq!(told["violated-policies"], json!(["tenant-requests"]));
    assert_quiet(&gateway);
}

/// A2: wrong tokens are bounded for each address as wrong keys are, together with them; one that has
/// expired is told so each time, since its client is to get another one.
#[test]
fn wrong_tokens_are_bounded_and_expired_ones_are_not() {
    let server = Oidc::start();
    let (gateway, tenant) = start(&server, &[("INGRESS__MAX_AUTH_FAILURES", "3")]);
    let (good, expired) = (token(&server), token_with(&server, &json!({ "exp": 1 })));
    let send = |headers: &[(&str, &str)]| gateway.request("POST", "/v1/events", headers, b"{}");
    for _ in 0..5 {
        problem(&post(&gateway, &expired), 401, "unauthenticated");
    }
    problem(&post(&gateway, "a.b.c"), 401, "unauthenticated");
    problem(&send(&[("x-api-key", "wrong")]), 401, "unauthenticated");
    problem(&post(&gateway, "a.b.c"), 401, "unauthenticated");
    let answer = post(&gateway, "a.b.c");
    problem(&answer, 429, "too-many-requests");
    assert!(answer.header("retry-after").is_some());
    assert_eq!(answer.header("www-authenticate"), None);
    problem(&post(&gateway, &expired), 401, "unauthenticated");
    assert_eq!(post(&gateway, &good).status, 202);
    assert_eq!(tenant.post(&gateway, &json!({ "a": 1 })).status, 202);
    assert_quiet(&gateway);
}

/// D8: the access log has the tenant of a token and nothing of the token.
#[test]
fn requests_with_tokens_have_lines_without_them() {
    let server = Oidc::start();
    let (gateway, _) =
        start(&server, &[("LOG__FORMAT", "json"), ("LOG__ACCESS", "all"), ("LOG__LEVEL", "debug")]);
    let good = token_with(&server, &json!({ "sub": "canary-subject" }));
    let bad = token_with(&server, &json!({ "aud": "canary-audience" }));
    for (token, status, tenant) in [(&good, 202, json!("acme")), (&bad, 401, Value::Null)] {
        let answer = post(&gateway, token);
        assert_eq!(answer.status, status);
        let id = answer.header("x-request-id").unwrap();
        let lines = gateway.log();
        let mut lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let line = lines.find(|line| line["fields"]["request_id"] == id).unwrap();
        assert_eq!(
            (&line["fields"]["status"], &line["fields"]["tenant"]),
            (&json!(status), &tenant)
        );
    }
    let log = gateway.log();
    for secret in good.split('.').chain(bad.split('.')).skip(1).chain(["canary-"]) {
        // Headers of both are the same, and no secret.
        assert!(good.starts_with(secret) || !log.contains(secret), "{secret}");
    }
}
