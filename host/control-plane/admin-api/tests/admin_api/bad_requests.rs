//! Wrong requests of every kind: each has its status, its type and its place.

use serde_json::{Value, json};

use crate::harness::{Gateway, TOKEN};
use crate::journey::{document, furnished};

const JSON: &str = "application/json";
const WASM: &str = "application/wasm";
const CSV: &str = "text/csv";

/// Method, path, content type and body; status, type and pointer of the answer.
type Case<'a> = (&'a str, &'a str, &'a str, &'a str, u16, &'a str, Option<&'a str>);

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_are_wrong_by_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path()).await;
    furnished(&gateway).await;
    let invalid = "invalid-request";
    let missing = "not-found";
    let deep = "[".repeat(1000);
    let large = " ".repeat(1001);
    let many = format!("{{\"id\":\"{}\"}}", "a".repeat(1 << 20));
    let cases: &[Case<'_>] = &[
        ("GET", "/", "", "", 404, missing, None),
        ("GET", "/v2/tenants", "", "", 404, missing, None),
        ("GET", "/v1/tenants/acme/", "", "", 404, missing, None),
        ("GET", "/v1/tenants/acme/nothing", "", "", 404, missing, None),
        ("GET", "/v1/tenants/ghost", "", "", 404, missing, None),
        ("GET", "/v1/tenants/UPPER", "", "", 404, missing, None),
        ("GET", "/v1/tenants/%ff", "", "", 400, invalid, None),
        ("GET", "/v1/tenants?limit=0", "", "", 400, invalid, None),
        ("GET", "/v1/tenants?limit=1001", "", "", 400, invalid, None),
        ("GET", "/v1/tenants?limit=x", "", "", 400, invalid, None),
        ("GET", "/v1/tenants?page=1", "", "", 400, invalid, None),
        ("GET", "/v1/tenants/acme/revisions?before=-1", "", "", 400, invalid, None),
        ("DELETE", "/v1/tenants", "", "", 405, "method-not-allowed", None),
        ("PATCH", "/v1/tenants/acme/schemas/flight", "", "", 405, "method-not-allowed", None),
        ("POST", "/v1/tenants", JSON, "", 400, "malformed-json", Some("")),
        ("POST", "/v1/tenants", JSON, "{\"id\":", 400, "malformed-json", Some("/id")),
        ("POST", "/v1/tenants", JSON, &deep, 400, "malformed-json", None),
        (
            "POST",
            "/v1/tenants",
            JSON,
            "{\"id\":\"a\",\"id\":\"b\"}",
            400,
            "malformed-json",
            Some(""),
        ),
        ("POST", "/v1/tenants", JSON, "{}", 400, invalid, Some("")),
        ("POST", "/v1/tenants", JSON, "[]", 400, invalid, Some("")),
        ("POST", "/v1/tenants", JSON, "[\"listed\"]", 400, invalid, Some("")),
        (
            "PUT",
            "/v1/tenants/acme/quotas",
            JSON,
            "{\"quotas\":[{\"limit\":5}]}",
            400,
            invalid,
            Some("/quotas"),
        ),
        (
            "PUT",
            "/v1/tenants/acme/signature-policy",
            JSON,
            "{\"policy\":\"any-known-key\",\"keys\":[]}",
            400,
            invalid,
            Some("/keys"),
        ),
        (
            "PUT",
            "/v1/tenants/acme/signature-policy",
            JSON,
            "{\"policy\":0}",
            400,
            invalid,
            Some("/policy"),
        ),
        ("POST", "/v1/tenants", JSON, "{\"id\":7}", 400, invalid, Some("/id")),
        ("POST", "/v1/tenants", JSON, "{\"id\":\"A B\"}", 400, invalid, Some("/id")),
        ("POST", "/v1/tenants", JSON, "{\"id\":\"a\",\"name\":1}", 400, invalid, Some("/name")),
        ("POST", "/v1/tenants", JSON, &many, 413, "too-large", None),
        (
            "POST", "/v1/tenants", "text/plain", "{\"id\":\"a\"}", 415, "unsupported-media-type",
            None,
        ),
        ("POST", "/v1/tenants/ghost/keys", JSON, "{\"name\":\"a\"}", 404, missing, None),
        ("POST", "/v1/tenants/acme/keys", JSON, "{}", 400, invalid, Some("")),
        ("POST", "/v1/tenants/acme/keys", JSON, "{\"name\":\"\"}", 400, invalid, None),
        (
            "POST",
            "/v1/tenants/acme/keys",
            JSON,
            "{\"name\":\"a\",\"scopes\":[]}",
            400,
            invalid,
            None,
        ),
        (
            "POST",
            "/v1/tenants/acme/keys",
            JSON,
            "{\"name\":\"a\",\"scopes\":[\"admin\"]}",
            400,
            invalid,
            Some("/scopes/0"),
        ),
        (
            "POST",
            "/v1/tenants/acme/keys",
            JSON,
            "{\"name\":\"a\",\"rate_limit\":0}",
            400,
            invalid,
            None,
        ),
        (
            "POST",
            "/v1/tenants/acme/keys",
            JSON,
            "{\"name\":\"a\",\"rate_limit\":-1}",
            400,
            invalid,
            Some("/rate_limit"),
        ),
        (
            "POST",
            "/v1/tenants/acme/keys",
            JSON,
            "{\"name\":\"a\",\"expires_at\":\"2001-01-01T00:00:00Z\"}",
            400,
            invalid,
            Some("/expires_at"),
        ),
        (
            "POST",
            "/v1/tenants/acme/keys",
            JSON,
            "{\"name\":\"a\",\"expires_at\":\"soon\"}",
            400,
            invalid,
            Some("/expires_at"),
        ),
        ("DELETE", "/v1/tenants/acme/keys/none", "", "", 404, missing, None),
        ("PUT", "/v1/tenants/acme/schemas/a%20b", JSON, "{}", 400, invalid, None),
        ("PUT", "/v1/tenants/acme/schemas/s", JSON, "{\"type\":7}", 400, invalid, Some("/type")),
        (
            "PUT",
            "/v1/tenants/acme/schemas/s",
            JSON,
            "{\"a\":{\"b\":1,\"b\":2}}",
            400,
            "malformed-json",
            Some("/a"),
        ),
        ("PUT", "/v1/tenants/acme/schemas/s", JSON, &large, 413, "too-large", None),
        ("PUT", "/v1/tenants/ghost/schemas/s", JSON, "{}", 404, missing, None),
        ("GET", "/v1/tenants/acme/schemas/none", "", "", 404, missing, None),
        ("GET", "/v1/tenants/acme/schemas/none/versions", "", "", 404, missing, None),
        ("GET", "/v1/tenants/acme/schemas/flight/versions/9", "", "", 404, missing, None),
        ("GET", "/v1/tenants/acme/schemas/flight/versions/sha256:1", "", "", 400, invalid, None),
        ("PUT", "/v1/tenants/acme/tables/Planes", CSV, "k\n", 400, invalid, None),
        ("PUT", "/v1/tenants/acme/tables/t", JSON, "{}", 415, "unsupported-media-type", None),
        ("PUT", "/v1/tenants/acme/tables/t", CSV, "", 400, invalid, Some("/lines/1")),
        ("PUT", "/v1/tenants/acme/tables/t", CSV, "k,v\na\n", 400, invalid, Some("/lines/2")),
        (
            "PUT",
            "/v1/tenants/acme/tables/t",
            CSV,
            "k,v\na,1\nb,2\na,3\n",
            400,
            invalid,
            Some("/lines/4"),
        ),
        ("PUT", "/v1/tenants/acme/tables/t", CSV, "k,v\na\nb\n", 400, invalid, None),
        ("PUT", "/v1/tenants/acme/tables/t?key=x", CSV, "k,v\n", 400, invalid, Some("/lines/1")),
        ("PUT", "/v1/tenants/acme/tables/t?keys=k", CSV, "k,v\n", 400, invalid, None),
        ("PUT", "/v1/tenants/acme/tables/t", CSV, &large, 413, "too-large", None),
        ("POST", "/v1/tenants/acme/plugins/p/versions", WASM, "text", 400, invalid, None),
        ("POST", "/v1/tenants/acme/plugins/p/versions", WASM, &large, 413, "too-large", None),
        (
            "POST",
            "/v1/tenants/acme/plugins/required/versions",
            WASM,
            "\0asm x",
            409,
            "exists",
            None,
        ),
        ("POST", "/v1/tenants/ghost/plugins/p/versions", WASM, "\0asm x", 404, missing, None),
        ("GET", "/v1/tenants/acme/plugins/p/versions/1", "", "", 404, missing, None),
        ("GET", "/v1/tenants/acme/jobs/99", "", "", 404, missing, None),
        ("GET", "/v1/tenants/acme/jobs/one", "", "", 404, missing, None),
        ("GET", "/v1/tenants/acme/jobs?limit=0", "", "", 400, invalid, None),
        ("GET", "/v1/tenants/ghost/jobs", "", "", 404, missing, None),
        ("GET", "/v1/tenants/acme/quarantine?rul=late", "", "", 400, invalid, None),
        ("GET", "/v1/tenants/acme/quarantine?rule=late&rule=odd", "", "", 400, invalid, None),
        ("GET", "/v1/tenants/acme/quarantine?rule=", "", "", 400, invalid, Some("/rule")),
        ("GET", "/v1/tenants/acme/quarantine?type=", "", "", 400, invalid, Some("/type")),
        ("GET", "/v1/tenants/acme/quarantine?since=soon", "", "", 400, invalid, Some("/since")),
        ("GET", "/v1/tenants/acme/quarantine?code=x&limit=0", "", "", 400, invalid, None),
        ("GET", "/v1/tenants/acme/quarantine?limit=x", "", "", 400, invalid, None),
        ("GET", "/v1/tenants/acme/quarantine?by=rule", "", "", 400, invalid, None),
        ("GET", "/v1/tenants/acme/quarantine/groups", "", "", 400, invalid, None),
        ("GET", "/v1/tenants/acme/quarantine/groups?by=size", "", "", 400, invalid, None),
        ("GET", "/v1/tenants/acme/quarantine/groups?by=rule&limit=1", "", "", 400, invalid, None),
        (
            "GET",
            "/v1/tenants/acme/quarantine/groups?by=rule&revision=1",
            "",
            "",
            400,
            invalid,
            Some("/revision"),
        ),
        ("GET", "/v1/tenants/ghost/case-policy", "", "", 404, missing, None),
        ("PUT", "/v1/tenants/acme/case-policy", JSON, "{}", 400, invalid, Some("")),
        (
            "PUT",
            "/v1/tenants/acme/case-policy",
            JSON,
            "{\"policy\":\"some\"}",
            400,
            invalid,
            Some("/policy"),
        ),
        (
            "PUT",
            "/v1/tenants/ghost/case-policy",
            JSON,
            "{\"policy\":\"required\"}",
            404,
            missing,
            None,
        ),
        ("GET", "/v1/tenants/acme/revisions/0", "", "", 404, missing, None),
        ("GET", "/v1/tenants/acme/revisions/sha256:zz", "", "", 400, invalid, None),
        ("POST", "/v1/tenants/acme/revisions/9/activate", "", "", 404, missing, None),
        ("POST", "/v1/tenants/ghost/revisions/1/activate", "", "", 404, missing, None),
        ("POST", "/v1/tenants/ghost/rollback", "", "", 404, missing, None),
        ("POST", "/v1/tenants/acme/rollback", "", "", 400, invalid, None),
    ];
    for (method, path, media, body, status, slug, pointer) in cases {
        let reply = gateway.call(method, path, media, body.as_bytes()).await;
        let shown: String = body.chars().take(60).collect();
        eprintln!("{method} {path} {shown}");
        // Where exactly the deepest bracket stands is serde_json's affair.
        let pointer = if reply.body["pointer"].as_str().is_some_and(|p| p.starts_with("/0/0")) {
            reply.body["pointer"].as_str()
        } else {
            *pointer
        };
        reply.expect_problem(*status, slug, pointer);
    }
    let allowed = gateway.call("DELETE", "/v1/tenants", "", b"").await;
    assert!(allowed.head.contains("allow: get,head,post"), "{}", allowed.head);
    assert!(gateway.plane.seen.lock().unwrap().is_empty(), "nothing wrong was published");
    gateway.stop().await.unwrap();
}

