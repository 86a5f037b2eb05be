//! The audit log through the API: every act, refused ones too, by whom and with what outcome.

use serde_json::{Value, json};
use tidegate_types::Digest;

use crate::harness::{Gateway, TOKEN};
use crate::journey::furnished;

/// Entries, oldest first.
async fn entries(gateway: &Gateway) -> Vec<Value> {
    let list = gateway.get("/v1/audit?limit=1000").await.expect(200);
    let entries = list.get("entries").and_then(Value::as_array);
    let mut entries = entries.expect("a list").clone();
    entries.reverse();
    entries
}

#[tokio::test(flavor = "multi_thread")]
async fn acts_leave_their_change_and_their_answer() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path()).await;
    let body = json!({ "id": "acme" });
    gateway.post("/v1/tenants", body.clone()).await.expect(201);
    gateway.post("/v1/tenants", body.clone()).await.expect(200);
    gateway.get("/v1/tenants").await.expect(200);
    gateway.post("/v1/tenants/acme/keys", json!({ "name": "" })).await.expect(400);
    let seen = entries(&gateway).await;
    let told: Vec<_> = seen
        .iter()
        .map(|record| {
            let entry = &record["entry"];
            (entry["kind"].as_str().unwrap(), entry["status"].as_u64(), entry["problem"].as_str())
        })
        .collect();
    let wanted = [
        ("change", None, None),
        ("answer", Some(201), None),
        ("answer", Some(200), None),
        ("answer", Some(400), Some("invalid-request")),
    ];
    assert_eq!(told, wanted);
    let first = &seen[0]["entry"];
    assert_eq!(first["act"], seen[1]["entry"]["act"]);
    assert_ne!(first["act"], seen[2]["entry"]["act"]);
    assert_eq!(first["body"], Digest::of(body.to_string().as_bytes()).to_string());
    assert_eq!((&first["token"], &first["who"]), (&json!("admin"), &json!("admin")));
    assert_eq!((&first["method"], &first["route"]), (&json!("POST"), &json!("/v1/tenants")));
    assert!(first["remote"].as_str().unwrap().starts_with("127.0.0.1:"));
    let last = &seen[3]["entry"];
    assert_eq!(last["route"], "/v1/tenants/{tenant}/keys");
    assert_eq!(
        (&last["subject"], &last["tenant"]),
        (&json!("/v1/tenants/acme/keys"), &json!("acme"))
    );

    let of_acme = gateway.get("/v1/audit?tenant=acme").await.expect(200);
    assert_eq!(of_acme["entries"].as_array().unwrap().len(), 1);
    let page = gateway.get("/v1/audit?before=3&limit=1").await.expect(200);
    assert_eq!(page["entries"][0]["sequence"], 2);
    gateway.get("/v1/audit?limit=0").await.expect_problem(400, "invalid-request", None);
    assert!(!gateway.get("/v1/audit").await.expect(200).to_string().contains(TOKEN));
}

/// An activation that cannot be put in force is made and withdrawn: both are there.
#[tokio::test(flavor = "multi_thread")]
async fn an_act_with_two_changes_has_both() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path()).await;
    furnished(&gateway).await;
    let document = json!({ "event_types": { "flight": {} }, "default_type": "flight" });
    gateway.post("/v1/tenants/acme/revisions", document).await.expect(201);
    gateway.plane.refuse.store(true, std::sync::atomic::Ordering::SeqCst);
    let path = "/v1/tenants/acme/revisions/1/activate";
    gateway.call("POST", path, "", b"").await.expect(503);
    let seen = entries(&gateway).await;
    let act = &seen.last().unwrap()["entry"]["act"];
    let of_act = seen.iter().filter(|record| record["entry"]["act"] == *act);
    let kinds: Vec<_> = of_act.map(|record| record["entry"]["kind"].clone()).collect();
    assert_eq!(kinds, ["change", "change", "answer"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_told_and_those_of_strangers_are_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path()).await;
    gateway.post("/v1/tenants", json!({ "id": "acme" })).await.expect(201);
    let (id, token) = gateway.token(Some("acme"), &["plugins:upload"]).await;
    gateway.with_token(&token, "GET", "/v1/audit").await.expect(403);
    gateway.call("DELETE", &format!("/v1/tokens/{id}"), "", b"").await.expect(200);
    gateway.with_token(&token, "GET", "/v1/audit").await.expect(401);
    let seen = entries(&gateway).await;
    let of_token: Vec<_> = seen.iter().filter(|record| record["entry"]["token"] == id).collect();
    assert_eq!(of_token.len(), 2);
    assert_eq!(of_token[0]["entry"]["problem"], "forbidden");
    assert_eq!(of_token[1]["entry"]["who"], "plugins:upload");
    assert_eq!(of_token[1]["entry"]["status"], 401);

    for _ in 0..40 {
        gateway.with_token("wrong", "POST", "/v1/tenants").await.expect(401);
    }
    let seen = entries(&gateway).await;
    let strangers = seen.iter().filter(|record| record["entry"]["token"] == "unknown").count();
    assert_eq!(strangers, 12);
}
