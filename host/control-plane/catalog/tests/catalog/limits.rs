//! What is refused: beyond the limits, for nobody, damaged, from a newer program.

use tidegate_catalog::{CatalogError, Limits, TableCells, TableSource};
use tidegate_types::TenantId;

use crate::keys::new_key;
use crate::place::{PAGE, Place, document, name, tenant};

pub(crate) fn limits_are_kept(place: &Place) {
    let limits = Limits {
        tenants: 1,
        keys_per_tenant: 1,
        access_tokens: 1,
        signing_keys_per_tenant: 1,
        names_per_tenant: 1,
        versions_per_name: 2,
        revisions_per_tenant: 1,
        schema_bytes: 4,
        table_bytes: 40,
        table_rows: 2,
        component_bytes: 4,
        component_versions_per_tenant: 1,
        component_bytes_per_tenant: 4,
        admission_ms_per_hour: 1,
        document_bytes: 200,
        nodes: 1,
    };
    let catalog = place.try_node("catalog", limits).unwrap();
    let acme = tenant(&catalog, "acme");
    let full = |error: CatalogError| assert!(matches!(error, CatalogError::Full { .. }), "{error}");
    let large =
        |error: CatalogError| assert!(matches!(error, CatalogError::TooLarge { .. }), "{error}");

    full(catalog.create_tenant(&TenantId::new("other").unwrap()).unwrap_err());
    assert!(!catalog.create_tenant(&acme).unwrap().is_created());
    catalog.create_key(&acme, "live", new_key()).unwrap();
    full(catalog.create_key(&acme, "live", new_key()).unwrap_err());
    let of_acme = crate::access::new_token(Some(&acme));
    catalog.create_access_token(of_acme.clone(), "admin").unwrap();
    full(catalog.create_access_token(of_acme, "admin").unwrap_err());
    catalog.put_signing_key(&acme, "first", &[1; 32], "release").unwrap();
    full(catalog.put_signing_key(&acme, "second", &[2; 32], "release").unwrap_err());
    assert!(!catalog.put_signing_key(&acme, "first", &[1; 32], "again").unwrap().is_created());
    catalog.put_schema(&acme, &name("a"), b"{}").unwrap();
    full(catalog.put_schema(&acme, &name("b"), b"{}").unwrap_err());
    catalog.put_schema(&acme, &name("a"), b"true").unwrap();
    full(catalog.put_schema(&acme, &name("a"), b"{ }").unwrap_err());
    large(catalog.put_schema(&acme, &name("a"), b"false").unwrap_err());
    large(catalog.submit_component(&acme, &name("a"), b"12345").unwrap_err());
    let stage = |csv| catalog.stage_table(&acme, TableSource::Csv(csv), None);
    large(stage(&[b'k'; 41]).unwrap_err());
    // What few bytes say may be more as it is stored.
    let columns = ["a".repeat(20), "b".repeat(20)].to_vec();
    let cells = TableCells { columns, text: "1".to_owned(), ends: vec![1, 1] };
    large(catalog.stage_table(&acme, TableSource::Cells(cells), None).unwrap_err());
    let rows = stage(b"k\na\nb\nc\n");
    assert!(matches!(rows, Err(CatalogError::Table(_))));
    catalog.store_revision(&acme, &document("a")).unwrap();
    full(catalog.store_revision(&acme, &document("b")).unwrap_err());
    large(catalog.store_revision(&acme, &document(&"a".repeat(150))).unwrap_err());
}

pub(crate) fn nothing_is_stored_for_a_tenant_that_is_not_there(place: &Place) {
    let catalog = place.open();
    let ghost = TenantId::new("ghost").unwrap();
    let refused = [
        catalog.create_key(&ghost, "live", new_key()).map(drop),
        catalog.put_schema(&ghost, &name("a"), b"{}").map(drop),
        catalog.stage_table(&ghost, TableSource::Csv(b"k\n"), None).map(drop),
        catalog.submit_component(&ghost, &name("a"), b"x").map(drop),
        catalog.store_revision(&ghost, &document("a")).map(drop),
        catalog.roll_back(&ghost, None, "admin", "").map(drop),
        catalog.keys(&ghost).map(drop),
        catalog.revisions(&ghost, PAGE).map(drop),
    ];
    for (index, refused) in refused.into_iter().enumerate() {
        assert!(matches!(refused, Err(CatalogError::NotFound { what: "tenant", .. })), "{index}");
    }
    let files =
        std::fs::read_dir(place.blobs()).unwrap().filter(|f| f.as_ref().unwrap().path().is_file());
    assert_eq!(files.count(), 0);
}

pub(crate) fn damaged_content_is_told(place: &Place) {
    let catalog = place.open();
    let acme = tenant(&catalog, "acme");
    let schema = catalog.put_schema(&acme, &name("a"), b"{\"type\":1}").unwrap().into_inner();
    // Where the database has the content as well, it has to be damaged there too.
    if place.is_postgres() {
        place.sql("", "UPDATE blobs SET content = '\\x00'");
    }
    let file = place.blobs().join(schema.digest.hex());
    std::fs::write(&file, b"{\"type\":2}").unwrap();
    assert!(matches!(catalog.content(&schema.digest), Err(CatalogError::DamagedBlob { .. })));
    std::fs::remove_file(&file).unwrap();
    assert!(matches!(catalog.content(&schema.digest), Err(CatalogError::DamagedBlob { .. })));
    // Storing it again mends it.
    catalog.put_schema(&acme, &name("b"), b"{\"type\":1}").unwrap();
    std::fs::remove_file(&file).unwrap_or_default();
    if place.is_postgres() {
        assert_eq!(catalog.content(&schema.digest).unwrap(), b"{\"type\":1}");
    }
}

pub(crate) fn newer_layouts_are_refused(place: &Place) {
    drop(place.open());
    place.sql("PRAGMA user_version = 99", "UPDATE catalog_layout SET version = 99");
    let newer = place.try_node("catalog", Limits::default()).map(drop);
    assert!(matches!(newer, Err(CatalogError::NewerVersion { found: 99, .. })), "{newer:?}");
}
