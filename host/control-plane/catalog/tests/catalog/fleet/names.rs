//! Two nodes of one name.

use std::time::Duration;

use tidegate_catalog::{CatalogError, NodeReport, NodeRevisionState};
use tidegate_types::Digest;

use super::report;
use crate::place::{Place, tenant};

pub(crate) fn a_name_is_one_nodes_until_it_leaves_or_is_lost(place: &Place) {
    let catalog = place.open();
    let (acme, lost_after) = (tenant(&catalog, "acme"), Duration::from_secs(60));
    let own = report("a");
    let instance = "another folder".to_owned();
    let twin = NodeReport { instance, place: "elsewhere".to_owned(), ..own.clone() };
    let is_taken = |done: Result<(), CatalogError>, by: &str| {
        let error = done.unwrap_err();
        assert!(matches!(error, CatalogError::NodeNameTaken { .. }), "{error}");
        let told = error.to_string();
        for part in ["`a`", by, "node.name", "TIDEGATE_NODE__NAME", "node_lost_after"] {
            assert!(told.contains(part), "{part}: {told}");
        }
    };
    catalog.join(&own, lost_after).unwrap();
    is_taken(catalog.join(&twin, lost_after), "home of a");
    is_taken(catalog.report_node(&twin, lost_after), "home of a");
    catalog.join(&report("b"), lost_after).unwrap();

    // Started again it is the same one, which has nothing ready yet.
    let (digest, state) = (Digest::of(b""), NodeRevisionState::Active);
    catalog.report_revision("a", &acme, &digest, state, "").unwrap();
    catalog.report_revision("b", &acme, &digest, state, "").unwrap();
    catalog.join(&own, lost_after).unwrap();
    let ready = catalog.node_revisions(&acme, lost_after).unwrap();
    assert_eq!(ready.into_iter().map(|one| one.node).collect::<Vec<_>>(), ["b"]);

    // Lost, it makes room, and does not take the name back.
    let long_ago = "UPDATE nodes SET seen_at = seen_at - 61000 WHERE name = 'a'";
    place.sql(long_ago, long_ago);
    catalog.join(&twin, lost_after).unwrap();
    is_taken(catalog.report_node(&own, lost_after), "elsewhere");
    is_taken(catalog.join(&own, lost_after), "elsewhere");
    catalog.report_node(&twin, lost_after).unwrap();

    // Who has lost the name gives back nothing; who has it does.
    catalog.leave(&own).unwrap();
    is_taken(catalog.join(&own, lost_after), "elsewhere");
    catalog.leave(&twin).unwrap();
    catalog.join(&own, lost_after).unwrap();
    is_taken(catalog.report_node(&twin, lost_after), "home of a");
}
