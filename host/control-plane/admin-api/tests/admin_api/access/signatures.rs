//! Whose components a tenant takes, and components that come from registries.

use serde_json::json;
use tidegate_distribution::SecretKey;
use tidegate_types::Digest;

use crate::harness::{Gateway, ON_THE_SHELF, Reply, TOKEN};

const COMPONENT: &[u8] = b"\0asm signed";

async fn upload(gateway: &Gateway, signature: Option<&str>) -> Reply {
    let signature = signature.map(|text| format!("X-Signature: {text}\r\n")).unwrap_or_default();
    let head =
        format!("Authorization: Bearer {TOKEN}\r\nContent-Type: application/wasm\r\n{signature}");
    gateway.raw("POST", "/v1/tenants/acme/plugins/rule/versions", &head, COMPONENT).await
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_are_held_against_uploads() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path()).await;
    gateway.post("/v1/tenants", json!({ "id": "acme" })).await.expect(201);
    let (ours, nightly, foreign) = (
        SecretKey::generate().unwrap(),
        SecretKey::generate().unwrap(),
        SecretKey::generate().unwrap(),
    );
    let keys = "/v1/tenants/acme/signing-keys";
    let policy = "/v1/tenants/acme/signature-policy";
    let put = |path: String, body: serde_json::Value| {
        let gateway = &gateway;
        async move { gateway.call("PUT", &path, "application/json", body.to_string().as_bytes()).await }
    };
    assert_eq!(gateway.get(policy).await.expect(200), json!({ "policy": "none" }));

    let any = json!({ "policy": "any-known-key" });
    put(policy.to_owned(), any.clone()).await.expect(200);
    let refused = upload(&gateway, Some(&ours.sign(COMPONENT).to_string())).await;
    refused.expect_problem(422, "signature-refused", None);
    for (key, status) in [(&ours, 201), (&ours, 200), (&nightly, 201)] {
        let public = key.public();
        let body = json!({ "name": "release", "public_key": public.to_pem() });
        put(format!("{keys}/{}", public.id()), body).await.expect(status);
    }
    let listed = gateway.get(keys).await.expect(200);
    assert_eq!(listed["keys"].as_array().unwrap().len(), 2);
    let path = format!("{keys}/{}", ours.public().id());
    assert_eq!(gateway.get(&path).await.expect(200)["public_key"], ours.public().to_pem());

    upload(&gateway, None).await.expect_problem(422, "signature-refused", None);
    let refused = upload(&gateway, Some(&foreign.sign(COMPONENT).to_string())).await;
    refused.expect_problem(422, "signature-refused", None);
    let refused = upload(&gateway, Some(&ours.sign(b"other").to_string())).await;
    refused.expect_problem(422, "signature-refused", None);
    upload(&gateway, Some("AAAA")).await.expect_problem(400, "invalid-request", None);
    assert_eq!(gateway.plane.inspected.load(std::sync::atomic::Ordering::SeqCst), 0);
    upload(&gateway, Some(&nightly.sign(COMPONENT).to_string())).await.expect(202);

    let this = json!({ "policy": "this-key", "key": ours.public().id() });
    put(policy.to_owned(), this.clone()).await.expect(200);
    assert_eq!(gateway.get(policy).await.expect(200), this);
    let refused = upload(&gateway, Some(&nightly.sign(COMPONENT).to_string())).await;
    refused.expect_problem(422, "signature-refused", None);
    upload(&gateway, Some(&ours.sign(COMPONENT).to_string())).await.expect(200);
    let seen = gateway.get("/v1/tenants/acme/plugins/rule/versions/1").await.expect(200);
    let mut signers = [ours.public().id().to_string(), nightly.public().id().to_string()];
    signers.sort();
    assert_eq!(seen["signed_by"], json!(signers));

    let removed = gateway.call("DELETE", &path, "", b"").await;
    removed.expect_problem(400, "invalid-request", None);
    put(policy.to_owned(), any).await.expect(200);
    gateway.call("DELETE", &path, "", b"").await.expect(200);
    gateway.get(&path).await.expect_problem(404, "not-found", None);

    let key = foreign.public();
    let body = json!({ "name": "a", "public_key": key.to_pem() });
    put(format!("{keys}/{}", ours.public().id()), body).await.expect_problem(
        400,
        "invalid-request",
        Some("/public_key"),
    );
    let body = json!({ "name": "a", "public_key": "AAAA" });
    put(format!("{keys}/{}", key.id()), body).await.expect_problem(
        400,
        "invalid-request",
        Some("/public_key"),
    );
    let unknown = json!({ "policy": "this-key", "key": key.id() });
    put(policy.to_owned(), unknown).await.expect_problem(400, "invalid-request", None);
    let unknown = json!({ "policy": "sometimes" });
    assert_eq!(put(policy.to_owned(), unknown).await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn components_are_pulled_from_registries() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path()).await;
    gateway.post("/v1/tenants", json!({ "id": "acme" })).await.expect(201);
    let path = "/v1/tenants/acme/plugins/rule/versions";
    let stored = gateway.post(path, json!({ "oci": ON_THE_SHELF })).await.expect(202);
    assert_eq!(stored["digest"], Digest::of(b"\0asm pulled").to_string());
    let refused = gateway.post(path, json!({ "oci": "oci://other/rule" })).await;
    refused.expect_problem(502, "registry-failed", Some("/oci"));
    gateway.post(path, json!({})).await.expect_problem(400, "invalid-request", Some(""));

    // What is pulled must be signed like everything else.
    let policy = json!({ "policy": "any-known-key" }).to_string();
    let at = "/v1/tenants/acme/signature-policy";
    gateway.call("PUT", at, "application/json", policy.as_bytes()).await.expect(200);
    let refused = gateway.post(path, json!({ "oci": ON_THE_SHELF })).await;
    refused.expect_problem(422, "signature-refused", None);
    let key = SecretKey::generate().unwrap();
    let signature = key.sign(b"\0asm pulled").to_string();
    let pull = |signature: &str| {
        let head = format!(
            "Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\nX-Signature: {signature}\r\n"
        );
        let body = json!({ "oci": ON_THE_SHELF }).to_string();
        let gateway = &gateway;
        async move { gateway.raw("POST", path, &head, body.as_bytes()).await }
    };
    pull(&signature).await.expect_problem(422, "signature-refused", None);
    let public = key.public();
    let body = json!({ "name": "ours", "public_key": public.to_pem() }).to_string();
    let at = format!("/v1/tenants/acme/signing-keys/{}", public.id());
    gateway.call("PUT", &at, "application/json", body.as_bytes()).await.expect(201);
    pull(&signature).await.expect(200);
    let seen = gateway.get(&format!("{path}/1")).await.expect(200);
    assert_eq!(seen["signed_by"], json!([public.id().to_string()]));
}
