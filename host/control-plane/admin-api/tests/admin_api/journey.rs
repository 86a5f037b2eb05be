//! The way of an administrator from an empty folder to an active revision, and what is left of it
//! after a restart.

use base64::Engine as _;
use serde_json::{Value, json};
use tidegate_types::Digest;

use crate::harness::{BUILTIN, Gateway, TOKEN};

/// A tenant with a schema, a table and a plugin.
pub(crate) async fn furnished(gateway: &Gateway) {
    gateway.post("/v1/tenants", json!({ "id": "acme" })).await.expect(201);
    let schema = br#"{"type": "object", "required": ["id"]}"#;
    let path = "/v1/tenants/acme/schemas/flight";
    gateway.call("PUT", path, "application/schema+json", schema).await.expect(201);
    let path = "/v1/tenants/acme/tables/planes?key=tailnum";
    gateway.call("PUT", path, "text/csv", b"year,tailnum\n1999,N1\n2004,N2\n").await.expect(201);
    let path = "/v1/tenants/acme/plugins/mine/versions";
    assert_eq!(gateway.push(path, b"\0asm mine").await["state"], "admitted");
}

pub(crate) fn document(rule: &str) -> Value {
    json!({
        "event_types": { "flight": { "schema": "flight", "key": "/id" } },
        "default_type": "flight",
        "rules": [
            { "name": rule, "component": "required", "config": { "fields": ["/id"] } },
            { "name": "own", "component": "mine@1", "on_fault": "pass" },
        ],
        "tables": { "planes": "latest" },
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn from_nothing_to_an_active_revision_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path()).await;
    furnished(&gateway).await;
    gateway.post("/v1/tenants", json!({ "id": "acme" })).await.expect(200);

    let key =
        gateway.post("/v1/tenants/acme/keys", json!({ "name": "connector" })).await.expect(201);
    let secret = key["key"].as_str().unwrap().to_owned();
    assert_eq!((&key["rate_limit"], &key["scopes"]), (&json!(10_000), &json!(["events:write"])));
    assert_eq!(
        gateway.plane.last_seen().live_keys,
        1,
        "the key was in force before it was answered"
    );
    assert_eq!(gateway.catalog.all_keys().unwrap()[0].hash, Digest::of(secret.as_bytes()));
    let listed = gateway.get("/v1/tenants/acme/keys").await.expect(200);
    assert_eq!(listed["keys"].as_array().unwrap().len(), 1);
    assert!(!listed.to_string().contains(&secret));

    let first = gateway.post("/v1/tenants/acme/revisions", document("one")).await.expect(201);
    assert_eq!((&first["number"], &first["state"]), (&json!(1), &json!("draft")));
    let stored = &first["document"];
    assert_eq!(stored["rules"][0]["component"], Digest::of(BUILTIN).to_string());
    assert_eq!(stored["rules"][1]["component"], Digest::of(b"\0asm mine").to_string());
    assert_eq!(stored["tables"]["planes"]["generation"], 1);
    let checked = gateway.plane.checked.lock().unwrap().last().cloned().unwrap();
    assert_eq!(json!(checked), *stored, "what the data plane has checked is what is stored");
    assert_eq!(gateway.plane.last_seen().active, [], "storing activates nothing");

    let again = gateway.post("/v1/tenants/acme/revisions", document("one")).await.expect(200);
    assert_eq!(again["digest"], first["digest"]);
    let resolved = gateway.post("/v1/tenants/acme/revisions", stored.clone()).await.expect(200);
    assert_eq!(resolved["number"], 1, "the stored form is taken too");
    gateway.post("/v1/tenants/acme/revisions", document("two")).await.expect(201);

    let active = |number: u64| vec![("acme".to_owned(), number)];
    let path = format!("/v1/tenants/acme/revisions/{}/activate", first["digest"].as_str().unwrap());
    gateway.call("POST", &path, "", b"").await.expect(200);
    assert_eq!(gateway.plane.last_seen().active, active(1));
    gateway.call("POST", "/v1/tenants/acme/revisions/2/activate", "", b"").await.expect(200);
    assert_eq!(gateway.plane.last_seen().active, active(2));
    let status = gateway.get("/v1/tenants/acme/status").await.expect(200);
    assert_eq!(
        (&status["active"]["number"], &status["rollback_to"]["number"]),
        (&json!(2), &json!(1))
    );
    let back = gateway.call("POST", "/v1/tenants/acme/rollback", "", b"").await.expect(200);
    assert_eq!((&back["number"], &back["kind"]), (&json!(1), &json!("rollback")));
    assert_eq!(gateway.plane.last_seen().active, active(1));
    let nothing = gateway.call("POST", "/v1/tenants/acme/rollback", "", b"").await;
    nothing.expect_problem(400, "invalid-request", None);

    let path = format!("/v1/tenants/acme/keys/{}", key["id"].as_str().unwrap());
    let revoked = gateway.call("DELETE", &path, "", b"").await.expect(200);
    assert_eq!(revoked["is_active"], false);
    assert_eq!(gateway.plane.last_seen().live_keys, 0);
    gateway.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path()).await;
    furnished(&gateway).await;
    gateway.post("/v1/tenants/acme/keys", json!({ "name": "connector" })).await.expect(201);
    gateway.post("/v1/tenants/acme/revisions", document("one")).await.expect(201);
    gateway.call("POST", "/v1/tenants/acme/revisions/1/activate", "", b"").await.expect(200);
    let paths = [
        "/v1/tenants",
        "/v1/tenants/acme",
        "/v1/tenants/acme/keys",
        "/v1/tenants/acme/schemas",
        "/v1/tenants/acme/schemas/flight",
        "/v1/tenants/acme/schemas/flight/versions",
        "/v1/tenants/acme/schemas/flight/versions/1",
        "/v1/tenants/acme/tables",
        "/v1/tenants/acme/tables/planes/generations",
        "/v1/tenants/acme/plugins",
        "/v1/tenants/acme/plugins/mine/versions",
        "/v1/tenants/acme/plugins/mine/versions/1",
        "/v1/tenants/acme/plugins/required/versions/1.0.0",
        "/v1/tenants/acme/jobs",
        "/v1/tenants/acme/jobs/1",
        "/v1/tenants/acme/revisions",
        "/v1/tenants/acme/revisions/1",
        "/v1/tenants/acme/activations",
        "/v1/tenants/acme/status",
    ];
    let mut before = Vec::new();
    for path in paths {
        before.push(gateway.get(path).await.expect(200));
    }
    assert_eq!(before[4]["schema"]["required"], json!(["id"]));
    assert_eq!(before[7]["tables"][0]["columns"], json!(["tailnum", "year"]));
    assert_eq!(before[11]["inspection"]["compile_ms"], 12);
    assert_eq!(before[12]["inspection"]["code_bytes"], BUILTIN.len() * 3);
    gateway.stop().await.unwrap();

    let gateway = Gateway::start(folder.path()).await;
    for (path, before) in paths.into_iter().zip(before) {
        assert_eq!(gateway.get(path).await.expect(200), before, "{path}");
    }
    assert_eq!(gateway.get("/v1/status").await.expect(200)["tenants"], 1);
    gateway.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_are_idempotent_by_content() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path()).await;
    furnished(&gateway).await;
    let plugins = "/v1/tenants/acme/plugins/mine/versions";
    gateway.push(plugins, b"\0asm two").await;
    let again = gateway.call("POST", plugins, "application/wasm", b"\0asm mine").await.expect(200);
    assert_eq!(again["version"], "1");
    let inspected = gateway.plane.inspected.load(std::sync::atomic::Ordering::SeqCst);
    assert_eq!(inspected, 2, "known bytes are not compiled again");
    let listed = gateway.get("/v1/tenants/acme/plugins").await.expect(200);
    let names: Vec<_> = listed["plugins"].as_array().unwrap().iter().collect();
    assert_eq!((&names[0]["name"], &names[0]["builtin"]), (&json!("required"), &json!(true)));
    assert_eq!((&names[1]["version"], &names[1]["builtin"]), (&json!("2"), &json!(false)));

    let tables = "/v1/tenants/acme/tables/planes";
    let same = gateway.call("PUT", tables, "text/csv", b"tailnum,year\nN2,2004\nN1,1999\n").await;
    assert_eq!(same.expect(200)["generation"], 1);
    let next =
        gateway.call("PUT", tables, "text/csv; charset=utf-8", b"tailnum,year\nN1,1\n").await;
    assert_eq!(next.expect(201)["generation"], 2);
    let page = gateway.get(&format!("{tables}/generations?before=2&limit=5")).await.expect(200);
    assert_eq!(page["generations"][0]["generation"], 1);
    assert_eq!(page["generations"].as_array().unwrap().len(), 1);

    let digest = base64::engine::general_purpose::STANDARD.encode(Digest::of(b"\0asm x").0);
    for (sent, status) in [
        (format!("sha-256=:{digest}:"), 202),
        (format!("sha-512=:AAAA:, sha-256=:{digest}:"), 200),
        ("sha-512=:AAAA:".to_owned(), 200),
        (format!("sha-256=:{}:", digest.to_uppercase()), 400),
        (digest.replace('=', ""), 400),
    ] {
        let head = format!(
            "Authorization: Bearer {TOKEN}\r\nContent-Type: application/wasm\r\nContent-Digest: {sent}\r\n"
        );
        let reply = gateway.raw("POST", plugins, &head, b"\0asm x").await;
        assert_eq!(reply.status, status, "{sent}: {}", reply.body);
    }
    gateway.stop().await.unwrap();
}
