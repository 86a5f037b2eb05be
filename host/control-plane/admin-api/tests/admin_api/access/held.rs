//! The signature policy of now is held against what is put before events, whenever it was uploaded.

use serde_json::{Value, json};
use tidegate_admin_api::TakeBack;
use tidegate_distribution::SecretKey;
use tidegate_types::{Digest, TenantId};

use crate::harness::{Gateway, Reply, TOKEN};

const SIGNED: &[u8] = b"\0asm signed";
const BARE: &[u8] = b"\0asm bare";

/// A tenant with two revisions: one of a component that nobody has signed, one of a component with
/// a signature of a registered key.
struct Trial {
    gateway: Gateway,
    key: SecretKey,
    bare: String,
    signed: String,
}

impl Trial {
    async fn begin(folder: &std::path::Path) -> Self {
        let gateway = Gateway::start(folder).await;
        gateway.post("/v1/tenants", json!({ "id": "acme" })).await.expect(201);
        let key = SecretKey::generate().unwrap();
        let mut trial = Self { gateway, key, bare: String::new(), signed: String::new() };
        trial.register(&trial.key).await;
        trial.upload("bare", BARE, None).await.expect(202);
        let signature = trial.key.sign(SIGNED).to_string();
        trial.upload("signed", SIGNED, Some(&signature)).await.expect(202);
        for job in ["1", "2"] {
            assert_eq!(trial.gateway.settled(job).await["state"], "admitted");
        }
        trial.bare = trial.revision("bare@1").await;
        trial.signed = trial.revision("signed@1").await;
        trial
    }

    async fn register(&self, key: &SecretKey) {
        let public = key.public();
        let at = format!("/v1/tenants/acme/signing-keys/{}", public.id());
        let body = json!({ "name": "ours", "public_key": public.to_pem() }).to_string();
        self.gateway.call("PUT", &at, "application/json", body.as_bytes()).await.expect(201);
    }

    async fn policy(&self, policy: Value) {
        let (at, body) = ("/v1/tenants/acme/signature-policy", policy.to_string());
        self.gateway.call("PUT", at, "application/json", body.as_bytes()).await.expect(200);
    }

    async fn upload(&self, name: &str, component: &[u8], signature: Option<&str>) -> Reply {
        let signature = signature.map(|it| format!("X-Signature: {it}\r\n")).unwrap_or_default();
        let head = format!(
            "Authorization: Bearer {TOKEN}\r\nContent-Type: application/wasm\r\n{signature}"
        );
        let path = format!("/v1/tenants/acme/plugins/{name}/versions");
        self.gateway.raw("POST", &path, &head, component).await
    }

    async fn revision(&self, component: &str) -> String {
        let document = json!({
            "event_types": { "flight": {} },
            "default_type": "flight",
            "rules": [
                { "name": "first", "component": "required", "config": { "of": component } },
                { "name": "own", "component": component },
            ],
        });
        let stored = self.gateway.post("/v1/tenants/acme/revisions", document).await.expect(201);
        stored["digest"].as_str().unwrap().to_owned()
    }

    async fn act(&self, path: &str, body: &Value) -> Reply {
        let path = format!("/v1/tenants/acme/{path}");
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        self.gateway.call("POST", &path, "application/json", &body).await
    }

    async fn activate(&self, digest: &str) -> Reply {
        self.act(&format!("revisions/{digest}/activate"), &Value::Null).await
    }

    async fn active(&self) -> Value {
        self.gateway.get("/v1/tenants/acme/status").await.expect(200)["active"].clone()
    }
}

