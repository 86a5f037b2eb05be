//! The catalog through its calls, on a real folder: what is stored, found, refused, and still there
//! after it is opened again.

use bytes::Bytes;
use serde_json::json;
use tempfile::TempDir;
use tidegate_catalog::{
    ArtifactName, BuiltinComponent, Catalog, CatalogError, ComponentSource, Limits, NewKey, Page,
    Put, RevisionState, Scope, Selector,
};
use tidegate_types::revision::RevisionDocument;
use tidegate_types::{Digest, TableName, TenantId};

fn open(folder: &TempDir) -> Catalog {
    Catalog::open(&folder.path().join("catalog"), Limits::default()).expect("the catalog opens")
}

fn tenant(catalog: &Catalog, id: &str) -> TenantId {
    let id = TenantId::new(id).expect("a tenant's id");
    catalog.create_tenant(&id).expect("a tenant");
    id
}

fn name(text: &str) -> ArtifactName {
    ArtifactName::new(text).expect("a name")
}

fn new_key() -> NewKey {
    let scopes = vec![Scope::EventsWrite];
    NewKey { name: "connector".to_owned(), scopes, rate_limit: 10_000, expires_at: None }
}

fn document(default_type: &str) -> RevisionDocument {
    serde_json::from_value(
        json!({ "default_type": default_type, "event_types": { default_type: {} } }),
    )
    .expect("a document")
}

const PAGE: Page = Page { before: None, limit: 100 };

#[test]
fn a_key_is_kept_as_its_hash_alone() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = open(&folder);
    let acme = tenant(&catalog, "acme");
    let (key, record) = catalog.create_key(&acme, new_key()).unwrap();
    assert_eq!(record.hash, Digest::of(key.reveal().as_bytes()));
    let secret = key.reveal().split('_').nth(3).unwrap().as_bytes().to_vec();
    drop(catalog);

    let mut hash_found = false;
    for entry in std::fs::read_dir(folder.path().join("catalog")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(secret.len()).any(|part| part == secret), "{}", path.display());
            hash_found |= bytes.windows(32).any(|part| part == record.hash.0);
        }
    }
    assert!(hash_found, "the search would have found the hash");
    assert_eq!(open(&folder).all_keys().unwrap(), [record]);
}

#[test]
fn keys_are_revoked_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = open(&folder);
    let (acme, other) = (tenant(&catalog, "acme"), tenant(&catalog, "other"));
    let (_, first) = catalog.create_key(&acme, new_key()).unwrap();
    let (_, second) = catalog.create_key(&acme, new_key()).unwrap();

    assert!(matches!(catalog.revoke_key(&other, &first.id), Err(CatalogError::NotFound { .. })));
    assert!(!catalog.revoke_key(&acme, &first.id).unwrap().is_active);
    assert!(!catalog.revoke_key(&acme, &first.id).unwrap().is_active);

    let keys = open(&folder).keys(&acme).unwrap();
    let seen = |id: &str| keys.iter().find(|key| key.id == id).unwrap();
    assert_eq!(
        (keys.len(), seen(&first.id).is_active, seen(&second.id).is_active),
        (2, false, true)
    );

    for broken in [
        NewKey { name: String::new(), ..new_key() },
        NewKey { name: "a\nb".to_owned(), ..new_key() },
        NewKey { scopes: vec![], ..new_key() },
        NewKey { rate_limit: 0, ..new_key() },
    ] {
        let text = format!("{broken:?}");
        assert!(
            matches!(catalog.create_key(&acme, broken), Err(CatalogError::Invalid(_))),
            "{text}"
        );
    }
}

#[test]
fn schemas_count_up_and_the_latest_is_what_was_put_last() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = open(&folder);
    let acme = tenant(&catalog, "acme");
    let mut versions = Vec::new();
    for text in ["{}", "{}", "true", "{}"] {
        let put = catalog.put_schema(&acme, &name("flight"), text.as_bytes()).unwrap();
        versions.push((put.is_created(), put.into_inner().version));
    }
    assert_eq!(versions, [(true, 1), (false, 1), (true, 2), (true, 3)]);

    let catalog = open(&folder);
    let find = |which: &Selector| catalog.schema(&acme, &name("flight"), which).map(|s| s.version);
    assert_eq!(find(&Selector::Latest).unwrap(), 3);
    assert_eq!(find(&Selector::Version("2".to_owned())).unwrap(), 2);
    assert_eq!(find(&Selector::Digest(Digest::of(b"true"))).unwrap(), 2);
    for missing in ["0", "4", "-1", "x", "", "99999999999999999999"] {
        assert!(find(&Selector::Version(missing.to_owned())).is_err(), "{missing}");
    }
    assert_eq!(catalog.content(&Digest::of(b"true")).unwrap(), b"true");
    let other = tenant(&catalog, "other");
    assert!(catalog.has_schema(&acme, &Digest::of(b"true")).unwrap());
    assert!(!catalog.has_schema(&other, &Digest::of(b"true")).unwrap());
    let page = Page { before: Some(3), limit: 1 };
    let listed = catalog.schema_versions(&acme, &name("flight"), page).unwrap();
    assert_eq!(listed.iter().map(|s| s.version).collect::<Vec<_>>(), [2]);
}

