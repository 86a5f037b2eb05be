//! Access tokens, signing keys, and the audit log.

use serde_json::json;
use tidegate_catalog::{
    AccessScope, AccessToken, AuditEntry, AuditKind, AuditRecord, Catalog, CatalogError,
    NewAccessToken, Page, audit,
};
use tidegate_types::{Digest, TenantId, UnixMillis};

use crate::place::{PAGE, Place, tenant};

pub(crate) fn new_token(tenant: Option<&TenantId>) -> NewAccessToken {
    let scopes = vec![AccessScope::RolloutWrite, AccessScope::RevisionsWrite];
    NewAccessToken { name: "ci".to_owned(), tenant: tenant.cloned(), scopes, expires_at: None }
}

pub(crate) fn tokens_are_kept_as_their_hash_and_revoked_for_good(place: &Place) {
    let catalog = place.open();
    let acme = tenant(&catalog, "acme");
    let (token, made) = catalog.create_access_token(new_token(Some(&acme)), "admin").unwrap();
    let text = token.reveal().to_owned();
    assert!(AccessToken::has_form(&text) && !AccessToken::has_form(&text[1..]));
    assert!(!AccessToken::has_form(&text.replace("tg_access", "tg_admin_")));
    assert_eq!(made.scopes, [AccessScope::RevisionsWrite, AccessScope::RolloutWrite]);
    drop(catalog);
    let secret = text.split('_').nth(3).unwrap().as_bytes();
    let all = place.everything();
    assert!(!all.windows(secret.len()).any(|window| window == secret));

    let catalog = place.open();
    assert_eq!(catalog.find_access_token(&text).unwrap().as_ref(), Some(&made));
    assert_eq!(catalog.find_access_token("other").unwrap(), None);
    let expires_at = Some(UnixMillis(made.created_at.0 + 10));
    let short = NewAccessToken { expires_at, ..new_token(None) };
    let (_, short) = catalog.create_access_token(short, "ci").unwrap();
    assert!(short.is_valid_at(made.created_at));
    assert!(!short.is_valid_at(UnixMillis(made.created_at.0 + 10)));

    let revoked = catalog.revoke_access_token(&made.id).unwrap();
    assert!(revoked.revoked_at.is_some() && !revoked.is_valid_at(made.created_at));
    assert_eq!(catalog.revoke_access_token(&made.id).unwrap(), revoked);
    assert!(matches!(catalog.revoke_access_token("x"), Err(CatalogError::NotFound { .. })));
    let listed = catalog.access_tokens(None, 10).unwrap();
    assert_eq!(listed.len(), 2);
    assert!(listed.is_sorted_by_key(|token| token.id.clone()));
    assert_eq!(catalog.access_tokens(Some(&listed[0].id), 10).unwrap(), listed[1..]);

    let upload = vec![AccessScope::PluginsUpload];
    for broken in [
        NewAccessToken { name: String::new(), ..new_token(None) },
        NewAccessToken { scopes: Vec::new(), ..new_token(None) },
        NewAccessToken { scopes: upload, ..new_token(None) },
    ] {
        let error = catalog.create_access_token(broken, "admin").unwrap_err();
        assert!(matches!(error, CatalogError::Invalid(_)), "{error}");
    }
    let ghost = TenantId::new("ghost").unwrap();
    let error = catalog.create_access_token(new_token(Some(&ghost)), "admin").unwrap_err();
    assert!(matches!(error, CatalogError::NotFound { .. }), "{error}");
}

pub(crate) fn keys_and_policies_of_signatures(place: &Place) {
    let catalog = place.open();
    let (acme, other) = (tenant(&catalog, "acme"), tenant(&catalog, "other"));
    let first = catalog.put_signing_key(&acme, "first", &[1; 32], "release").unwrap();
    assert!(first.is_created());
    let named = catalog.put_signing_key(&acme, "first", &[1; 32], "releases").unwrap();
    assert!(!named.is_created());
    catalog.put_signing_key(&acme, "second", &[2; 32], "nightly").unwrap();
    let keys = place.open().signing_keys(&acme).unwrap();
    let told: Vec<_> = keys.iter().map(|key| (key.id.as_str(), key.name.as_str())).collect();
    assert_eq!(told, [("first", "releases"), ("second", "nightly")]);
    assert_eq!(keys[1].public_key, [2; 32]);
    assert_eq!(catalog.signing_keys(&other).unwrap(), []);

    assert_eq!(catalog.signature_policy(&acme).unwrap(), None);
    let policy = json!({ "policy": "this-key", "key": "first" });
    catalog.set_signature_policy(&acme, &policy).unwrap();
    assert_eq!(place.open().signature_policy(&acme).unwrap(), Some(policy.clone()));
    let invalid =
        |error: CatalogError| assert!(matches!(error, CatalogError::Invalid(_)), "{error}");
    invalid(catalog.set_signature_policy(&other, &policy).unwrap_err());
    invalid(catalog.remove_signing_key(&acme, "first").unwrap_err());
    catalog.remove_signing_key(&acme, "second").unwrap();
    let error = catalog.remove_signing_key(&acme, "second").unwrap_err();
    assert!(matches!(error, CatalogError::NotFound { .. }), "{error}");

    let component = Digest::of(b"component");
    for key in ["first", "first", "another"] {
        catalog.note_signature(&acme, &component, key, "c2ln").unwrap();
    }
    assert_eq!(catalog.signers(&acme, &component).unwrap(), ["another", "first"]);
    assert_eq!(catalog.signers(&other, &component).unwrap(), Vec::<String>::new());
}

