//! Which tokens are taken, and what the others are told.

use serde_json::json;
use tidegate_e2e::{assert_quiet, problem, receipts, request};
use tidegate_testkit::{Gateway, Oidc, Response};
use tidegate_types::UnixMillis;

use crate::{metric, post, start, token, token_with};

fn now_seconds() -> u64 {
    UnixMillis::now().0 / 1000
}

/// A refusal by RFC 6750: what is wrong is told, the token is not.
fn refused(answer: &Response, error: &str, detail: &str, token: &str) {
    let body = problem(answer, 401, "unauthenticated");
    let told = body["detail"].as_str().unwrap();
    assert!(told.contains(detail), "{told}");
    let expected =
        format!("Bearer realm=\"tidegate\", error=\"{error}\", error_description=\"{told}\"");
    assert_eq!(answer.header("www-authenticate"), Some(&*expected));
    let signature = token.rsplit('.').next().unwrap();
    assert!(!answer.text().contains(signature) || signature.is_empty());
}

#[test]
fn a_token_by_client_credentials_is_taken_for_its_tenant() {
    let server = Oidc::start();
    let (gateway, tenant) = start(&server, &[]);
    let token = token(&server);
    for _ in 0..2 {
        assert_eq!(post(&gateway, &token).status, 202);
    }
    let authorization = format!("bearer {token}");
    let headers = [("authorization", &*authorization), ("content-type", "application/json")];
    let batch = json!({ "events": [{ "a": 1 }, { "a": 2 }] }).to_string();
    let answer = gateway.request("POST", "/v1/events/batch", &headers, batch.as_bytes());
    assert_eq!(receipts(&answer).len(), 2);
    // Keys go on beside tokens.
    assert_eq!(tenant.post(&gateway, &json!({ "a": 1 })).status, 202);
    assert_eq!(metric(&gateway, "tidegate_tokens_total{outcome=\"verified\"}"), 1);
    assert_eq!(metric(&gateway, "tidegate_tokens_total{outcome=\"remembered\"}"), 2);
    assert_quiet(&gateway);
}

#[test]
fn other_tokens_are_told_what_is_wrong_with_them() {
    let server = Oidc::start();
    let (gateway, _) = start(&server, &[]);
    let good = token(&server);
    let parts: Vec<&str> = good.split('.').collect();
    for (token, detail) in [
        (String::new(), "three parts"),
        ("garbage".to_owned(), "three parts"),
        (format!("{}.{}.", parts[0], parts[1]), "signature"),
        (format!("{}.{}.{}", parts[0], parts[1], "A".repeat(342)), "signature"),
        ("a".repeat(9000), "8192 bytes"),
        (token_with(&server, &json!({ "exp": now_seconds() - 1 })), "has expired"),
        (token_with(&server, &json!({ "exp": (now_seconds() + 600).to_string() })), "`exp`"),
        (token_with(&server, &json!({ "nbf": now_seconds() + 600 })), "not valid yet"),
        (token_with(&server, &json!({ "aud": "other" })), "`aud`"),
        (token_with(&server, &json!({ "iss": "https://id.example" })), "`iss`"),
        (token_with(&server, &json!({ "tenant_id": null })), "tenant"),
        (token_with(&server, &json!({ "scope": 7 })), "scopes"),
    ] {
        refused(&post(&gateway, &token), "invalid_token", detail, &token);
    }
    // A tenant that has nothing in force is put off, as with keys.
    let elsewhere = token_with(&server, &json!({ "tenant_id": "other" }));
    let answer = post(&gateway, &elsewhere);
    problem(&answer, 503, "no-revision");
    assert!(answer.header("retry-after").is_some());
    assert_eq!(post(&gateway, &good).status, 202);
    assert_quiet(&gateway);
    let (signature, log) = (parts[2], gateway.log());
    assert!(!log.contains(signature), "a token is in the log");
}