#[test]
fn tables_keep_their_generation_where_only_the_order_changed() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = open(&folder);
    let acme = tenant(&catalog, "acme");
    let planes = TableName::new("planes").unwrap();
    let put = |csv: &str, key| catalog.put_table(&acme, &planes, csv.as_bytes(), key).unwrap();
    let first = put("tail,year\nN1,1999\nN2,\n", None).into_inner();
    assert_eq!(
        (first.generation, first.rows, first.columns.as_slice()),
        (1, 2, &["tail", "year"].map(String::from)[..])
    );
    assert_eq!(put("year,tail\n,N2\n1999,N1\n", Some("tail")), Put::Unchanged(first.clone()));
    let second = put("tail,year\nN1,2000\n", None).into_inner();
    assert_eq!(second.generation, 2);

    let catalog = open(&folder);
    let content = catalog.table_content(&first.digest).unwrap();
    assert_eq!(content.row(1).collect::<Vec<_>>(), ["N2", ""]);
    assert_eq!(catalog.tables(&acme).unwrap(), [second]);
    assert_eq!(catalog.table_generations(&acme, &planes, PAGE).unwrap().len(), 2);
    assert_eq!(catalog.table(&acme, &planes, &Selector::Digest(first.digest)).unwrap(), first);
}

fn builtin(text: &str, version: &str, bytes: &'static [u8]) -> BuiltinComponent {
    let (version, digest) = (version.to_owned(), Digest::of(bytes));
    BuiltinComponent { name: name(text), version, digest, bytes: Bytes::from_static(bytes) }
}

#[test]
fn builtin_components_follow_the_program_and_older_ones_stay() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = open(&folder);
    let acme = tenant(&catalog, "acme");
    let (old, new) = (builtin("required", "1.0.0", b"old"), builtin("required", "1.1.0", b"new"));
    let current = |catalog: &Catalog| {
        let found = catalog.component(&acme, &name("required"), &Selector::Latest).unwrap();
        (found.version, found.digest, found.source)
    };
    catalog.register_builtins(&[old.clone(), builtin("gone", "1.0.0", b"gone")]).unwrap();
    catalog.register_builtins(std::slice::from_ref(&new)).unwrap();
    assert_eq!(current(&catalog), ("1.1.0".to_owned(), new.digest, ComponentSource::Builtin));
    assert!(catalog.component(&acme, &name("gone"), &Selector::Latest).is_err());
    assert!(
        catalog.component(&acme, &name("gone"), &Selector::Version("1.0.0".to_owned())).is_ok()
    );
    assert!(catalog.has_component(&acme, &old.digest).unwrap());
    assert_eq!(catalog.content(&old.digest).unwrap(), b"old");
    // A program that went back to an older release.
    catalog.register_builtins(std::slice::from_ref(&old)).unwrap();
    assert_eq!(current(&catalog).1, old.digest);

    let wrong = BuiltinComponent { digest: new.digest, ..old };
    assert!(matches!(catalog.register_builtins(&[wrong]), Err(CatalogError::Invalid(_))));
}