/// A change to a good document that gives it another shape, and where.
type Shape = (fn(&mut Value), &'static str);
/// A change to a good document, and the places that it breaks.
type Change = (fn(&mut Value), &'static [&'static str]);

#[tokio::test(flavor = "multi_thread")]
async fn revisions_that_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path()).await;
    furnished(&gateway).await;
    gateway.post("/v1/tenants", json!({ "id": "other" })).await.expect(201);
    let changes: &[Change] = &[
        (|d| d["event_types"] = json!({}), &["/event_types", "/default_type"]),
        (|d| d["default_type"] = json!("x"), &["/default_type"]),
        (|d| d["type_pointer"] = json!("type"), &["/type_pointer"]),
        (|d| d["event_types"]["flight"]["key"] = json!(""), &["/event_types/flight/key"]),
        (|d| d["event_types"]["flight"]["time"] = json!("/a~2"), &["/event_types/flight/time"]),
        (|d| d["event_types"]["flight"]["source"] = json!("a/~"), &["/event_types/flight/source"]),
        (|d| d["event_types"]["a/b~"] = json!({ "tenant": "t" }), &["/event_types/a~1b~0/tenant"]),
        (|d| d["event_types"]["flight"]["schema"] = json!("none"), &["/event_types/flight/schema"]),
        (
            |d| d["event_types"]["flight"]["schema"] = json!("flight@2"),
            &["/event_types/flight/schema"],
        ),
        (
            |d| d["event_types"]["flight"]["schema"] = json!("sha256:1"),
            &["/event_types/flight/schema"],
        ),
        (|d| d["rules"][0]["component"] = json!("none"), &["/rules/0/component"]),
        (|d| d["rules"][1]["component"] = json!("mine@2"), &["/rules/1/component"]),
        (|d| d["rules"][1]["component"] = json!("mine@"), &["/rules/1/component"]),
        (|d| d["rules"][0]["component"] = json!("required@9"), &["/rules/0/component"]),
        (
            |d| d["rules"][0]["component"] = json!(format!("sha256:{}", "0".repeat(64))),
            &["/rules/0/component"],
        ),
        (|d| d["rules"][1]["name"] = json!("one"), &["/rules/1/name"]),
        (|d| d["rules"][1]["name"] = json!("schema"), &["/rules/1/name"]),
        (|d| d["rules"][1]["config"] = json!([]), &["/rules/1/config"]),
        (|d| d["rules"][1]["event_types"] = json!(["flight", "x"]), &["/rules/1/event_types/1"]),
        (
            |d| {
                d["rules"] = (0..65)
                    .map(|n| json!({ "name": format!("r{n}"), "component": "mine" }))
                    .collect()
            },
            &["/rules"],
        ),
        (|d| d["tables"]["planes"] = json!(2), &["/tables/planes"]),
        (|d| d["tables"]["planes"] = json!("newest"), &["/tables/planes"]),
        (
            |d| d["tables"]["planes"] = json!(format!("sha256:{}", "0".repeat(64))),
            &["/tables/planes"],
        ),
        (
            |d| {
                d["tables"]["planes"] =
                    json!({ "generation": 1, "digest": format!("sha256:{}", "0".repeat(64)) })
            },
            &["/tables/planes"],
        ),
        (|d| d["tables"]["ghosts"] = json!("latest"), &["/tables/ghosts"]),
        (
            |d| {
                d["default_type"] = json!("x");
                d["rules"][0]["component"] = json!("none");
                d["tables"]["ghosts"] = json!(1);
            },
            &["/default_type", "/rules/0/component", "/tables/ghosts"],
        ),
    ];
    let revisions = "/v1/tenants/acme/revisions";
    for (change, places) in changes {
        let mut changed = document("one");
        change(&mut changed);
        let reply = gateway.post(revisions, changed.clone()).await;
        let told = reply.body["errors"].as_array().cloned().unwrap_or_default();
        let told: Vec<&str> = told.iter().filter_map(|e| e["pointer"].as_str()).collect();
        assert_eq!(told, *places, "{changed}: {}", reply.body);
        let only = if let [only] = *places { Some(*only) } else { None };
        reply.expect_problem(400, "invalid-request", only);
    }
    let shapes: &[Shape] = &[
        (|d| d["rulez"] = json!([]), "/rulez"),
        (|d| d["rules"][1]["on_fault"] = json!("ignore"), "/rules/1/on_fault"),
        (|d| d["rules"][1]["name"] = json!("A B"), "/rules/1/name"),
        (|d| d["event_types"]["flight"]["keys"] = json!("/a"), "/event_types/flight/keys"),
        (|d| d["tables"]["planes"] = json!(true), "/tables/planes"),
        (|d| d["rules"] = json!({}), "/rules"),
    ];
    for (change, place) in shapes {
        let mut changed = document("one");
        change(&mut changed);
        let reply = gateway.post(revisions, changed).await;
        reply.expect_problem(400, "invalid-request", Some(place));
    }
    let text = document("one").to_string().replace("\"fields\":", "\"fields\":1,\"fields\":");
    let reply = gateway.call("POST", revisions, JSON, text.as_bytes()).await;
    reply.expect_problem(400, "malformed-json", Some("/rules/0/config"));

    // Another tenant's things are not there, not even by digest.
    let reply = gateway.post("/v1/tenants/other/revisions", document("one")).await;
    assert_eq!(reply.body["errors"].as_array().unwrap().len(), 3, "{}", reply.body);
    let stored = gateway.post(revisions, document("one")).await.expect(201)["document"].clone();
    let reply = gateway.post("/v1/tenants/other/revisions", stored).await;
    assert_eq!(reply.body["errors"].as_array().unwrap().len(), 3, "{}", reply.body);
    assert_eq!(
        gateway.get("/v1/tenants/other/revisions").await.expect(200)["revisions"],
        json!([])
    );
    gateway.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_token_there_is_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path()).await;
    let close = &TOKEN[..TOKEN.len() - 1];
    for head in [
        String::new(),
        "Authorization: Bearer \r\n".to_owned(),
        format!("Authorization: Bearer {close}\r\n"),
        format!("Authorization: Bearer {TOKEN}0\r\n"),
        format!("Authorization: Basic {TOKEN}\r\n"),
        format!("Authorization: {TOKEN}\r\n"),
        format!("Authorization: Bearer {TOKEN}\r\nAuthorization: Bearer {TOKEN}\r\n"),
        format!("X-API-Key: {TOKEN}\r\n"),
    ] {
        for (method, path) in [("GET", "/v1/status"), ("POST", "/v1/tenants"), ("GET", "/nowhere")]
        {
            let reply = gateway.raw(method, path, &head, b"").await;
            reply.expect_problem(401, "unauthenticated", None);
            assert!(reply.head.contains("www-authenticate: bearer"), "{}", reply.head);
        }
    }
    for scheme in ["Bearer", "bearer", "BEARER"] {
        let head = format!("Authorization: {scheme} {TOKEN}\r\n");
        assert_eq!(gateway.raw("GET", "/v1/status", &head, b"").await.status, 200, "{scheme}");
    }
    gateway.stop().await.unwrap();
}
