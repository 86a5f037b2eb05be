//! The admin API.

use std::collections::BTreeMap;

use tidegate_catalog::AccessScope;
use tidegate_contract::{Document, Operation};
use tidegate_testkit::Gateway;

use crate::furnished::{Furnished, MARK, start, token};
use crate::{Cell, Expected, check};

/// One token for each scope: for the tenant, and for all where there is such a one.
struct Tokens {
    bound: BTreeMap<&'static str, String>,
    free: BTreeMap<&'static str, String>,
}

impl Tokens {
    fn make(gateway: &Gateway, tenant: &str) -> Self {
        let make = |tenant, scope: AccessScope| {
            let made = token(gateway, tenant, &[scope.as_str()]);
            (scope.as_str(), made["token"].as_str().unwrap().to_owned())
        };
        let bound = AccessScope::ALL.into_iter().map(|scope| make(Some(tenant), scope));
        // A token that uploads is for one tenant.
        let for_all =
            AccessScope::ALL.into_iter().filter(|scope| *scope != AccessScope::PluginsUpload);
        Self { bound: bound.collect(), free: for_all.map(|scope| make(None, scope)).collect() }
    }
}

fn bearer(text: &str) -> Vec<(&'static str, String)> {
    vec![("authorization", format!("Bearer {text}"))]
}

/// An operation's path with a tenant's name and the things of the furnished one.
fn concrete(operation: &Operation, tenant: &str, things: &Furnished) -> String {
    let path = operation.path.as_str();
    let name = match path {
        _ if path.contains("/plugins/") => "required",
        _ if path.contains("/tables/") => "planes",
        _ => "flight",
    };
    let id = match path {
        _ if path.contains("/keys/{id}") => things.key_id.as_str(),
        _ if path.contains("/tokens/{id}") => things.token_id.as_str(),
        _ if path.contains("/signing-keys/{id}") => "21fe31dfa154a261626bf854046fd227",
        _ => "1",
    };
    let path = path.replace("{tenant}", tenant).replace("{name}", name).replace("{id}", id);
    let path = path.replace("{version}", "1").replace("{job}", "1");
    let path = path.replace("{revision}", &things.revision).replace("{event_id}", &things.event_id);
    if path.ends_with("/groups") { path + "?by=rule" } else { path }
}

#[test]
fn every_operation_of_the_admin_api() {
    let (gateway, acme) = start();
    let made = gateway.admin("POST", "/v1/tenants", "application/json", br#"{"id":"other"}"#);
    assert_eq!(made.status, 201);
    let (own, others) = (Tokens::make(&gateway, "acme"), Tokens::make(&gateway, "other"));
    let admin = std::fs::read_to_string(gateway.folder().join("admin-token")).unwrap();
    // Good for events, and for nothing here, whatever its issuer says that it may do.
    let scopes = AccessScope::ALL.map(|scope| scope.as_str()).join(" ") + " admin events:write";
    let jwt = acme.oidc.token("acme", &scopes, &serde_json::json!({}));
    let operations = Document::admin().operations();
    for operation in &operations {
        let path = concrete(operation, "acme", &acme);
        let is_global = !operation.path.contains("{tenant}");
        let scopes = operation.scopes();
        let ask = |who: &str, credentials, path: &str, expected| {
            check(&gateway.admin, operation, &Cell { who, credentials, path, expected })
        };
        ask("nobody", Vec::new(), &path, Expected::Unauthenticated);
        ask("garbage", bearer("garbage"), &path, Expected::Unauthenticated);
        ask("an API key", bearer(&acme.tenant.key), &path, Expected::Unauthenticated);
        ask("a sender's token", bearer(&jwt), &path, Expected::Unauthenticated);
        let in_header = vec![("x-api-key", acme.tenant.key.clone())];
        ask("an API key in its header", in_header, &path, Expected::Unauthenticated);
        // Another tenant's, with any scope: acme's things are not there, and under its own name neither.
        let theirs = concrete(operation, "other", &acme);
        for (scope, text) in &others.bound {
            let who = format!("{scope} of another tenant");
            let hidden = if is_global { Expected::Forbidden } else { Expected::NotThere };
            let answer = ask(&who, bearer(text), &path, hidden);
            assert!(!answer.text().contains(MARK), "{who}: {}", answer.text());
            if !is_global && scopes.contains(scope) {
                let answer = ask(&who, bearer(text), &theirs, Expected::LetIn);
                assert!(!answer.text().contains(MARK), "{who}: {}", answer.text());
            }
        }
        // A scope that does not suffice; then those that do, and the administrator.
        let lacking = own.bound.iter().filter(|(scope, _)| !scopes.contains(*scope));
        for (scope, text) in lacking {
            ask(scope, bearer(text), &path, Expected::Forbidden);
        }
        for (scope, text) in &own.free {
            let suffices = scopes.contains(scope);
            let expected = if suffices { Expected::LetIn } else { Expected::Forbidden };
            ask(&format!("{scope} for all"), bearer(text), &path, expected);
        }
        let suffices = own.bound.iter().filter(|(scope, _)| scopes.contains(*scope));
        for (scope, text) in suffices {
            let expected = if is_global { Expected::Forbidden } else { Expected::LetIn };
            ask(scope, bearer(text), &path, expected);
        }
        ask("the administrator", bearer(admin.trim()), &path, Expected::LetIn);
    }
    assert!(operations.len() > 60);
}