#[test]
fn uploaded_components_belong_to_their_tenant() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = open(&folder);
    let (acme, other) = (tenant(&catalog, "acme"), tenant(&catalog, "other"));
    catalog.register_builtins(&[builtin("required", "1.0.0", b"built in")]).unwrap();
    let facts = json!({ "compile_ms": 7 });
    let put = |bytes: &[u8]| catalog.put_component(&acme, &name("mine"), bytes, &facts).unwrap();
    assert_eq!(put(b"one").into_inner().version, "1");
    assert_eq!(put(b"two").into_inner().version, "2");
    let again = put(b"one");
    assert_eq!((again.is_created(), again.into_inner().version), (false, "1".to_owned()));

    let taken = catalog.put_component(&acme, &name("required"), b"x", &facts);
    assert!(matches!(taken, Err(CatalogError::Taken { .. })));
    let one = Digest::of(b"one");
    assert!(catalog.has_component(&acme, &one).unwrap());
    assert!(!catalog.has_component(&other, &one).unwrap());
    assert!(catalog.component(&other, &name("mine"), &Selector::Latest).is_err());
    assert_eq!(catalog.component(&acme, &name("mine"), &Selector::Latest).unwrap().version, "2");
    assert_eq!(catalog.inspection(&one).unwrap(), Some(facts.clone()));
    assert_eq!(catalog.inspection(&Digest::of(b"built in")).unwrap(), None);
    let listed = catalog.components(&acme).unwrap();
    let names: Vec<_> = listed.iter().map(|c| (c.name.as_str(), c.version.as_str())).collect();
    assert_eq!(names, [("required", "1.0.0"), ("mine", "2")]);
    // A release that brings a plugin of a name that a tenant has used: the tenant's own goes on.
    catalog.register_builtins(&[builtin("mine", "1.0.0", b"new in this release")]).unwrap();
    assert_eq!(catalog.component(&acme, &name("mine"), &Selector::Latest).unwrap().version, "2");
    assert_eq!(put(b"three").into_inner().version, "3");
}

/// Which revision is active, by number.
fn active(catalog: &Catalog, tenant: &TenantId) -> Option<u64> {
    let by_tenant = catalog.active_revisions().expect("the active revisions");
    let all = by_tenant.iter().find(|active| active.tenant == *tenant).map(|a| a.revision.number);
    let one = catalog.active(tenant).expect("the active one").map(|activation| activation.number);
    assert_eq!(all, one);
    one
}

#[test]
fn rollbacks_go_back_step_by_step_and_withdrawals_leave_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = open(&folder);
    let (acme, other) = (tenant(&catalog, "acme"), tenant(&catalog, "other"));
    let mut digests = Vec::new();
    for kind in ["a", "b", "c"] {
        digests.push(catalog.store_revision(&acme, &document(kind)).unwrap().into_inner().digest);
    }
    assert!(!catalog.store_revision(&acme, &document("a")).unwrap().is_created());
    assert_eq!(active(&catalog, &acme), None);
    assert!(matches!(catalog.roll_back(&acme, "admin"), Err(CatalogError::NothingBefore)));
    for digest in &digests {
        assert!(catalog.activate(&acme, digest, "admin").unwrap().is_created());
    }
    assert!(!catalog.activate(&acme, &digests[2], "admin").unwrap().is_created());
    assert!(catalog.activate(&other, &digests[0], "admin").is_err(), "another tenant's revision");

    let failed = catalog.roll_back(&acme, "admin").unwrap();
    assert_eq!(active(&catalog, &acme), Some(2));
    catalog.withdraw_activation(failed.sequence).unwrap();
    assert_eq!(active(&catalog, &acme), Some(3));
    assert_eq!(catalog.rollback_target(&acme).unwrap().unwrap().number, 2);

    let catalog = open(&folder);
    assert_eq!(catalog.roll_back(&acme, "admin").unwrap().number, 2);
    assert_eq!(catalog.roll_back(&acme, "admin").unwrap().number, 1);
    assert!(matches!(catalog.roll_back(&acme, "admin"), Err(CatalogError::NothingBefore)));
    assert_eq!(active(&catalog, &acme), Some(1));
    catalog.activate(&acme, &digests[2], "admin").unwrap();
    assert_eq!(catalog.roll_back(&acme, "admin").unwrap().number, 1);

    let states: Vec<_> = catalog.revisions(&acme, PAGE).unwrap().iter().map(|r| r.state).collect();
    assert_eq!(states, [RevisionState::Retired, RevisionState::Retired, RevisionState::Active]);
    assert_eq!(active(&catalog, &other), None);
    let history = catalog.activations(&acme, PAGE).unwrap();
    assert_eq!(history.iter().filter(|entry| entry.withdrawn).count(), 1);
    assert_eq!(history.len(), 8);
}

#[test]
fn stored_revisions_come_back_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = open(&folder);
    let acme = tenant(&catalog, "acme");
    let made = catalog.store_revision(&acme, &document("flight")).unwrap().into_inner();
    assert_eq!(made.digest, document("flight").digest());
    let catalog = open(&folder);
    for which in
        [Selector::Version("1".to_owned()), Selector::Digest(made.digest), Selector::Latest]
    {
        assert_eq!(catalog.revision(&acme, &which).unwrap(), made);
    }
    assert!(catalog.revision(&acme, &Selector::Version("2".to_owned())).is_err());
}

