//! The wall between tenants, and the one between administrators and everybody else.

use serde_json::{Value, json};
use tidegate_e2e::{assert_quiet, problem, revision};
use tidegate_testkit::{Connection, Tenant};

use crate::{JSON, ok, start};

/// What one tenant has, another cannot name.
#[test]
fn nothing_crosses_tenants() {
    let (gateway, acme) = start();
    let other = Tenant::create(&gateway, "other");
    acme.schema(&gateway, "mine", &json!({ "type": "object" }));
    acme.table(&gateway, "planes", "id\n1\n");
    let schema =
        ok(&gateway.admin("GET", "/v1/tenants/acme/schemas/mine", JSON, b""))["digest"].clone();
    let uses = |reference: &Value| json!({ "event_types": { "a": { "schema": reference } } });
    for reference in [json!("mine"), schema.clone()] {
        let refused = problem(&other.revision(&gateway, &uses(&reference)), 400, "invalid-request");
        assert_eq!(refused["pointer"], "/event_types/a/schema", "{refused}");
        ok(&acme.revision(&gateway, &uses(&reference)));
    }
    let table = json!({ "event_types": { "a": {} }, "tables": { "planes": "latest" } });
    problem(&other.revision(&gateway, &table), 400, "invalid-request");
    let digest = acme.activate(&gateway, &revision::plain());
    let path = format!("/v1/tenants/other/revisions/{digest}");
    problem(&gateway.admin("GET", &path, JSON, b""), 404, "not-found");
    problem(&gateway.admin("POST", &format!("{path}/activate"), JSON, b""), 404, "not-found");
    let keys = ok(&gateway.admin("GET", "/v1/tenants/acme/keys", JSON, b""));
    let id = keys["keys"][0]["id"].as_str().unwrap();
    problem(
        &gateway.admin("DELETE", &format!("/v1/tenants/other/keys/{id}"), JSON, b""),
        404,
        "not-found",
    );
    assert_eq!(acme.post(&gateway, &json!({})).status, 202, "the key was not revoked");
    for list in ["schemas", "tables", "revisions", "activations"] {
        let found = ok(&gateway.admin("GET", &format!("/v1/tenants/other/{list}"), JSON, b""));
        assert_eq!(found[list].as_array().map(Vec::len), Some(0), "{found}");
    }
    assert_quiet(&gateway);
}

/// Names of tenants, and requests that make no sense, are told with their place.
#[test]
fn requests_that_make_no_sense() {
    let (gateway, _) = start();
    for (body, kind, pointer) in [
        ("{", "malformed-json", ""),
        ("{}", "invalid-request", ""),
        (r#"{"id":7}"#, "invalid-request", "/id"),
        (r#"{"id":""}"#, "invalid-request", "/id"),
        (r#"{"id":"../x"}"#, "invalid-request", "/id"),
        (r#"{"id":"a","id":"b"}"#, "malformed-json", ""),
        (r#"{"id":"a","more":1}"#, "invalid-request", "/more"),
    ] {
        let refused =
            problem(&gateway.admin("POST", "/v1/tenants", JSON, body.as_bytes()), 400, kind);
        assert_eq!(refused["pointer"].as_str().unwrap_or_default(), pointer, "{body}: {refused}");
    }
    for (body, pointer) in [
        (r#"{}"#, ""),
        (r#"{"name":"k","scopes":["events:everything"]}"#, "/scopes/0"),
        (r#"{"name":"k","expires_at":"2001-01-01T00:00:00Z"}"#, "/expires_at"),
        (r#"{"name":"k","expires_at":"never"}"#, "/expires_at"),
        (r#"{"name":"k","rate_limit":-1}"#, "/rate_limit"),
    ] {
        let refused = problem(
            &gateway.admin("POST", "/v1/tenants/acme/keys", JSON, body.as_bytes()),
            400,
            "invalid-request",
        );
        assert_eq!(refused["pointer"].as_str().unwrap_or_default(), pointer, "{body}: {refused}");
    }
    for path in [
        "/v1/tenants/nobody", "/v1/tenants/nobody/keys", "/v1/tenants/No%20Body/status",
        "/v1/tenants/acme/nothing", "/v2/status", "/",
    ] {
        problem(&gateway.admin("GET", path, JSON, b""), 404, "not-found");
    }
    let answer = gateway.admin("PATCH", "/v1/tenants/acme", JSON, b"{}");
    problem(&answer, 405, "method-not-allowed");
    assert!(answer.header("allow").is_some());
    for csv in ["", "id\n1,2\n", "id,id\n1,2\n", "id\n1\n1\n", "id\n\"open\n"] {
        let answer = gateway.admin("PUT", "/v1/tenants/acme/tables/t", "text/csv", csv.as_bytes());
        problem(&answer, 400, "invalid-request");
    }
    problem(
        &gateway.admin("PUT", "/v1/tenants/acme/tables/t", "text/csv", b"id\n\xff\n"),
        400,
        "invalid-request",
    );
    assert_quiet(&gateway);
}

/// Nothing of the admin API answers without the token, and events' keys are none.
#[test]
fn the_token() {
    let (gateway, tenant) = start();
    let ask = |headers: &[(&str, &str)], path: &str| {
        Connection::open(&gateway.admin).unwrap().request("GET", path, headers, b"").unwrap()
    };
    let (as_bearer, wrong) =
        (format!("Bearer {}", tenant.key), format!("Bearer tg_admin_{}", "0".repeat(64)));
    for headers in [
        &[][..],
        &[("authorization", "")],
        &[("authorization", "Bearer")],
        &[("authorization", "Bearer ")],
        &[("authorization", as_bearer.as_str())],
        &[("authorization", wrong.as_str())],
        &[("authorization", "Basic YWRtaW46YWRtaW4=")],
        &[("x-api-key", tenant.key.as_str())],
    ] {
        for path in ["/v1/status", "/v1/tenants", "/v1/tenants/acme/keys", "/nothing"] {
            let answer = ask(headers, path);
            problem(&answer, 401, "unauthenticated");
            assert!(answer.header("www-authenticate").is_some());
        }
    }
    let token = std::fs::read_to_string(gateway.folder().join("admin-token")).unwrap();
    assert_eq!(
        ask(&[("authorization", &format!("bearer {}", token.trim()))], "/v1/status").status,
        200
    );
    // The listener for events has nothing of it, token or not.
    let headers = [("authorization", format!("Bearer {}", token.trim()))];
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    problem(&gateway.request("GET", "/v1/tenants", &headers, b""), 404, "not-found");
    problem(&gateway.request("GET", "/v1/status", &headers, b""), 404, "not-found");
    assert!(!gateway.log().contains(token.trim()), "the log never holds the token");
    assert_quiet(&gateway);
}
