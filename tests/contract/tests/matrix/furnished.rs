//! A tenant that has something of everything, all of it marked, so that it shows where it comes out.

use serde_json::{Value, json};
use tidegate_testkit::{Gateway, Oidc, Tenant};

/// Stands in what the tenant has, and in no path.
pub(crate) const MARK: &str = "of-acme-alone";

/// The tenant, and what paths name.
pub(crate) struct Furnished {
    pub(crate) tenant: Tenant,
    /// An event that a rule holds.
    pub(crate) event_id: String,
    pub(crate) key_id: String,
    pub(crate) token_id: String,
    /// The digest of the active revision.
    pub(crate) revision: String,
    /// Whose bearer tokens the gateway takes.
    pub(crate) oidc: Oidc,
}

pub(crate) fn start() -> (Gateway, Furnished) {
    let oidc = Oidc::start();
    let gateway = Gateway::start_with(&[
        ("INGRESS__MAX_AUTH_FAILURES", "1000000"),
        ("JWT__ISSUERS", &oidc.as_setting()),
    ]);
    let tenant = Tenant::create(&gateway, "acme");
    tenant.schema(&gateway, "flight", &json!({ "type": "object", "title": MARK }));
    tenant.table(&gateway, "planes", &format!("k,v\n{MARK},1\n"));
    let rule = json!({
        "name": "present", "component": "required",
        "config": { "fields": [{ "pointer": "/needed", "severity": "soft" }] },
    });
    let document = json!({
        "event_types": { "flight": { "schema": "flight", "key": "/key" } },
        "default_type": "flight",
        "rules": [rule],
        "tables": { "planes": "latest" },
    });
    let revision = tenant.activate(&gateway, &document);
    let held = tenant.post(&gateway, &json!({ "key": MARK }));
    assert_eq!(held.json()["status"], "quarantined", "{}", held.text());
    let event_id = held.json()["event_id"].as_str().unwrap().to_owned();
    let id = |made: Value| made["id"].as_str().unwrap().to_owned();
    let key_id = id(key(&gateway, "acme", &["events:write"]));
    let token_id = id(token(&gateway, Some("acme"), &["rollout:write"]));
    (gateway, Furnished { tenant, event_id, key_id, token_id, revision, oidc })
}

pub(crate) fn key(gateway: &Gateway, tenant: &str, scopes: &[&str]) -> Value {
    let body = json!({ "name": MARK, "scopes": scopes, "rate_limit": 1_000_000_000 }).to_string();
    let path = format!("/v1/tenants/{tenant}/keys");
    let answer = gateway.admin("POST", &path, "application/json", body.as_bytes());
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}

pub(crate) fn token(gateway: &Gateway, tenant: Option<&str>, scopes: &[&str]) -> Value {
    let body = json!({ "name": "a token", "scopes": scopes, "tenant": tenant }).to_string();
    let answer = gateway.admin("POST", "/v1/tokens", "application/json", body.as_bytes());
    assert_eq!(answer.status, 201, "{}", answer.text());
    answer.json()
}
