//! Revisions and activations.

use tidegate_catalog::{
    ActivationKind, Catalog, CatalogError, DatabaseErrorKind, Put, RevisionState, RolloutEnd,
    Selector,
};
use tidegate_types::revision::TableVersion;
use tidegate_types::rollout::{Share, Stage, Thresholds};
use tidegate_types::{Digest, TableName, TenantId};

use crate::place::{PAGE, Place, document, tenant};

/// Which revision is active, by number.
fn active(catalog: &Catalog, tenant: &TenantId) -> Option<u64> {
    let by_tenant = catalog.active_revisions().expect("the active revisions");
    let all = by_tenant.iter().find(|active| active.tenant == *tenant).map(|a| a.revision.number);
    let one = catalog.active(tenant).expect("the active one").map(|activation| activation.number);
    assert_eq!(all, one);
    one
}

pub(crate) fn rollbacks_go_back_step_by_step_and_withdrawals_leave_no_trace(place: &Place) {
    let catalog = place.open();
    let (acme, other) = (tenant(&catalog, "acme"), tenant(&catalog, "other"));
    let mut digests = Vec::new();
    for kind in ["a", "b", "c"] {
        digests.push(catalog.store_revision(&acme, &document(kind)).unwrap().into_inner().digest);
    }
    assert!(!catalog.store_revision(&acme, &document("a")).unwrap().is_created());
    assert_eq!(active(&catalog, &acme), None);
    assert!(matches!(
        catalog.roll_back(&acme, None, "admin", ""),
        Err(CatalogError::NothingBefore)
    ));
    for digest in &digests {
        assert!(catalog.activate(&acme, digest, None, "admin").unwrap().is_created());
    }
    assert!(!catalog.activate(&acme, &digests[2], None, "admin").unwrap().is_created());
    assert!(
        catalog.activate(&other, &digests[0], None, "admin").is_err(),
        "another tenant's revision"
    );

    let failed = catalog.roll_back(&acme, None, "admin", "").unwrap();
    assert_eq!(active(&catalog, &acme), Some(2));
    catalog.withdraw_activation(failed.sequence).unwrap();
    assert_eq!(active(&catalog, &acme), Some(3));
    assert_eq!(catalog.rollback_target(&acme).unwrap().unwrap().number, 2);

    let catalog = place.open();
    assert_eq!(catalog.roll_back(&acme, None, "admin", "").unwrap().number, 2);
    assert_eq!(catalog.roll_back(&acme, None, "admin", "").unwrap().number, 1);
    assert!(matches!(
        catalog.roll_back(&acme, None, "admin", ""),
        Err(CatalogError::NothingBefore)
    ));
    assert_eq!(active(&catalog, &acme), Some(1));
    catalog.activate(&acme, &digests[2], None, "admin").unwrap();
    assert_eq!(catalog.roll_back(&acme, None, "admin", "").unwrap().number, 1);

    let states: Vec<_> = catalog.revisions(&acme, PAGE).unwrap().iter().map(|r| r.state).collect();
    assert_eq!(states, [RevisionState::Retired, RevisionState::Retired, RevisionState::Active]);
    assert_eq!(active(&catalog, &other), None);
    let history = catalog.activations(&acme, PAGE).unwrap();
    assert_eq!(history.iter().filter(|entry| entry.withdrawn).count(), 1);
    assert_eq!(history.len(), 8);
}

/// P3: a derived revision is stored and active, or neither; and only in place of the one that it is
/// derived from.
pub(crate) fn derived_revisions_are_stored_and_active_together(place: &Place) {
    let catalog = place.open();
    let acme = tenant(&catalog, "acme");
    let following = |generation: u64| {
        let mut document = document("a");
        let digest = Digest::of(&generation.to_le_bytes());
        let version = TableVersion { digest, generation, follow: true };
        document.tables.insert(TableName::new("planes").unwrap(), version);
        document
    };
    let derive =
        |from, generation| catalog.activate_derived(&acme, &following(generation), &from, "admin");
    let first = catalog.store_revision(&acme, &following(1)).unwrap().into_inner();
    assert!(matches!(derive(first.digest, 2), Err(CatalogError::NothingBefore)));
    catalog.activate(&acme, &first.digest, None, "admin").unwrap();
    let version = catalog.version().unwrap();
    let second = derive(first.digest, 2).unwrap().into_inner();
    assert_eq!((second.number, second.kind), (2, ActivationKind::Derived));
    assert!(catalog.version().unwrap() > version, "other nodes hear of it");
    let late = derive(first.digest, 3).unwrap();
    assert_eq!(late, Put::Unchanged(second.clone()), "another one has become active meanwhile");
    assert_eq!(catalog.revision_count(&acme).unwrap(), 2);

    let catalog = place.open();
    let stored = catalog.revision(&acme, &Selector::Digest(second.digest)).unwrap();
    assert_eq!((stored.derived_from, stored.document), (Some(first.digest), following(2)));
    assert_eq!(catalog.active_revisions().unwrap()[0].revision.derived_from, Some(first.digest));
    assert_eq!(catalog.active(&acme).unwrap(), Some(second));
    // Activating again what is active says nothing new, unless a rollback made it so.
    let again = |digest| catalog.activate(&acme, digest, None, "admin").unwrap();
    assert!(!again(&stored.digest).is_created());
    let rolled = catalog.roll_back(&acme, None, "admin", "").unwrap();
    assert_eq!((rolled.number, rolled.kind), (1, ActivationKind::Rollback));
    assert!(again(&first.digest).is_created());
    assert!(!again(&first.digest).is_created());
    assert!(matches!(
        catalog.roll_back(&acme, None, "admin", ""),
        Err(CatalogError::NothingBefore)
    ));
}

