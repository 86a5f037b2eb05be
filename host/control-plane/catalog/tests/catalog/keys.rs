//! Keys: made, revoked, discarded.

pub(crate) mod access;

use tidegate_catalog::{CatalogError, NewKey, Scope};
use tidegate_types::Digest;

use crate::place::{Place, tenant};

pub(crate) fn new_key() -> NewKey {
    let scopes = vec![Scope::EventsWrite];
    NewKey { name: "connector".to_owned(), scopes, rate_limit: 10_000, expires_at: None }
}

/// A key that somebody stole with the database is of no use.
pub(crate) fn a_key_is_kept_as_its_hash_alone(place: &Place) {
    let catalog = place.open();
    let acme = tenant(&catalog, "acme");
    let (key, record) = catalog.create_key(&acme, new_key()).unwrap();
    assert_eq!(record.hash, Digest::of(key.reveal().as_bytes()));
    let secret = key.reveal().split('_').nth(3).unwrap().as_bytes().to_vec();
    drop(catalog);

    let all = place.everything();
    let holds = |part: &[u8]| all.windows(part.len()).any(|window| window == part);
    assert!(!holds(&secret));
    let hash = record.hash;
    assert!(holds(&hash.0) || holds(hash.hex().as_bytes()), "the search would have found it");
    assert_eq!(place.open().all_keys().unwrap(), [record]);
}

pub(crate) fn keys_are_revoked_for_good(place: &Place) {
    let catalog = place.open();
    let (acme, other) = (tenant(&catalog, "acme"), tenant(&catalog, "other"));
    let (_, first) = catalog.create_key(&acme, new_key()).unwrap();
    let (_, second) = catalog.create_key(&acme, new_key()).unwrap();

    assert!(matches!(catalog.revoke_key(&other, &first.id), Err(CatalogError::NotFound { .. })));
    assert!(!catalog.revoke_key(&acme, &first.id).unwrap().is_active);
    assert!(!catalog.revoke_key(&acme, &first.id).unwrap().is_active);

    let keys = place.open().keys(&acme).unwrap();
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

pub(crate) fn keys_are_discarded(place: &Place) {
    let catalog = place.open();
    let acme = tenant(&catalog, "acme");
    let (_, record) = catalog.create_key(&acme, new_key()).unwrap();
    catalog.discard_key(&acme, &record.id).unwrap();
    assert_eq!(catalog.all_keys().unwrap(), []);
}
