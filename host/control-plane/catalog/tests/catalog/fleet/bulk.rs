//! Jobs over quarantines: one of a tenant on a node at a time, noted, ended once, remembered.

use serde_json::json;
use tidegate_catalog::{BulkCounts, BulkEnd, CatalogError, NewBulkJob, Page, Put};
use tidegate_types::TenantId;

use crate::place::{PAGE, Place, tenant};

fn new_job(tenant: &TenantId, node: &str) -> NewBulkJob {
    NewBulkJob {
        tenant: tenant.clone(),
        node: node.to_owned(),
        request: json!({ "action": "discard", "reason": "n\"one" }),
        end: 500,
        by: "ann".to_owned(),
    }
}

pub(crate) fn jobs_run_one_at_a_time_and_go_on_where_they_were_noted(place: &Place) {
    let catalog = place.open();
    let (acme, other) = (tenant(&catalog, "acme"), tenant(&catalog, "other"));
    let begin =
        |tenant: &TenantId, node: &str| catalog.begin_bulk_job(&new_job(tenant, node)).unwrap();
    let Put::Created(job) = begin(&acme, "one") else { panic!("nothing runs yet") };
    assert_eq!((job.position, job.end, job.counts), (0, 500, BulkCounts::default()));
    assert_eq!((&job.request, job.by.as_str()), (&new_job(&acme, "one").request, "ann"));
    assert!(matches!(begin(&acme, "one"), Put::Unchanged(running) if running == job));
    // On another node, and for another tenant, one runs beside it.
    let (Put::Created(second), Put::Created(third)) = (begin(&acme, "two"), begin(&other, "one"))
    else {
        panic!("they are apart")
    };

    let more = BulkCounts { released: 3, discarded: 1, held_again: 2, failed: 1 };
    catalog.note_bulk_job(job.id, 40, &more, Some("a rule is missing")).unwrap();
    let noted = catalog.note_bulk_job(job.id, 90, &more, None).unwrap();
    let twice = BulkCounts { released: 6, discarded: 2, held_again: 4, failed: 2 };
    assert_eq!((noted.position, noted.counts), (90, twice));
    assert_eq!(noted.detail, "a rule is missing");
    drop(catalog);

    let catalog = place.open();
    let running = |node: &str| {
        let jobs = catalog.running_bulk_jobs(node).unwrap();
        jobs.into_iter().map(|job| job.id).collect::<Vec<_>>()
    };
    assert_eq!(running("one"), [job.id, third.id]);
    assert_eq!(catalog.bulk_job(&acme, job.id).unwrap(), noted);
    assert!(matches!(catalog.bulk_job(&other, job.id), Err(CatalogError::NotFound { .. })));

    let ended = catalog.end_bulk_job(job.id, BulkEnd::Cancelled, "bob", None).unwrap();
    assert!(matches!(&ended.ended, Some((BulkEnd::Cancelled, by, _)) if by == "bob"));
    // What was on its way is counted; the end stays what it was.
    let late = catalog.note_bulk_job(job.id, 95, &more, None).unwrap();
    assert_eq!((late.counts.released, &late.ended), (9, &ended.ended));
    assert_eq!(catalog.end_bulk_job(job.id, BulkEnd::Done, "eve", Some("x")).unwrap(), late);
    assert_eq!(running("one"), [third.id]);
    assert!(matches!(catalog.begin_bulk_job(&new_job(&acme, "one")), Ok(Put::Created(_))));

    let listed = |page: Page| {
        let jobs = catalog.bulk_jobs(&acme, page).unwrap();
        jobs.into_iter().map(|job| job.id).collect::<Vec<_>>()
    };
    let fourth = third.id + 1;
    assert_eq!(listed(PAGE), [fourth, second.id, job.id]);
    assert_eq!(listed(Page { before: Some(fourth), limit: 1 }), [second.id]);
    let nobody = TenantId::new("nobody").unwrap();
    let missing = catalog.begin_bulk_job(&new_job(&nobody, "one"));
    assert!(matches!(missing, Err(CatalogError::NotFound { .. })));
    assert!(matches!(
        catalog.note_bulk_job(99, 1, &more, None),
        Err(CatalogError::NotFound { .. })
    ));
}