#[test]
fn limits_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits {
        tenants: 1,
        keys_per_tenant: 1,
        names_per_tenant: 1,
        versions_per_name: 2,
        revisions_per_tenant: 1,
        schema_bytes: 4,
        table_bytes: 40,
        table_rows: 2,
        component_bytes: 4,
        document_bytes: 200,
    };
    let catalog = Catalog::open(folder.path(), limits).unwrap();
    let acme = tenant(&catalog, "acme");
    let full = |error: CatalogError| assert!(matches!(error, CatalogError::Full { .. }), "{error}");
    let large =
        |error: CatalogError| assert!(matches!(error, CatalogError::TooLarge { .. }), "{error}");

    full(catalog.create_tenant(&TenantId::new("other").unwrap()).unwrap_err());
    assert!(!catalog.create_tenant(&acme).unwrap().is_created());
    catalog.create_key(&acme, new_key()).unwrap();
    full(catalog.create_key(&acme, new_key()).unwrap_err());
    catalog.put_schema(&acme, &name("a"), b"{}").unwrap();
    full(catalog.put_schema(&acme, &name("b"), b"{}").unwrap_err());
    catalog.put_schema(&acme, &name("a"), b"true").unwrap();
    full(catalog.put_schema(&acme, &name("a"), b"{ }").unwrap_err());
    large(catalog.put_schema(&acme, &name("a"), b"false").unwrap_err());
    large(catalog.put_component(&acme, &name("a"), b"12345", &json!({})).unwrap_err());
    let planes = TableName::new("planes").unwrap();
    large(catalog.put_table(&acme, &planes, &[b'k'; 41], None).unwrap_err());
    let rows = catalog.put_table(&acme, &planes, b"k\na\nb\nc\n", None);
    assert!(matches!(rows, Err(CatalogError::Table(_))));
    catalog.store_revision(&acme, &document("a")).unwrap();
    full(catalog.store_revision(&acme, &document("b")).unwrap_err());
    large(catalog.store_revision(&acme, &document(&"a".repeat(150))).unwrap_err());
}

#[test]
fn nothing_is_stored_for_a_tenant_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = open(&folder);
    let ghost = TenantId::new("ghost").unwrap();
    let planes = TableName::new("planes").unwrap();
    let facts = json!({});
    let refused = [
        catalog.create_key(&ghost, new_key()).map(drop),
        catalog.put_schema(&ghost, &name("a"), b"{}").map(drop),
        catalog.put_table(&ghost, &planes, b"k\n", None).map(drop),
        catalog.put_component(&ghost, &name("a"), b"x", &facts).map(drop),
        catalog.store_revision(&ghost, &document("a")).map(drop),
        catalog.roll_back(&ghost, "admin").map(drop),
        catalog.keys(&ghost).map(drop),
        catalog.revisions(&ghost, PAGE).map(drop),
    ];
    for (index, refused) in refused.into_iter().enumerate() {
        assert!(matches!(refused, Err(CatalogError::NotFound { what: "tenant", .. })), "{index}");
    }
    let blobs = folder.path().join("catalog/blobs");
    let files = std::fs::read_dir(blobs).unwrap().filter(|f| f.as_ref().unwrap().path().is_file());
    assert_eq!(files.count(), 0);
}

#[test]
fn damage_and_newer_layouts_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = open(&folder);
    let acme = tenant(&catalog, "acme");
    let schema = catalog.put_schema(&acme, &name("a"), b"{\"type\":1}").unwrap().into_inner();
    let file = folder.path().join("catalog/blobs").join(schema.digest.hex());
    std::fs::write(&file, b"{\"type\":2}").unwrap();
    assert!(matches!(catalog.content(&schema.digest), Err(CatalogError::DamagedBlob { .. })));
    std::fs::remove_file(&file).unwrap();
    assert!(matches!(catalog.content(&schema.digest), Err(CatalogError::DamagedBlob { .. })));

    let database = folder.path().join("catalog/catalog.sqlite");
    catalog.store_revision(&acme, &document("a")).unwrap();
    drop(catalog);
    let direct = rusqlite::Connection::open(&database).unwrap();
    direct
        .execute_batch(
            "UPDATE revisions SET document = \
             CAST(replace(CAST(document AS TEXT), '\"a\"', '\"b\"') AS BLOB)",
        )
        .unwrap();
    let catalog = open(&folder);
    let damaged = catalog.revision(&acme, &Selector::Latest).unwrap_err();
    assert!(matches!(damaged, CatalogError::Database(_)), "{damaged}");
    drop(catalog);
    direct.pragma_update(None, "user_version", 99).unwrap();
    let newer = Catalog::open(&folder.path().join("catalog"), Limits::default());
    assert!(matches!(newer, Err(CatalogError::NewerVersion { found: 99, .. })));
}
