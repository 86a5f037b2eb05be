//! Schemas, tables, components: versions, digests, lists.

pub(crate) mod jobs;

use bytes::Bytes;
use serde_json::json;
use tidegate_catalog::{
    BuiltinComponent, Catalog, CatalogError, ComponentSource, Page, Put, Selector, TableSource,
};
use tidegate_types::{Digest, TableName};

use crate::place::{PAGE, Place, name, tenant};

pub(crate) fn schemas_count_up_and_the_latest_is_what_was_put_last(place: &Place) {
    let catalog = place.open();
    let acme = tenant(&catalog, "acme");
    let mut versions = Vec::new();
    for text in ["{}", "{}", "true", "{}"] {
        let put = catalog.put_schema(&acme, &name("flight"), text.as_bytes()).unwrap();
        versions.push((put.is_created(), put.into_inner().version));
    }
    assert_eq!(versions, [(true, 1), (false, 1), (true, 2), (true, 3)]);

    let catalog = place.open();
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

pub(crate) fn tables_keep_their_generation_where_only_the_order_changed(place: &Place) {
    let catalog = place.open();
    let acme = tenant(&catalog, "acme");
    let planes = TableName::new("planes").unwrap();
    let put = |csv: &str, key| {
        let staged = catalog.stage_table(&acme, TableSource::Csv(csv.as_bytes()), key).unwrap();
        catalog.put_table(&acme, &planes, staged).unwrap()
    };
    let first = put("tail,year\nN1,1999\nN2,\n", None).into_inner();
    assert_eq!(
        (first.generation, first.rows, first.columns.as_slice()),
        (1, 2, &["tail", "year"].map(String::from)[..])
    );
    assert_eq!(put("year,tail\n,N2\n1999,N1\n", Some("tail")), Put::Unchanged(first.clone()));
    let second = put("tail,year\nN1,2000\n", None).into_inner();
    assert_eq!(second.generation, 2);

    let catalog = place.open();
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

pub(crate) fn builtin_components_follow_the_program_and_older_ones_stay(place: &Place) {
    let catalog = place.open();
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
    assert_eq!(catalog.component_of(&acme, &old.digest).unwrap().version, "1.0.0");
    assert_eq!(catalog.content(&old.digest).unwrap(), b"old");
    // A program that went back to an older release.
    catalog.register_builtins(std::slice::from_ref(&old)).unwrap();
    assert_eq!(current(&catalog).1, old.digest);

    let wrong = BuiltinComponent { digest: new.digest, ..old };
    assert!(matches!(catalog.register_builtins(&[wrong]), Err(CatalogError::Invalid(_))));
}

pub(crate) fn uploaded_components_belong_to_their_tenant(place: &Place) {
    let catalog = place.open();
    let (acme, other) = (tenant(&catalog, "acme"), tenant(&catalog, "other"));
    catalog.register_builtins(&[builtin("required", "1.0.0", b"built in")]).unwrap();
    let put = |bytes: &[u8]| catalog.submit_component(&acme, &name("mine"), bytes).unwrap();
    assert_eq!(put(b"one").into_inner().0.version, "1");
    assert_eq!(put(b"two").into_inner().0.version, "2");
    let again = put(b"one");
    assert_eq!((again.is_created(), again.into_inner().0.version), (false, "1".to_owned()));

    let taken = catalog.submit_component(&acme, &name("required"), b"x");
    assert!(matches!(taken, Err(CatalogError::Taken { .. })));
    let one = Digest::of(b"one");
    assert_eq!(catalog.component_of(&acme, &one).unwrap().version, "1");
    assert!(matches!(catalog.component_of(&other, &one), Err(CatalogError::NotFound { .. })));
    assert!(catalog.component(&other, &name("mine"), &Selector::Latest).is_err());
    assert_eq!(catalog.component(&acme, &name("mine"), &Selector::Latest).unwrap().version, "2");
    assert_eq!(catalog.inspection(&Digest::of(b"built in")).unwrap(), None);
    let listed = catalog.components(&acme).unwrap();
    let names: Vec<_> = listed.iter().map(|c| (c.name.as_str(), c.version.as_str())).collect();
    assert_eq!(names, [("required", "1.0.0"), ("mine", "2")]);
    // A release that brings a plugin of a name that a tenant has used: the tenant's own goes on.
    catalog.register_builtins(&[builtin("mine", "1.0.0", b"new in this release")]).unwrap();
    assert_eq!(catalog.component(&acme, &name("mine"), &Selector::Latest).unwrap().version, "2");
    assert_eq!(put(b"three").into_inner().0.version, "3");
    // A text that one of the databases cannot take.
    for which in ["\0", "1\0", "1\u{fffd}", "'"] {
        let which = Selector::Version(which.to_owned());
        let found = catalog.component(&acme, &name("required"), &which);
        let is_told =
            matches!(found, Err(CatalogError::NotFound { .. } | CatalogError::Invalid(_)));
        assert!(is_told, "{found:?}");
    }
}

pub(crate) fn lists_are_in_the_order_of_bytes_and_come_in_pages(place: &Place) {
    let catalog = place.open();
    let ids = ["a-b", "a_c", "ab", "b"];
    let mut tenants = ids.map(|id| tenant(&catalog, id));
    tenants.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    let listed = |after, limit| {
        let found = catalog.tenants(after, limit).unwrap();
        found.into_iter().map(|tenant| tenant.id).collect::<Vec<_>>()
    };
    assert_eq!(listed(None, 10), tenants);
    assert_eq!(listed(None, 2), tenants[..2]);
    assert_eq!(listed(Some(tenants[1].as_str()), 10), tenants[2..]);
    assert_eq!(catalog.tenant_count().unwrap(), 4);

    let acme = tenant(&catalog, "acme");
    for schema in ["b", "B", "a.c", "a-c", "A"] {
        catalog.put_schema(&acme, &name(schema), b"{}").unwrap();
    }
    let names: Vec<_> = catalog.schemas(&acme).unwrap().into_iter().map(|s| s.name).collect();
    assert_eq!(names, ["A", "B", "a-c", "a.c", "b"]);
    let facts = json!({ "compile_ms": 7 });
    for bytes in [&b"1"[..], b"2", b"3"] {
        catalog.submit_component(&acme, &name("mine"), bytes).unwrap();
    }
    let page = Page { before: Some(3), limit: 1 };
    let versions = catalog.component_versions(&acme, &name("mine"), page).unwrap();
    assert_eq!(versions.iter().map(|c| c.version.as_str()).collect::<Vec<_>>(), ["2"]);
    catalog.note_inspection(&Digest::of(b"1"), &facts).unwrap();
    assert_eq!(catalog.inspection(&Digest::of(b"1")).unwrap(), Some(facts));
    catalog.register_builtins(&[builtin("required", "1.0.0", b"built in")]).unwrap();
    let versions = catalog.component_versions(&acme, &name("required"), PAGE).unwrap();
    assert_eq!(versions.len(), 1);
}