pub(crate) fn stored_revisions_come_back_as_they_were(place: &Place) {
    let catalog = place.open();
    let acme = tenant(&catalog, "acme");
    let made = catalog.store_revision(&acme, &document("flight")).unwrap().into_inner();
    assert_eq!(made.digest, document("flight").digest());
    let catalog = place.open();
    for which in
        [Selector::Version("1".to_owned()), Selector::Digest(made.digest), Selector::Latest]
    {
        assert_eq!(catalog.revision(&acme, &which).unwrap(), made);
    }
    assert!(catalog.revision(&acme, &Selector::Version("2".to_owned())).is_err());
}

pub(crate) fn a_revision_that_was_changed_is_told(place: &Place) {
    let catalog = place.open();
    let acme = tenant(&catalog, "acme");
    catalog.store_revision(&acme, &document("a")).unwrap();
    assert_eq!(catalog.revision_count(&acme).unwrap(), 1);
    place.sql(
        "UPDATE revisions SET document = X'7b7d'",
        "UPDATE revisions SET document = '\\x7b7d'::bytea",
    );
    let damaged = catalog.revision(&acme, &Selector::Latest).unwrap_err();
    let CatalogError::Database(error) = &damaged else { panic!("{damaged:?}") };
    assert_eq!(error.kind(), DatabaseErrorKind::Damaged, "{error}");
    assert!(!damaged.is_unavailable() && !damaged.is_storage_full());
}

pub(crate) fn one_candidate_is_tried_at_a_time_and_its_end_is_told(place: &Place) {
    let catalog = place.open();
    let acme = tenant(&catalog, "acme");
    let store = |kind| catalog.store_revision(&acme, &document(kind)).unwrap().into_inner().digest;
    let (one, two, three) = (store("a"), store("b"), store("c"));
    let share = |percent| Stage::Canary { percent: Share::from_percent(percent).unwrap() };
    let thresholds = Thresholds { min_events: 7, ..Thresholds::default() };
    let start = |digest, stage| catalog.start_rollout(&acme, digest, stage, thresholds, "ann");
    assert!(matches!(start(&two, Stage::Shadow), Err(CatalogError::Invalid(_))), "nothing active");
    catalog.activate(&acme, &one, None, "admin").unwrap();
    assert!(matches!(start(&one, Stage::Shadow), Err(CatalogError::Invalid(_))), "active");
    let unknown = Digest::of(b"other");
    assert!(matches!(start(&unknown, Stage::Shadow), Err(CatalogError::NotFound { .. })));
    let before = catalog.version().unwrap();
    let shadow = start(&two, Stage::Shadow).unwrap();
    assert!(shadow.is_created() && catalog.version().unwrap() > before);
    assert!(!start(&two, Stage::Shadow).unwrap().is_created());
    let state = |digest: &Digest| {
        let which = Selector::Digest(*digest);
        catalog.revision(&acme, &which).unwrap().state
    };
    assert_eq!((state(&one), state(&two)), (RevisionState::Active, RevisionState::Shadow));
    let canary = start(&two, share(5.0)).unwrap().into_inner();
    assert_eq!((state(&two), state(&three)), (RevisionState::Canary, RevisionState::Draft));

    let catalog = place.open();
    let running = catalog.running_rollouts().unwrap();
    assert_eq!(running.len(), 1);
    assert_eq!((&running[0].rollout, running[0].candidate.digest), (&canary, two));
    assert_eq!((canary.stage, canary.thresholds), (share(5.0), thresholds));

    // An activation that is withdrawn leaves the candidate where it was.
    let made = catalog.activate(&acme, &two, None, "admin").unwrap().into_inner();
    assert_eq!(made.thresholds, Some(thresholds), "those of its rollout");
    assert_eq!(catalog.rollout(&acme).unwrap(), None);
    catalog.withdraw_activation(made.sequence).unwrap();
    assert_eq!(catalog.rollout(&acme).unwrap(), Some(canary.clone()));

    let wrong = catalog.end_rollout(&acme, Some(canary.id + 1), RolloutEnd::RolledBack, "x", "");
    assert!(matches!(wrong, Err(CatalogError::NotFound { .. })), "another one has begun");
    let id = Some(canary.id);
    let ended = catalog.end_rollout(&acme, id, RolloutEnd::RolledBack, "tidegate", "slow");
    let ended = ended.unwrap().ended.unwrap();
    assert_eq!((ended.how, ended.by.as_str()), (RolloutEnd::RolledBack, "tidegate"));
    assert_eq!(state(&two), RevisionState::Draft, "it never was active");
    catalog.start_rollout(&acme, &two, share(9.0), thresholds, "ann").unwrap();
    catalog.start_rollout(&acme, &three, Stage::Shadow, thresholds, "ann").unwrap();
    catalog.activate(&acme, &three, Some(Thresholds::default()), "admin").unwrap();
    let only = catalog.active(&acme).unwrap().unwrap();
    assert!(matches!(
        catalog.roll_back(&acme, Some(only.sequence + 1), "tidegate", "slow"),
        Err(CatalogError::NothingBefore)
    ));
    let back = catalog.roll_back(&acme, Some(only.sequence), "tidegate", "slow").unwrap();
    assert_eq!((back.digest, back.reason.as_str(), back.thresholds), (one, "slow", None));
    let history = catalog.rollouts(&acme, PAGE).unwrap();
    let ends: Vec<_> = history.iter().map(|it| it.ended.as_ref().map(|end| end.how)).collect();
    let expected =
        [RolloutEnd::Promoted, RolloutEnd::Replaced, RolloutEnd::RolledBack, RolloutEnd::Advanced];
    assert_eq!(ends, expected.map(Some));
}
