//! Keys: made, revoked, discarded.

pub(crate) mod access;

use tidegate_catalog::{CatalogError, ForeignKey, NewKey, Scope};
use tidegate_types::{Digest, EventType, UnixMillis};

use crate::place::{Place, tenant};

pub(crate) fn new_key() -> NewKey {
    let scopes = vec![Scope::EventsWrite];
    NewKey { name: "connector".to_owned(), scopes, rate_limit: 10_000, expires_at: None }
}

/// A key that somebody stole with the database is of no use.
pub(crate) fn a_key_is_kept_as_its_hash_alone(place: &Place) {
    let catalog = place.open();
    let acme = tenant(&catalog, "acme");
    let (key, record) = catalog.create_key(&acme, "live", new_key()).unwrap();
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
    let (_, first) = catalog.create_key(&acme, "live", new_key()).unwrap();
    let (_, second) = catalog.create_key(&acme, "live", new_key()).unwrap();

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
            matches!(catalog.create_key(&acme, "live", broken), Err(CatalogError::Invalid(_))),
            "{text}"
        );
    }
}

pub(crate) fn keys_are_discarded(place: &Place) {
    let catalog = place.open();
    let acme = tenant(&catalog, "acme");
    let (_, record) = catalog.create_key(&acme, "live", new_key()).unwrap();
    catalog.discard_key(&acme, &record.id).unwrap();
    assert_eq!(catalog.all_keys().unwrap(), []);
}

pub(crate) fn keys_of_other_systems_are_adopted(place: &Place) {
    let catalog = place.open();
    let (acme, other) = (tenant(&catalog, "acme"), tenant(&catalog, "other"));
    let foreign = |hash: &str, id: Option<&str>| ForeignKey {
        hash: Digest::of(hash.as_bytes()),
        id: id.map(str::to_owned),
        is_active: false,
    };
    let scopes = vec![
        Scope::EventsRead,
        Scope::EventsWriteType(EventType::new("orders.v1").unwrap()),
        Scope::EventsRead,
    ];
    let new = NewKey { scopes, ..new_key() };
    let made = catalog.adopt_key(&acme, new.clone(), foreign("a", Some("id-1"))).unwrap();
    assert_eq!((made.id.as_str(), made.is_active, made.scopes.len()), ("id-1", false, 2));
    let version = catalog.version().unwrap();
    let again = NewKey { name: "other".to_owned(), ..new.clone() };
    assert_eq!(catalog.adopt_key(&acme, again, foreign("a", None)).unwrap(), made);
    assert_eq!(catalog.version().unwrap(), version, "nothing has changed");
    for (owner, hash, id) in [(&acme, "b", Some("id-1")), (&other, "a", None)] {
        let taken = catalog.adopt_key(owner, new.clone(), foreign(hash, id));
        assert!(matches!(taken, Err(CatalogError::Taken { .. })), "{hash}");
    }
    for id in ["", "a b", "ü", &"x".repeat(65)] {
        let invalid = catalog.adopt_key(&acme, new.clone(), foreign("c", Some(id)));
        assert!(matches!(invalid, Err(CatalogError::Invalid(_))), "{id}");
    }
    let drawn = catalog.adopt_key(&other, new, foreign("c", None)).unwrap();
    assert_eq!(drawn.id.len(), 16);
    let mut all = place.open().all_keys().unwrap();
    all.sort_by_key(|key| key.id == "id-1");
    assert_eq!(all, [drawn, made]);
}

pub(crate) fn the_last_use_of_keys_only_grows(place: &Place) {
    let catalog = place.open();
    let acme = tenant(&catalog, "acme");
    let (_, key) = catalog.create_key(&acme, "live", new_key()).unwrap();
    let version = catalog.version().unwrap();
    for (noted, expected) in [(5000, 5000), (4000, 5000), (6000, 6000)] {
        let uses = [(key.id.clone(), UnixMillis(noted)), ("unknown".to_owned(), UnixMillis(noted))];
        catalog.note_key_use(&uses).unwrap();
        let found = &place.open().all_keys().unwrap()[0];
        assert_eq!(found.last_used_at, Some(UnixMillis(expected)));
    }
    assert_eq!(catalog.version().unwrap(), version, "nodes have nothing to do for it");
}
