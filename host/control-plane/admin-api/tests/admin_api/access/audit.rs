//! The audit log through the API: every act, refused ones too, by whom and with what outcome.

use serde_json::{Value, json};
use tidegate_admin_api::TakeBack;
use tidegate_catalog::audit::{self, AuditRecord};
use tidegate_types::{Digest, TenantId};

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

/// What the gateway did by itself, oldest first: what, about which path, and why.
async fn by_itself(gateway: &Gateway) -> Vec<(String, String, String)> {
    let seen = entries(gateway).await;
    let mut previous = audit::START;
    let mut told = Vec::new();
    for record in seen {
        let record: AuditRecord = serde_json::from_value(record).unwrap();
        let entry = &record.entry;
        assert_eq!(
            audit::link(&previous, record.sequence, &entry.text()),
            record.hash,
            "{entry:?}"
        );
        previous = record.hash;
        let Some(reason) = &entry.reason else { continue };
        assert_eq!((entry.who.as_str(), entry.token.as_str()), ("tidegate", "tidegate"));
        assert_eq!((entry.tenant.as_deref(), entry.method.as_str()), (Some("acme"), ""));
        assert_eq!(entry.kind, audit::AuditKind::Change);
        told.push((entry.route.clone(), entry.subject.clone(), reason.clone()));
    }
    told
}

fn told(what: &str, rest: &str, why: &str) -> (String, String, String) {
    (what.to_owned(), format!("/v1/tenants/acme/{rest}"), why.to_owned())
}

/// The end of a job is in the log, with how it ended.
#[tokio::test(flavor = "multi_thread")]
async fn settled_jobs_are_the_gateways_own_acts() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path()).await;
    furnished(&gateway).await;
    let path = "/v1/tenants/acme/plugins/other/versions";
    gateway.push(path, b"\0asm bad").await;
    gateway.plane.refuse.store(true, std::sync::atomic::Ordering::SeqCst);
    gateway.push(path, b"\0asm trouble").await;
    let digest = |bytes: &[u8]| Digest::of(bytes);
    let good = format!("version 1 of plugin mine ({}): admitted", digest(b"\0asm mine"));
    let bad = format!(
        "version 1 of plugin other ({}): failed: in the step compiled: it is too bad",
        digest(b"\0asm bad")
    );
    let trouble =
        format!("version 2 of plugin other ({}): error: no room", digest(b"\0asm trouble"));
    let wanted = [
        told("admission", "jobs/1", &good),
        told("admission", "jobs/2", &bad),
        told("admission", "jobs/3", &trouble),
    ];
    assert_eq!(by_itself(&gateway).await, wanted);
    // One that ended the process each time is given up, and that is told too.
    gateway.stop().await.unwrap();
    let file = folder.path().join("catalog.sqlite");
    let database = rusqlite::Connection::open(file).unwrap();
    let sql = "UPDATE admission_jobs SET state = 'running', node = 'node-1', attempts = 3, \
               lease_until = 0 WHERE number = 3";
    assert_eq!(database.execute(sql, []).unwrap(), 1);
    drop(database);
    let gateway = Gateway::start(folder.path()).await;
    assert_eq!(gateway.settled("3").await["state"], "error");
    let acts = by_itself(&gateway).await;
    assert_eq!(acts.len(), 4, "{acts:?}");
    assert!(
        acts[3].2.ends_with("error: the gateway stopped each time that it was begun"),
        "{acts:?}"
    );
    gateway.stop().await.unwrap();
}

/// What is taken back by itself is in the log, once, also where it goes back in spite of a problem.
#[tokio::test(flavor = "multi_thread")]
async fn automatic_rollbacks_are_the_gateways_own_acts() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path()).await;
    furnished(&gateway).await;
    let (acme, revisions) = (TenantId::new("acme").unwrap(), "/v1/tenants/acme/revisions");
    for rule in ["one", "two", "three"] {
        gateway.post(revisions, crate::journey::document(rule)).await.expect(201);
    }
    let call = |path: String, body: Value| {
        let gateway = &gateway;
        async move { gateway.post(&path, body).await.expect(200) }
    };
    call(format!("{revisions}/1/activate"), json!({})).await;
    let active = call(format!("{revisions}/2/activate"), json!({})).await;
    let canary = call(format!("{revisions}/3/canary"), json!({ "percent": 5 })).await;
    let (canary, active) = (canary["id"].as_u64().unwrap(), active["sequence"].as_u64().unwrap());
    let take = |what, why: &str| gateway.state.take_back(acme.clone(), what, why.to_owned());
    take(TakeBack::Canary(canary), "it rejects too much").await.unwrap();
    assert!(take(TakeBack::Canary(canary), "again").await.is_err());
    let policy = json!({ "policy": "any-known-key" }).to_string();
    let at = "/v1/tenants/acme/signature-policy";
    gateway.call("PUT", at, "application/json", policy.as_bytes()).await.expect(200);
    take(TakeBack::Activation(active), "it is slow").await.unwrap();
    assert!(take(TakeBack::Activation(active), "again").await.is_err());
    let acts = by_itself(&gateway).await;
    let wanted = [
        told("automatic-rollback", &format!("rollouts/{canary}"), "it rejects too much"),
        told("automatic-rollback", &format!("activations/{active}"), "it is slow"),
    ];
    assert_eq!(acts[1..], wanted, "after the job of the tenant's plugin");
    let problem = |why: &str, seen: &[Value]| {
        let found = seen.iter().find(|record| record["entry"]["reason"] == why);
        found.unwrap()["entry"]["problem"].clone()
    };
    let seen = entries(&gateway).await;
    assert_eq!(problem("it rejects too much", &seen), json!(null));
    assert_eq!(problem("it is slow", &seen), "signature-refused", "`mine` is not signed");
    gateway.stop().await.unwrap();
}
