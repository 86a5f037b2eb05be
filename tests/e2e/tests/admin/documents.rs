//! Revision documents, schemas and components that cannot be used: each problem with its place,
//! all problems at once, and nothing is changed by a refusal.

use serde_json::{Value, json};
use tidegate_e2e::{assert_quiet, problem};

use crate::{JSON, start};

fn required(name: &str, config: Value) -> Value {
    json!({ "name": name, "component": "required", "config": config })
}

fn normalize(name: &str, field: &str) -> Value {
    json!({ "name": name, "component": "normalize", "config": { "steps": [{ "set": field, "constant": 1 }] } })
}

/// The places that a problem names, sorted.
fn places(problem: &Value) -> Vec<String> {
    let mut places: Vec<_> = match problem["errors"].as_array() {
        Some(errors) => {
            errors.iter().map(|error| error["pointer"].as_str().unwrap().to_owned()).collect()
        }
        None => problem["pointer"].as_str().map(str::to_owned).into_iter().collect(),
    };
    places.sort();
    places
}

/// Every reference that leads nowhere and every configuration that a rule refuses is told with a
/// pointer into the document.
#[test]
fn revisions_that_cannot_be_used() {
    let (gateway, tenant) = start();
    tenant.activate(&gateway, &tidegate_e2e::revision::plain());
    let types = json!({ "a": {}, "b/c": {} });
    let fields = json!({ "fields": [{ "pointer": "/x" }] });
    for (document, expected) in [
        (json!({}), vec![""]),
        (json!([]), vec![""]),
        (json!({ "event_types": {} }), vec!["/event_types"]),
        (json!({ "event_types": types, "default_type": "z" }), vec!["/default_type"]),
        (json!({ "event_types": types, "type_pointer": "no-slash" }), vec!["/type_pointer"]),
        (
            json!({ "event_types": { "a": { "key": "/~2" }, "b/c": { "time": "x", "schema": "none" } } }),
            vec!["/event_types/a/key", "/event_types/b~1c/schema", "/event_types/b~1c/time"],
        ),
        (json!({ "event_types": { "a": { "keyy": "/k" } } }), vec!["/event_types/a/keyy"]),
        (json!({ "event_types": types, "rule": [] }), vec!["/rule"]),
        (
            json!({ "event_types": types, "rules": [{ "name": "r", "component": "unknown" }] }),
            vec!["/rules/0/component"],
        ),
        (
            json!({ "event_types": types, "rules": [{ "name": "r", "component": "required@9.9.9", "config": fields }] }),
            vec!["/rules/0/component"],
        ),
        (
            json!({ "event_types": types, "rules": [{ "name": "r", "component": format!("sha256:{}", "0".repeat(64)) }] }),
            vec!["/rules/0/component"],
        ),
        (
            json!({ "event_types": types, "rules": [required("schema", fields.clone())] }),
            vec!["/rules/0/name"],
        ),
        (
            json!({ "event_types": types, "rules": [required("r", fields.clone()), required("r", fields.clone())] }),
            vec!["/rules/1/name"],
        ),
        (
            json!({ "event_types": types, "rules": [required("r", json!([]))] }),
            vec!["/rules/0/config"],
        ),
        (
            json!({ "event_types": types, "rules": [required("r", json!({ "fields": [{ "pointer": "x" }, { "pointer": "/y", "type": "strange" }] }))] }),
            vec!["/rules/0/config/fields/0/pointer", "/rules/0/config/fields/1/type"],
        ),
        (
            json!({ "event_types": types, "rules": [{ "name": "r", "component": "required", "config": fields, "event_types": ["a", "nope"] }] }),
            vec!["/rules/0/event_types/1"],
        ),
        (
            json!({ "event_types": types, "rules": [{ "name": "r", "component": "required", "config": fields, "on_fault": "shrug" }] }),
            vec!["/rules/0/on_fault"],
        ),
        (json!({ "event_types": types, "tables": { "planes": "latest" } }), vec!["/tables/planes"]),
        (
            json!({ "event_types": types, "rules": [normalize("one", "/a/b"), normalize("two", "/a")] }),
            vec!["/rules"],
        ),
        (
            json!({ "event_types": types, "rules": [normalize("one", "/a"), normalize("two", "/a")] }),
            vec!["/rules"],
        ),
        (
            json!({ "event_types": types, "default_type": "z", "tables": { "t": 3 }, "rules": [{ "name": "r", "component": "unknown" }] }),
            vec!["/default_type", "/rules/0/component", "/tables/t"],
        ),
    ] {
        let refused = problem(&tenant.revision(&gateway, &document), 400, "invalid-request");
        assert_eq!(places(&refused), expected, "{document}: {refused}");
    }
    let text = br#"{"event_types":{"a":{}},"event_types":{"b":{}}}"#;
    problem(
        &gateway.admin("POST", "/v1/tenants/acme/revisions", JSON, text),
        400,
        "malformed-json",
    );
    // A rule that uses a table which the revision does not have.
    let uses = json!({ "event_types": types, "rules": [{ "name": "r", "component": "expectations", "config": { "expectations": [
        { "name": "known", "field": "/x", "expect": { "in_table": "planes" } },
    ] } }] });
    let refused = problem(&tenant.revision(&gateway, &uses), 400, "invalid-request");
    assert!(places(&refused).iter().all(|place| place.starts_with("/rules/0")), "{refused}");
    assert!(refused.to_string().contains("planes"), "{refused}");
    let stored = gateway.admin("GET", "/v1/tenants/acme/revisions", JSON, b"").json();
    assert_eq!(stored["revisions"].as_array().unwrap().len(), 1, "{stored}");
    assert_eq!(tenant.post(&gateway, &json!({})).status, 202);
    assert_quiet(&gateway);
}

