//! Reference tables: the formats that they come in, and revisions that follow them.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "helpers of tests fail the test")]

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use tidegate_catalog::TableSource;
use tidegate_types::problem::ProblemPart;
use tidegate_types::{TableName, TenantId};

use crate::harness::Gateway;
use crate::journey::{document, furnished};

const PLANES: &str = "/v1/tenants/acme/tables/planes";
const CSV: &str = "text/csv";
const NDJSON: &str = "application/x-ndjson";
const PARQUET: &str = "application/vnd.apache.parquet";

/// A revision that follows the table `planes`.
fn following() -> Value {
    let mut document = document("one");
    document["tables"]["planes"] = json!({ "follow": true });
    document
}

async fn put(gateway: &Gateway, csv: &str) -> Value {
    gateway.call("PUT", PLANES, CSV, csv.as_bytes()).await.expect(201)
}

/// The generation that the active revision has, whether it follows, and how it became active.
async fn active(gateway: &Gateway) -> (u64, Value, Value) {
    let status = gateway.get("/v1/tenants/acme/status").await.expect(200);
    let number = &status["active"]["number"];
    let revision = gateway.get(&format!("/v1/tenants/acme/revisions/{number}")).await.expect(200);
    let table = &revision["document"]["tables"]["planes"];
    assert_eq!(
        gateway.plane.last_seen().active,
        [("acme".to_owned(), number.as_u64().unwrap())],
        "what is active is published"
    );
    let follows = table.get("follow").cloned().unwrap_or_default();
    (table["generation"].as_u64().unwrap(), follows, status["active"]["kind"].clone())
}

async fn activate(gateway: &Gateway, number: &Value) -> Value {
    let path = format!("/v1/tenants/acme/revisions/{number}/activate");
    gateway.call("POST", &path, "", b"").await.expect(200)
}