fn entry(act: &str, tenant: Option<&str>) -> AuditEntry {
    AuditEntry {
        act: act.to_owned(),
        at: "2026-01-02T03:04:05.678Z".to_owned(),
        body: Some(Digest::of(b"body")),
        kind: AuditKind::Answer,
        method: "POST".to_owned(),
        problem: None,
        reason: None,
        remote: "127.0.0.1:1".to_owned(),
        route: "/v1/tenants".to_owned(),
        skipped: 0,
        status: Some(201),
        subject: "/v1/tenants".to_owned(),
        tenant: tenant.map(str::to_owned),
        token: "admin".to_owned(),
        who: "admin \u{0} \"é\"".to_owned(),
    }
}

fn all(catalog: &Catalog) -> Vec<AuditRecord> {
    let mut entries = catalog.audit(None, PAGE).unwrap();
    entries.reverse();
    entries
}

pub(crate) fn changes_and_their_entries_are_one(place: &Place) {
    let catalog = place.open();
    let acme = TenantId::new("acme").unwrap();
    // What the gateway does by itself has no entry, and reading has none.
    tenant(&catalog, "silent");
    audit::acting(entry("1", Some("acme")), || catalog.tenants(None, 10)).unwrap();
    assert_eq!(all(&catalog), []);

    audit::acting(entry("2", Some("acme")), || catalog.create_tenant(&acme)).unwrap();
    audit::acting(entry("3", Some("acme")), || catalog.create_tenant(&acme)).unwrap();
    let failed = audit::acting(entry("4", None), || catalog.revoke_access_token("none"));
    assert!(failed.is_err());
    catalog.append_audit(&entry("2", Some("acme"))).unwrap();
    catalog.append_audit(&entry("5", None)).unwrap();
    // Beyond `acting` nobody acts.
    tenant(&catalog, "silent-too");
    let seen: Vec<_> = all(&place.open())
        .into_iter()
        .map(|record| (record.sequence, record.entry.act, record.entry.kind))
        .collect();
    let (change, answer) = (AuditKind::Change, AuditKind::Answer);
    let wanted = [(1, "2", change), (2, "2", answer), (3, "5", answer)];
    assert_eq!(seen, wanted.map(|(at, act, kind)| (at, act.to_owned(), kind)));

    let of = |tenant, page| catalog.audit(tenant, page).unwrap();
    let sequences = |found: Vec<AuditRecord>| {
        found.into_iter().map(|record| record.sequence).collect::<Vec<u64>>()
    };
    assert_eq!(sequences(of(Some("acme"), PAGE)), [2, 1]);
    assert_eq!(sequences(of(None, Page { before: Some(3), limit: 1 })), [2]);
    assert_eq!(sequences(of(Some("other"), PAGE)), Vec::<u64>::new());
}

/// Does each entry follow from the one before?
fn is_whole(entries: &[AuditRecord]) -> bool {
    let mut previous = audit::START;
    entries.iter().zip(1u64..).all(|(record, sequence)| {
        let hash = audit::link(&previous, sequence, &record.entry.text());
        previous = record.hash;
        record.sequence == sequence && record.hash == hash
    })
}

pub(crate) fn entries_cannot_be_changed_and_the_chain_tells(place: &Place) {
    let catalog = place.open();
    for act in ["a", "b", "c", "d"] {
        catalog.append_audit(&entry(act, None)).unwrap();
    }
    drop(catalog);
    for statement in [
        "UPDATE audit_log SET entry = '{}' WHERE sequence = 2",
        "DELETE FROM audit_log WHERE sequence = 2",
        "DELETE FROM audit_log",
    ] {
        assert!(!place.try_sql(statement), "{statement}");
    }
    assert!(is_whole(&all(&place.open())));

    // Whoever takes the guards away first is told of by the chain.
    place.sql(
        "DROP TRIGGER audit_log_keeps_entries; DROP TRIGGER audit_log_loses_none;",
        "DROP TRIGGER audit_log_keeps_entries ON audit_log",
    );
    assert!(
        place.try_sql(
            "UPDATE audit_log SET entry = replace(entry, '201', '403') WHERE sequence = 2"
        )
    );
    assert!(!is_whole(&all(&place.open())));
    assert!(
        place.try_sql(
            "UPDATE audit_log SET entry = replace(entry, '403', '201') WHERE sequence = 2"
        )
    );
    assert!(is_whole(&all(&place.open())));
    assert!(place.try_sql("DELETE FROM audit_log WHERE sequence = 2"));
    assert!(!is_whole(&all(&place.open())));
}