/// Enrichers that write beside each other go together.
#[test]
fn writes_that_do_not_overlap() {
    let (gateway, tenant) = start();
    let document = json!({ "default_type": "a", "event_types": { "a": {} }, "rules": [normalize("one", "/a/b"), normalize("two", "/a/c")] });
    tenant.activate(&gateway, &document);
    assert_eq!(tenant.post(&gateway, &json!({})).status, 202);
    assert_quiet(&gateway);
}

/// Schemas are checked when they are put.
#[test]
fn schemas_that_cannot_be_used() {
    let (gateway, _) = start();
    let put =
        |text: &str| gateway.admin("PUT", "/v1/tenants/acme/schemas/s", JSON, text.as_bytes());
    for (text, kind) in [
        ("{", "malformed-json"),
        ("[]", "invalid-request"),
        (r#"{"type":"strange"}"#, "invalid-request"),
        (r#"{"$schema":"http://json-schema.org/draft-04/schema#"}"#, "invalid-request"),
        (r#"{"$ref":"https://example.org/schema"}"#, "invalid-request"),
        (r#"{"$ref":"file:///etc/passwd"}"#, "invalid-request"),
        (r##"{"$ref":"#/nowhere"}"##, "invalid-request"),
        (r#"{"properties":{"a":{"pattern":"("}}}"#, "invalid-request"),
        (r#"{"properties":{"a":{"pattern":"(?<=x)y"}}}"#, "invalid-request"),
        (r#"{"properties":{"a":{"pattern":"(a{1000}){1000}"}}}"#, "invalid-request"),
        (r#"{"minLength":-1}"#, "invalid-request"),
    ] {
        problem(&put(text), 400, kind);
    }
    assert_eq!(put(&format!("{{\"title\":\"{}\"}}", "x".repeat(300 << 10))).status, 413);
    assert_eq!(gateway.admin("GET", "/v1/tenants/acme/schemas/s", JSON, b"").status, 404);
    assert_eq!(put(r#"{"type":"object"}"#).status, 201);
    assert_eq!(put(r#"{"type":"object"}"#).status, 200);
    assert_quiet(&gateway);
}

/// P2: what cannot even be the bytes of a component is refused before it is stored.
#[test]
fn components_that_cannot_be_used() {
    let (gateway, tenant) = start();
    let module = b"\0asm\x01\0\0\0";
    for bytes in [&b""[..], b"\0", b"no wasm at all"] {
        let answer = tenant.upload(&gateway, "mine", bytes);
        problem(&answer, 400, "invalid-request");
    }
    problem(&tenant.upload(&gateway, "mine", &vec![0; (4 << 20) + 1]), 413, "too-large");
    let path = "/v1/tenants/acme/plugins/mine/versions";
    problem(&gateway.admin("POST", path, "text/plain", module), 415, "unsupported-media-type");
    assert_eq!(gateway.admin("GET", path, JSON, b"").status, 404);
    let names = gateway.admin("GET", "/v1/tenants/acme/plugins", JSON, b"").json();
    let names: Vec<_> =
        names["plugins"].as_array().unwrap().iter().map(|plugin| plugin["name"].clone()).collect();
    assert!(!names.contains(&json!("mine")) && names.contains(&json!("required")), "{names:?}");
    assert_quiet(&gateway);
}