/// The rule, the version and what to do.
fn assert_refused(reply: &Reply, why: &str) {
    reply.expect_problem(422, "signature-refused", None);
    let told = reply.body["detail"].as_str().unwrap();
    let (digest, errors) = (Digest::of(BARE), reply.body["errors"].as_array().unwrap());
    let what = format!(
        "the rule `own` cannot be put before events: version 1 of plugin `bare` ({digest}) {why}"
    );
    assert!(told.starts_with(&what), "{told}");
    assert!(told.contains("push the same bytes again with the signature"), "{told}");
    assert_eq!((errors.len(), &errors[0]["pointer"]), (1, &json!("/rules/1/component")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tightened_policy_is_held_against_what_was_admitted_before() {
    let folder = tempfile::tempdir().unwrap();
    let trial = Trial::begin(folder.path()).await;
    trial.activate(&trial.bare).await.expect(200);
    trial.policy(json!({ "policy": "any-known-key" })).await;
    // What judges goes on; built-in components need no signature.
    assert_eq!(trial.active().await["digest"], trial.bare.as_str());
    trial.activate(&trial.signed).await.expect(200);

    let why = "has no signature, and must be signed by a key that is registered for this tenant";
    assert_refused(&trial.activate(&trial.bare).await, why);
    let shadow = format!("revisions/{}/shadow", trial.bare);
    assert_refused(&trial.act(&shadow, &Value::Null).await, why);
    let canary = format!("revisions/{}/canary", trial.bare);
    assert_refused(&trial.act(&canary, &json!({ "percent": 5 })).await, why);
    // Going back is asked for like everything else: the policy wins.
    assert_refused(&trial.act("rollback", &Value::Null).await, why);
    assert_eq!(trial.active().await["digest"], trial.signed.as_str());

    // The same bytes again, signed, mend it.
    let signature = trial.key.sign(BARE).to_string();
    trial.upload("bare", BARE, Some(&signature)).await.expect(200);
    trial.act(&canary, &json!({ "percent": 5 })).await.expect(200);
    trial.act("rollback", &Value::Null).await.expect(200);
    assert_eq!(trial.active().await["digest"], trial.bare.as_str());
    trial.gateway.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_was_taken_away_signs_nothing_any_more() {
    let folder = tempfile::tempdir().unwrap();
    let trial = Trial::begin(folder.path()).await;
    trial.policy(json!({ "policy": "any-known-key" })).await;
    trial.activate(&trial.signed).await.expect(200);
    let (old, new) = (trial.key.public().id(), SecretKey::generate().unwrap());
    trial.register(&new).await;
    let at = format!("/v1/tenants/acme/signing-keys/{old}");
    trial.gateway.call("DELETE", &at, "", b"").await.expect(200);
    let refused = trial.activate(&trial.signed).await;
    refused.expect_problem(422, "signature-refused", None);
    let told = refused.body["detail"].as_str().unwrap();
    assert!(told.contains(&format!("is signed by {old}, and must be by a key that is")), "{told}");

    let signature = new.sign(SIGNED).to_string();
    trial.upload("signed", SIGNED, Some(&signature)).await.expect(200);
    trial.activate(&trial.signed).await.expect(200);
    // One key alone: the other's signature is none.
    trial.register(&trial.key).await;
    trial.policy(json!({ "policy": "this-key", "key": old })).await;
    trial.activate(&trial.signed).await.expect(200);
    let signature = new.sign(BARE).to_string();
    trial.policy(json!({ "policy": "any-known-key" })).await;
    trial.upload("bare", BARE, Some(&signature)).await.expect(200);
    trial.policy(json!({ "policy": "this-key", "key": old })).await;
    let why = format!("is signed by {}, and must be by the key {old}", new.public().id());
    assert_refused(&trial.activate(&trial.bare).await, &why);
    trial.gateway.stop().await.unwrap();
}

/// A revision that does worse than it may is taken back whatever the policy says by now: the tenant
/// keeps its rules, and the audit log tells what it was in spite of.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_back_by_itself_goes_through() {
    let folder = tempfile::tempdir().unwrap();
    let trial = Trial::begin(folder.path()).await;
    trial.activate(&trial.bare).await.expect(200);
    trial.activate(&trial.signed).await.expect(200);
    trial.policy(json!({ "policy": "any-known-key" })).await;
    let sequence = trial.active().await["sequence"].as_u64().unwrap();
    let tenant = TenantId::new("acme").unwrap();
    let back = TakeBack::Activation(sequence);
    trial.gateway.state.take_back(tenant.clone(), back, "too slow".to_owned()).await.unwrap();
    let active = trial.active().await;
    assert_eq!(active["digest"], trial.bare.as_str());
    assert_eq!((&active["by"], &active["reason"]), (&json!("tidegate"), &json!("too slow")));
    let again = trial.gateway.state.take_back(tenant, back, "too slow".to_owned()).await;
    assert!(again.is_err(), "it happens once");
    trial.gateway.stop().await.unwrap();
}