#[test]
fn one_credential_is_shown_and_both_kinds_are_named() {
    let server = Oidc::start();
    let (gateway, tenant) = start(&server, &[]);
    let token = token(&server);
    let authorization = format!("Bearer {token}");
    let send = |headers: &[(&str, &str)]| {
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        gateway.request("POST", "/v1/events", &all, b"{}")
    };
    let both = send(&[("authorization", &authorization), ("x-api-key", &tenant.key)]);
    refused(&both, "invalid_request", "not both", &token);
    let twice = send(&[("authorization", &authorization), ("authorization", &authorization)]);
    refused(&twice, "invalid_request", "exactly one Authorization", &token);
    let none = send(&[]);
    problem(&none, 401, "unauthenticated");
    let challenges = none.headers.iter().filter(|(name, _)| name == "www-authenticate");
    let challenges: Vec<_> = challenges.map(|(_, value)| value.as_str()).collect();
    assert_eq!(challenges, ["ApiKey realm=\"tidegate\"", "Bearer realm=\"tidegate\""]);
    // Another scheme is none of ours.
    let basic = send(&[("authorization", "Basic dTpw"), ("x-api-key", &tenant.key)]);
    assert_eq!(basic.status, 202);
}

#[test]
fn a_gateway_without_issuers_takes_no_tokens() {
    let server = Oidc::start();
    let gateway = Gateway::start();
    let token = token(&server);
    let answer = post(&gateway, &token);
    let body = problem(&answer, 401, "unauthenticated");
    assert!(body["detail"].as_str().unwrap().contains("takes no bearer tokens"), "{body}");
    assert_eq!(answer.header("www-authenticate"), Some("ApiKey realm=\"tidegate\""));
}

/// The token is good when the request begins and has expired when its body is there.
#[test]
fn a_token_that_expires_while_the_body_arrives_is_refused() {
    let server = Oidc::start();
    let (gateway, _) = start(&server, &[]);
    let expiry = now_seconds() + 3;
    let token = token_with(&server, &json!({ "exp": expiry }));
    assert_eq!(post(&gateway, &token).status, 202);
    let authorization = format!("Bearer {token}");
    let headers = [
        ("authorization", &*authorization),
        ("content-type", "application/json"),
        ("content-length", "7"),
    ];
    let mut connection = gateway.connect();
    connection.send(&request::head("POST", "/v1/events", &headers)).unwrap();
    connection.send(b"{\"a\":").unwrap();
    while UnixMillis::now().0 <= expiry * 1000 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    connection.send(b"1}").unwrap();
    refused(&connection.receive().unwrap(), "invalid_token", "has expired", &token);
    refused(&post(&gateway, &token), "invalid_token", "has expired", &token);
    assert_eq!(gateway.status()["wal"]["durable_lsn"], 1);
}

/// A2: a token is in no log, answer, metric or file, good or bad, at the most talkative level.
#[test]
fn tokens_are_nowhere() {
    let server = Oidc::start();
    let (mut gateway, _) = start(&server, &[("LOG__LEVEL", "trace"), ("LOG__ACCESS", "all")]);
    let (good, expired) = (token(&server), token_with(&server, &json!({ "exp": 1_700_000_000 })));
    let forged = format!("{}AAAA", &good[..good.len() - 4]);
    let mut said = String::new();
    for (token, status) in [(&good, 202), (&expired, 401), (&forged, 401)] {
        let answer = post(&gateway, token);
        assert_eq!(answer.status, status, "{}", answer.text());
        said.push_str(&format!("{:?} {}", answer.headers, answer.text()));
    }
    said.push_str(&gateway.admin("GET", "/metrics", "text/plain", b"").text());
    gateway.wait_published();
    assert!(gateway.terminate());
    said.push_str(&gateway.log());
    let mut folders = vec![gateway.folder().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else {
                said.push_str(&String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap()));
            }
        }
    }
    assert!(said.contains("request answered"), "the log is looked at");
    for token in [good, expired, forged] {
        let parts: Vec<_> = token.split('.').map(str::to_owned).collect();
        for part in &parts[1..] {
            assert!(!said.contains(part.as_str()), "{part}");
        }
    }
}
