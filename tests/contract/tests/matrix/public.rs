//! The listener for events.

use serde_json::json;
use tidegate_contract::{Document, Operation};
use tidegate_testkit::{Gateway, Tenant};

use crate::furnished::{MARK, key, start};
use crate::{Cell, Expected, check};

fn api_key(text: &str) -> Vec<(&'static str, String)> {
    vec![("x-api-key", text.to_owned())]
}

fn bearer(text: &str) -> Vec<(&'static str, String)> {
    vec![("authorization", format!("Bearer {text}"))]
}

/// What a cell comes to where credentials have these scopes; nothing is asked where nothing is required.
fn by_scope(operation: &Operation, scopes: &[&str]) -> Expected {
    let opens = operation.scopes().iter().any(|scope| scopes.contains(scope));
    if operation.opened_by.is_empty() || opens { Expected::LetIn } else { Expected::Forbidden }
}

fn without_credentials(operation: &Operation) -> Expected {
    if operation.opened_by.is_empty() { Expected::LetIn } else { Expected::Unauthenticated }
}

fn revoked(gateway: &Gateway, tenant: &Tenant) -> String {
    let made = key(gateway, &tenant.id, &["events:write", "events:read"]);
    let path = format!("/v1/tenants/{}/keys/{}", tenant.id, made["id"].as_str().unwrap());
    assert_eq!(gateway.admin("DELETE", &path, "application/json", b"").status, 200);
    made["key"].as_str().unwrap().to_owned()
}

#[test]
fn every_operation_of_the_listener_for_events() {
    let (gateway, acme) = start();
    let other = Tenant::create(&gateway, "other");
    other.activate(&gateway, &json!({ "event_types": { "flight": {} }, "default_type": "flight" }));
    let of = |scope: &str| key(&gateway, "acme", &[scope])["key"].as_str().unwrap().to_owned();
    let (writer, reader) = (of("events:write"), of("events:read"));
    let revoked = revoked(&gateway, &acme.tenant);
    let admin = std::fs::read_to_string(gateway.folder().join("admin-token")).unwrap();
    let damaged = format!("{}x", acme.tenant.key);
    let mut cells = 0;
    let operations = Document::public().operations();
    for operation in &operations {
        let path = operation.path.replace("{event_id}", &acme.event_id);
        let open = without_credentials(operation);
        let jwt = |tenant, scopes: &[&str], claims| {
            bearer(&acme.oidc.token(tenant, &scopes.join(" "), &claims))
        };
        let mut ask = |who: &str, credentials, expected| {
            cells += 1;
            check(&gateway.ingress, operation, &Cell { who, credentials, path: &path, expected })
        };
        ask("nobody", Vec::new(), open);
        ask("garbage", api_key("garbage"), open);
        ask("a damaged key", api_key(&damaged), open);
        ask("a garbage token", bearer("a.b.c"), open);
        ask("the administrator", bearer(admin.trim()), open);
        let expected = if operation.opened_by.is_empty() { open } else { Expected::Forbidden };
        ask("a revoked key", api_key(&revoked), expected);
        ask("a writer", api_key(&writer), by_scope(operation, &["events:write"]));
        ask("a reader", api_key(&reader), by_scope(operation, &["events:read"]));
        ask(
            "both",
            api_key(&acme.tenant.key),
            by_scope(operation, &["events:write", "events:read"]),
        );
        let all = ["events:write", "events:read"];
        for scopes in [&all[..1], &all[1..], &all[..], &["rollout:write"]] {
            let who = format!("a token for {scopes:?}");
            ask(&who, jwt("acme", scopes, json!({})), by_scope(operation, scopes));
        }
        ask("an expired token", jwt("acme", &all, json!({ "exp": 1 })), open);
        ask("a token for somebody else", jwt("acme", &all, json!({ "aud": "other" })), open);
        let both = [api_key(&acme.tenant.key), jwt("acme", &all, json!({}))].concat();
        ask("a key and a token", both, open);
        // What another tenant has is not there; what it sends becomes its own.
        let names_a_thing = operation.path.contains('{');
        let expected = if names_a_thing { Expected::NotThere } else { Expected::LetIn };
        for (who, credentials) in [
            ("another tenant", api_key(&other.key)),
            ("another tenant with a token", jwt("other", &all, json!({}))),
        ] {
            let answer = ask(who, credentials, expected);
            assert!(!answer.text().contains(MARK), "{}", answer.text());
            if let (202, Some(id)) = (answer.status, answer.json()["event_id"].as_str()) {
                let headers = [("x-api-key", acme.tenant.key.as_str())];
                let read = gateway.request("GET", &format!("/v1/events/{id}"), &headers, b"");
                assert_eq!(read.status, 404, "{}", read.text());
            }
        }
    }
    assert_eq!(cells, operations.len() * 18);
}