#[tokio::test(flavor = "multi_thread")]
async fn three_formats_are_one_content() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path()).await;
    gateway.post("/v1/tenants", json!({ "id": "acme" })).await.expect(201);
    let path = "/v1/tenants/acme/tables/t?key=k";
    let first = gateway.call("PUT", path, CSV, b"k,v\nb,2\na,1\n").await.expect(201);
    assert_eq!((&first["rows"], &first["derived"]), (&json!(2), &Value::Null));
    let lines = br#"{"k":"a","v":1}
        {"k":"b","v":"2"}"#;
    for (media, body) in [
        (NDJSON, &lines[..]),
        ("application/x-NDJSON; charset=utf-8", &lines[..]),
        (PARQUET, b"b2a1"),
    ] {
        let again = gateway.call("PUT", path, media, body).await.expect(200);
        assert_eq!(
            (&again["digest"], &again["generation"]),
            (&first["digest"], &json!(1)),
            "{media}"
        );
    }
    for (media, body, pointer, why) in [
        (NDJSON, &b"{\"k\":1}\n{\"k\":[]}\n"[..], Some("/lines/2"), "must be a text, a number"),
        (PARQUET, b"a1a2", Some("/rows/2"), "stands on row 1 already"),
        (PARQUET, b"\xff", None, "utf-8"),
    ] {
        let refused = gateway.call("PUT", path, media, body).await;
        refused.expect_problem(400, "invalid-request", pointer);
        assert!(refused.body.to_string().contains(why), "{}", refused.body);
    }
    let other = gateway.call("PUT", path, "application/json", b"[]").await;
    other.expect_problem(415, "unsupported-media-type", None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_followed_table_makes_revisions_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path()).await;
    furnished(&gateway).await;
    let stored = gateway.post("/v1/tenants/acme/revisions", following()).await.expect(201);
    assert_eq!(stored["document"]["tables"]["planes"]["generation"], 1);
    // What is not active follows nothing.
    assert_eq!(put(&gateway, "tailnum,year\nN1,2\n").await["derived"], Value::Null);
    // Who activates it wants the newest: the revision, then the one derived from it.
    let made = activate(&gateway, &stored["number"]).await;
    assert_eq!((&made["number"], &made["kind"]), (&json!(1), &json!("activate")));
    assert_eq!(active(&gateway).await, (2, json!(true), json!("derived")));

    let uploaded = put(&gateway, "tailnum,year\nN1,3\n").await;
    let derived = &uploaded["derived"];
    assert_eq!((&uploaded["derive_problem"], &derived["number"]), (&Value::Null, &json!(3)));
    assert_eq!(active(&gateway).await, (3, json!(true), json!("derived")));
    let path = format!("/v1/tenants/acme/revisions/{}", derived["digest"].as_str().unwrap());
    let revision = gateway.get(&path).await.expect(200);
    let before = gateway.get("/v1/tenants/acme/revisions/2").await.expect(200);
    assert_eq!(revision["derived_from"], before["digest"]);
    assert_ne!(revision["digest"], before["digest"]);
    assert_eq!(stored["derived_from"], Value::Null);
    assert_eq!(
        gateway.plane.checked.lock().unwrap().last().unwrap().tables.len(),
        1,
        "it was checked like any other"
    );
    // The same content again, another table, another tenant: nothing new.
    let again = gateway.call("PUT", PLANES, CSV, b"tailnum,year\nN1,3\n").await.expect(200);
    assert_eq!(again["derived"], Value::Null);
    let other = "/v1/tenants/acme/tables/other";
    let other = gateway.call("PUT", other, CSV, b"k\n1\n").await.expect(201);
    assert_eq!(other["derived"], Value::Null);
    // A derived document posted again is the derived revision.
    let again = gateway.post("/v1/tenants/acme/revisions", revision["document"].clone()).await;
    assert_eq!(again.expect(200)["number"], 3);

    // Rolling back goes one generation back, and stays there.
    let rolled = gateway.call("POST", "/v1/tenants/acme/rollback", "", b"").await.expect(200);
    assert_eq!((&rolled["number"], &rolled["kind"]), (&json!(2), &json!("rollback")));
    assert_eq!(put(&gateway, "tailnum,year\nN1,4\n").await["derived"], Value::Null);
    assert_eq!(active(&gateway).await, (2, json!(true), json!("rollback")));
    // Until it is activated: the same one, although it is active.
    let made = activate(&gateway, &json!(2)).await;
    assert_eq!((&made["number"], &made["kind"]), (&json!(2), &json!("activate")));
    assert_eq!(active(&gateway).await, (4, json!(true), json!("derived")));
    // Rollbacks still lead all the way back: to what was active before it was rolled back to.
    for number in [2, 1] {
        let rolled = gateway.call("POST", "/v1/tenants/acme/rollback", "", b"").await;
        assert_eq!(rolled.expect(200)["number"], number);
    }
    let history = gateway.get("/v1/tenants/acme/activations").await.expect(200);
    let kinds: Vec<_> = history["activations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (entry["number"].as_u64().unwrap(), entry["kind"].as_str().unwrap()))
        .collect();
    assert_eq!(
        kinds,
        [
            (1, "rollback"),
            (2, "rollback"),
            (4, "derived"),
            (2, "activate"),
            (2, "rollback"),
            (3, "derived"),
            (2, "derived"),
            (1, "activate"),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_that_cannot_be_used_is_kept_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path()).await;
    furnished(&gateway).await;
    gateway.post("/v1/tenants/acme/revisions", following()).await.expect(201);
    activate(&gateway, &json!(1)).await;
    let part = ProblemPart { pointer: "/rules/0/tables".into(), detail: "needs `year`".into() };
    gateway.plane.wrong_rules.lock().unwrap().push(part);
    let uploaded = put(&gateway, "tailnum\nN1\n").await;
    assert_eq!((&uploaded["generation"], &uploaded["derived"]), (&json!(2), &Value::Null));
    assert_eq!(uploaded["derive_problem"]["errors"][0]["detail"], "needs `year`");
    assert_eq!(active(&gateway).await, (1, json!(true), json!("activate")));
    // A data plane that does not take it: undone, and told.
    gateway.plane.wrong_rules.lock().unwrap().clear();
    gateway.plane.refuse.store(true, Ordering::SeqCst);
    let uploaded = put(&gateway, "tailnum,year\nN1,5\n").await;
    assert_eq!(uploaded["derive_problem"]["status"], 503);
    gateway.plane.refuse.store(false, Ordering::SeqCst);
    assert_eq!(active(&gateway).await, (1, json!(true), json!("activate")));
    // The same upload again finishes what was left.
    let again = gateway.call("PUT", PLANES, CSV, b"tailnum,year\nN1,5\n").await.expect(200);
    assert_eq!((&again["generation"], &again["derived"]["number"]), (&json!(3), &json!(2)));
    assert_eq!(active(&gateway).await, (3, json!(true), json!("derived")));
}

/// P3: an upload whose program ends before the revision is derived is made good at the next start.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_has_left_is_derived_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path()).await;
    furnished(&gateway).await;
    gateway.post("/v1/tenants/acme/revisions", following()).await.expect(201);
    activate(&gateway, &json!(1)).await;
    let (acme, planes) = (TenantId::new("acme").unwrap(), TableName::new("planes").unwrap());
    let staged = gateway.catalog.stage_table(&acme, TableSource::Csv(b"tailnum\nN7\n"), None);
    gateway.catalog.put_table(&acme, &planes, staged.unwrap()).unwrap();
    gateway.stop().await.unwrap();

    let gateway = Gateway::start(folder.path()).await;
    assert_eq!(active(&gateway).await, (2, json!(true), json!("derived")));
    let log = gateway.get("/v1/audit?limit=1").await.expect(200);
    let entry = &log["entries"][0]["entry"];
    assert_eq!((&entry["who"], &entry["route"]), (&json!("tidegate"), &json!("followed-table")));
    assert_eq!(entry["subject"], "/v1/tenants/acme/activations");
}

#[tokio::test(flavor = "multi_thread")]
async fn how_a_table_is_followed_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path()).await;
    furnished(&gateway).await;
    let pinned = gateway.post("/v1/tenants/acme/revisions", document("one")).await.expect(201);
    let followed = gateway.post("/v1/tenants/acme/revisions", following()).await.expect(201);
    assert_ne!(pinned["digest"], followed["digest"]);
    assert_eq!(pinned["document"]["tables"]["planes"].get("follow"), None);
    for (reference, pointer) in [
        (json!({ "follow": false }), "/tables/planes"),
        (json!({ "follow": "yes" }), ""),
        (json!({ "follow": true, "other": 1 }), ""),
    ] {
        let mut document = following();
        document["tables"]["planes"] = reference;
        let refused = gateway.post("/v1/tenants/acme/revisions", document).await;
        assert_eq!(refused.status, 400, "{}", refused.body);
        let told = refused.body.to_string();
        assert!(told.contains(pointer), "{told}");
    }
}
