//! Several nodes: the version of what they run, word of it, and what they report.

mod bulk;
mod names;

use std::time::Duration;

use tidegate_catalog::{CatalogError, Heard, Limits, NodeReport, NodeRevisionState, Put, Watch};
use tidegate_types::{Digest, TenantId, UnixMillis};

use crate::keys::new_key;
use crate::place::{Place, document, name, tenant};

pub(crate) use bulk::jobs_run_one_at_a_time_and_go_on_where_they_were_noted;
pub(crate) use names::a_name_is_one_nodes_until_it_leaves_or_is_lost;

pub(crate) const NEVER: Duration = Duration::from_secs(3600);

/// Waits until something is heard: well below [`NEVER`].
pub(crate) fn hear(watch: &Watch, until: impl FnMut(&Heard) -> bool) -> Heard {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut heard = watch.subscribe();
    let waiting = async {
        let waiting = tokio::time::timeout(Duration::from_secs(60), heard.wait_for(until)).await;
        waiting.expect("it is heard in time").expect("the watch lives").clone()
    };
    runtime.block_on(waiting)
}

pub(crate) fn what_nodes_run_has_a_version(place: &Place) {
    let catalog = place.open();
    let acme = tenant(&catalog, "acme");
    let mut before = catalog.version().unwrap();
    let mut raises = |expected: bool, what: &str| {
        let now = catalog.version().unwrap();
        assert_eq!((now != before, now < before), (expected, false), "{what}");
        before = now;
    };
    let (_, key) = catalog.create_key(&acme, "live", new_key()).unwrap();
    raises(true, "a key");
    catalog.revoke_key(&acme, &key.id).unwrap();
    raises(true, "a key that is revoked");
    assert!(catalog.revoke_key(&acme, "none").is_err());
    raises(false, "a key that is not there");
    catalog.put_schema(&acme, &name("one"), b"{}").unwrap();
    raises(false, "a schema, which nothing cites yet");
    let first = catalog.store_revision(&acme, &document("a")).unwrap().into_inner();
    let second = catalog.store_revision(&acme, &document("b")).unwrap().into_inner();
    raises(false, "revisions that are not active");
    catalog.activate(&acme, &first.digest, None, "admin").unwrap();
    raises(true, "an activation");
    assert!(matches!(catalog.activate(&acme, &first.digest, None, "admin"), Ok(Put::Unchanged(_))));
    raises(false, "what is active already");
    assert!(catalog.roll_back(&acme, None, "admin", "").is_err());
    raises(false, "a rollback that goes nowhere");
    catalog.activate(&acme, &second.digest, None, "admin").unwrap();
    raises(true, "another activation");
    let back = catalog.roll_back(&acme, None, "admin", "").unwrap();
    raises(true, "a rollback");
    catalog.withdraw_activation(back.sequence).unwrap();
    raises(true, "a withdrawal");
    catalog.discard_key(&acme, &key.id).unwrap();
    raises(true, "a key that is forgotten");
}

pub(crate) fn a_watch_is_told_by_its_own_process(place: &Place) {
    let catalog = place.open();
    let acme = tenant(&catalog, "acme");
    let watch = catalog.watch(NEVER).unwrap();
    assert_eq!(watch.subscribe().borrow().version, catalog.version().unwrap());
    for _ in 0..20 {
        catalog.create_key(&acme, "live", new_key()).unwrap();
        let version = catalog.version().unwrap();
        hear(&watch, |heard| heard.version >= version);
    }
}

pub(crate) fn a_watch_looks_where_nobody_tells_it(place: &Place) {
    let catalog = place.open();
    let watch = catalog.watch(Duration::from_millis(20)).unwrap();
    let before = catalog.version().unwrap();
    let raise = "UPDATE desired_state SET version = version + 5";
    place.sql(raise, raise);
    assert_eq!(hear(&watch, |heard| heard.version > before).version, before + 5);
}

pub(crate) fn watches_end_and_are_few(place: &Place) {
    let catalog = place.open();
    let mut watches: Vec<_> = (0..16).map(|_| catalog.watch(NEVER).unwrap()).collect();
    assert!(matches!(catalog.watch(NEVER), Err(CatalogError::Full { limit: 16, .. })));
    let mut ended = watches.pop().unwrap().subscribe();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let closed = async { tokio::time::timeout(Duration::from_secs(60), ended.changed()).await };
    assert!(runtime.block_on(closed).expect("the thread ends").is_err());
    catalog.watch(NEVER).expect("one has made room");
}

fn report(name: &str) -> NodeReport {
    let (instance, place) = (format!("folder of {name}"), format!("home of {name}"));
    let (name, release, started_at) = (name.to_owned(), "0.1.0".to_owned(), UnixMillis(5));
    NodeReport { name, instance, place, release, started_at, version_applied: 3 }
}

