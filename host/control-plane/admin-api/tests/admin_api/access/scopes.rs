//! What each scope opens, on every route that there is.

use serde_json::{Value, json};
use tidegate_admin_api::{Declared, routes};
use tidegate_catalog::AccessScope;

use crate::harness::Gateway;
use crate::journey::furnished;

/// The route's path about a tenant, with things that are not there.
fn concrete(route: &Declared, tenant: &str) -> String {
    let path = route.path.replace("{tenant}", tenant).replace("{name}", "none");
    path.replace("{id}", "none")
        .replace("{version}", "9")
        .replace("{revision}", "9")
        .replace("{event_id}", "none")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_opens_to_its_scopes_and_to_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path()).await;
    furnished(&gateway).await;
    gateway.post("/v1/tenants", json!({ "id": "other" })).await.expect(201);
    let routes = routes();
    assert!(routes.len() > 30);
    for scope in AccessScope::ALL {
        let (_, bound) = gateway.token(Some("acme"), &[scope.as_str()]).await;
        for route in &routes {
            let what = format!("{scope}: {} {}", route.method, route.path);
            let opens = scope == AccessScope::Admin || route.scopes.contains(&scope);
            let is_global = !route.path.contains("{tenant}");
            let path = concrete(route, "acme");
            let reply = gateway.with_token(&bound, route.method.as_str(), &path).await;
            if is_global {
                assert_eq!(reply.status, 403, "{what}");
                assert!(
                    reply.body["detail"].as_str().unwrap().contains("for all tenants"),
                    "{what}"
                );
                continue;
            }
            if opens {
                assert!(!matches!(reply.status, 401 | 403), "{what}: {}", reply.body);
            } else {
                reply.expect_problem(403, "forbidden", None);
                let needed = route.scopes.first().copied().unwrap_or(AccessScope::Admin);
                let detail = reply.body["detail"].as_str().unwrap();
                assert!(
                    detail.starts_with(&format!("this needs the scope {needed};")),
                    "{what}: {detail}"
                );
            }
            // Others' things are not there, as if their tenant were not.
            let (others, ghosts) = (concrete(route, "other"), concrete(route, "ghost"));
            let others = gateway.with_token(&bound, route.method.as_str(), &others).await;
            others.expect_problem(404, "not-found", None);
            let ghosts = gateway.with_token(&bound, route.method.as_str(), &ghosts).await;
            let told = |reply: &Value, name| reply["detail"].as_str().unwrap().replace(name, "X");
            assert_eq!(told(&others.body, "other"), told(&ghosts.body, "ghost"), "{what}");
        }
        if scope == AccessScope::PluginsUpload {
            continue;
        }
        let (_, free) = gateway.token(None, &[scope.as_str()]).await;
        for route in &routes {
            let opens = scope == AccessScope::Admin || route.scopes.contains(&scope);
            let path = concrete(route, "ghost");
            let reply = gateway.with_token(&free, route.method.as_str(), &path).await;
            let what = format!("{scope} for all: {} {}", route.method, route.path);
            assert_eq!(!matches!(reply.status, 401 | 403), opens, "{what}: {}", reply.body);
        }
    }
}

/// "Uploads of tenants, activation by admins: two scopes."
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_uploads_and_cannot_activate() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path()).await;
    furnished(&gateway).await;
    let document = json!({ "event_types": { "flight": {} }, "default_type": "flight" });
    gateway.post("/v1/tenants/acme/revisions", document).await.expect(201);
    let (_, uploader) = gateway.token(Some("acme"), &["plugins:upload"]).await;
    let head = format!("Authorization: Bearer {uploader}\r\nContent-Type: application/wasm\r\n");
    let path = "/v1/tenants/acme/plugins/theirs/versions";
    gateway.raw("POST", path, &head, b"\0asm theirs").await.expect(202);
    let path = "/v1/tenants/acme/revisions/1/activate";
    let refused = gateway.with_token(&uploader, "POST", path).await;
    refused.expect_problem(403, "forbidden", None);
    assert_eq!(gateway.catalog.active_revisions().unwrap().len(), 0);
    let (id, admin) = gateway.token(None, &["rollout:write"]).await;
    let activated = gateway.with_token(&admin, "POST", path).await.expect(200);
    assert_eq!(activated["by"], format!("rollout:write ({id})"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_end() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path()).await;
    let (id, token) = gateway.token(None, &["admin"]).await;
    gateway.with_token(&token, "GET", "/v1/tenants").await.expect(200);
    let listed = gateway.get("/v1/tokens").await.expect(200);
    assert_eq!(listed["tokens"][0]["id"], id);
    assert!(!listed.to_string().contains(&token));
    let path = format!("/v1/tokens/{id}");
    let revoked = gateway.call("DELETE", &path, "", b"").await.expect(200);
    assert!(revoked["revoked_at"].is_string());
    let refused = gateway.with_token(&token, "GET", "/v1/tenants").await;
    refused.expect_problem(401, "unauthenticated", None);
    assert!(refused.body["detail"].as_str().unwrap().contains("revoked"));
    let forged = format!("{}x", &token[..token.len() - 1]);
    gateway
        .with_token(&forged, "GET", "/v1/tenants")
        .await
        .expect_problem(401, "unauthenticated", None);

    for (body, pointer) in [
        (json!({ "name": "a" }), Some("")),
        (json!({ "name": "a", "scopes": ["plugin:upload"] }), Some("/scopes/0")),
        (json!({ "name": "a", "scopes": [] }), None),
        (json!({ "name": "a", "scopes": ["plugins:upload"] }), None),
        (
            json!({ "name": "a", "scopes": ["admin"], "expires_at": "2001-01-01T00:00:00Z" }),
            Some("/expires_at"),
        ),
    ] {
        gateway.post("/v1/tokens", body).await.expect_problem(400, "invalid-request", pointer);
    }
    let ghost = json!({ "name": "a", "scopes": ["admin"], "tenant": "ghost" });
    gateway.post("/v1/tokens", ghost).await.expect_problem(404, "not-found", None);
    gateway.call("DELETE", "/v1/tokens/none", "", b"").await.expect_problem(404, "not-found", None);
}