pub(crate) fn nodes_are_seen_lost_and_replaced(place: &Place) {
    let catalog = place.try_node("catalog", Limits { nodes: 2, ..Limits::default() }).unwrap();
    let lost_after = Duration::from_secs(60);
    for node in ["b", "a"] {
        catalog.report_node(&report(node), lost_after).unwrap();
    }
    catalog.report_node(&NodeReport { version_applied: 4, ..report("a") }, lost_after).unwrap();
    let nodes = catalog.nodes(lost_after).unwrap();
    let seen: Vec<_> = nodes
        .iter()
        .map(|node| (node.report.name.as_str(), node.report.version_applied, node.is_lost))
        .collect();
    assert_eq!(seen, [("a", 4, false), ("b", 3, false)]);
    assert_eq!(nodes[1].report, report("b"));
    assert!(nodes[0].seen_at >= nodes[1].seen_at);

    let third = catalog.report_node(&report("c"), lost_after);
    assert!(matches!(third, Err(CatalogError::Full { limit: 2, .. })), "{third:?}");
    let long_ago = "UPDATE nodes SET seen_at = seen_at - 61000 WHERE name = 'b'";
    place.sql(long_ago, long_ago);
    let lost: Vec<_> = catalog.nodes(lost_after).unwrap().iter().map(|node| node.is_lost).collect();
    assert_eq!(lost, [false, true]);
    catalog.report_node(&report("c"), lost_after).unwrap();
    let names = catalog.nodes(lost_after).unwrap().into_iter().map(|node| node.report.name);
    assert_eq!(names.collect::<Vec<_>>(), ["a", "c"]);
}

pub(crate) fn nodes_report_on_revisions(place: &Place) {
    let catalog = place.open();
    let acme = tenant(&catalog, "acme");
    let lost_after = Duration::from_secs(60);
    let tell = |node: &str, number: u8, state| {
        let digest = Digest::of(&[number]);
        catalog.report_revision(node, &acme, &digest, state, "what\0happened")
    };
    let unknown = tell("a", 1, NodeRevisionState::Fetching);
    assert!(matches!(unknown, Err(CatalogError::NotFound { what: "node", .. })), "{unknown:?}");
    catalog.report_node(&report("a"), lost_after).unwrap();
    catalog.report_node(&report("b"), lost_after).unwrap();
    let ghost = TenantId::new("ghost").unwrap();
    let state = NodeRevisionState::Fetching;
    assert!(catalog.report_revision("a", &ghost, &Digest::of(b""), state, "").is_err());

    tell("a", 1, NodeRevisionState::Fetching).unwrap();
    tell("a", 1, NodeRevisionState::Compiled).unwrap();
    tell("a", 1, NodeRevisionState::Active).unwrap();
    tell("a", 2, NodeRevisionState::Active).unwrap();
    tell("b", 2, NodeRevisionState::Failed).unwrap();
    let states = || {
        let found = catalog.node_revisions(&acme, lost_after).unwrap();
        found.into_iter().map(|r| (r.node, r.digest, r.state, r.is_lost)).collect::<Vec<_>>()
    };
    let (one, two) = (Digest::of(&[1]), Digest::of(&[2]));
    let (a, b) = (|| "a".to_owned(), || "b".to_owned());
    let mut found = states();
    found.sort_by_key(|(node, digest, ..)| (node.clone(), *digest == two));
    let (compiled, active) = (NodeRevisionState::Compiled, NodeRevisionState::Active);
    let failed = NodeRevisionState::Failed;
    let expected =
        [(a(), one, compiled, false), (a(), two, active, false), (b(), two, failed, false)];
    assert_eq!(found, expected);
    let details = catalog.node_revisions(&acme, lost_after).unwrap();
    assert!(details.iter().all(|revision| revision.detail == "what happened"));

    let failed = catalog.failed_revisions().unwrap();
    let failed: Vec<_> =
        failed.iter().map(|(owner, one)| (owner, one.node.as_str(), one.digest)).collect();
    assert_eq!(failed, [(&acme, "b", two)]);

    // However many there were, the newest and the active one are kept.
    for number in 3..60 {
        tell("a", number, NodeRevisionState::Compiled).unwrap();
    }
    let found = states();
    assert!(found.len() <= 19, "{}", found.len());
    assert!(found.contains(&(a(), two, active, false)));
    assert!(found.contains(&(a(), Digest::of(&[59]), compiled, false)));

    // Whoever asks for a revision asks anew; once.
    let asked = catalog.store_revision(&acme, &document("a")).unwrap().into_inner().digest;
    let failed = || catalog.failed_revisions().unwrap().len();
    catalog.report_revision("b", &acme, &asked, NodeRevisionState::Failed, "").unwrap();
    assert_eq!(failed(), 2);
    catalog.prepare(&acme, &asked).unwrap();
    assert_eq!(failed(), 1);
    catalog.report_revision("b", &acme, &asked, NodeRevisionState::Failed, "").unwrap();
    catalog.prepare(&acme, &asked).unwrap();
    assert_eq!(failed(), 2);

    let long_ago = "UPDATE nodes SET seen_at = seen_at - 61000 WHERE name = 'a'";
    place.sql(long_ago, long_ago);
    assert!(states().iter().all(|(node, _, _, is_lost)| *is_lost == (node == "a")));
}
