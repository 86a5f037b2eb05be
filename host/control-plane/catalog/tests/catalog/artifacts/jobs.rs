//! Admission jobs: claimed by one node at a time, ended once, in turn over tenants, within quotas.

use std::time::Duration;

use serde_json::json;
use tidegate_catalog::{
    Admission, CasePolicy, Catalog, CatalogError, Ending, Job, JobState, Limits, Selector,
};
use tidegate_types::{Digest, TenantId, UnixMillis};

use crate::place::{PAGE, Place, name, tenant};

const LEASE: Duration = Duration::from_secs(60);

pub(crate) fn ending(state: JobState) -> Ending {
    let inspection = (state == JobState::Admitted).then(|| json!({ "compile_ms": 7 }));
    let steps = vec![json!({ "step": "scanned" })];
    Ending { state, steps, trouble: None, inspection, took: Duration::from_millis(40) }
}

fn submit(catalog: &Catalog, tenant: &TenantId, bytes: &[u8]) -> Job {
    let put = catalog.submit_component(tenant, &name("mine"), bytes).unwrap();
    put.into_inner().1.expect("a job")
}

fn claim(catalog: &Catalog, node: &str) -> Job {
    catalog.claim_job(node, LEASE).unwrap().expect("a job")
}

pub(crate) fn a_version_is_admitted_by_its_job(place: &Place) {
    let catalog = place.open();
    let acme = tenant(&catalog, "acme");
    let admission = |version: &str| {
        let which = Selector::Version(version.to_owned());
        catalog.component(&acme, &name("mine"), &which).unwrap().admission
    };
    let job = submit(&catalog, &acme, b"one");
    assert_eq!((job.state, job.version, job.steps.len()), (JobState::Pending, 1, 0));
    assert_eq!(admission("1"), Admission::Pending);

    let claimed = claim(&catalog, "a");
    assert_eq!((claimed.number, claimed.state), (job.number, JobState::Running));
    assert!(catalog.claim_job("a", LEASE).unwrap().is_none());
    assert!(catalog.note_steps(job.number, "a", &[json!({ "step": "x" })], LEASE).unwrap());
    assert_eq!(catalog.job(&acme, job.number).unwrap().steps, [json!({ "step": "x" })]);
    assert!(catalog.end_job(&claimed, "a", &ending(JobState::Admitted)).unwrap());
    assert_eq!(admission("1"), Admission::Admitted);
    assert_eq!(catalog.inspection(&job.digest).unwrap(), Some(json!({ "compile_ms": 7 })));
    // A job ends once.
    assert!(!catalog.end_job(&claimed, "a", &ending(JobState::Failed)).unwrap());
    assert_eq!(admission("1"), Admission::Admitted);

    submit(&catalog, &acme, b"two");
    assert!(catalog.end_job(&claim(&catalog, "a"), "a", &ending(JobState::Failed)).unwrap());
    assert_eq!(admission("2"), Admission::Failed);
    // The same bytes under another name are a version of their own; the admitted one is found.
    catalog.submit_component(&acme, &name("alias"), b"one").unwrap();
    let found = catalog.component_of(&acme, &job.digest).unwrap();
    assert_eq!((found.name.as_str(), found.admission), ("mine", Admission::Admitted));

    let catalog = place.open();
    let states: Vec<_> = catalog.jobs(&acme, PAGE).unwrap().iter().map(|job| job.state).collect();
    assert_eq!(states, [JobState::Pending, JobState::Failed, JobState::Admitted]);
    let other = tenant(&catalog, "other");
    assert!(matches!(catalog.job(&other, job.number), Err(CatalogError::NotFound { .. })));
}

pub(crate) fn a_job_has_one_node_at_a_time(place: &Place) {
    let (a, b) = (place.node("a"), place.node("b"));
    let acme = tenant(&a, "acme");
    let job = submit(&a, &acme, b"one");
    let first = claim(&a, "a");
    assert!(b.claim_job("b", LEASE).unwrap().is_none(), "it is a's");
    assert!(!b.note_steps(job.number, "b", &[], LEASE).unwrap());
    // The lease runs out; then it is b's, from the beginning, and a can say nothing more.
    assert!(a.note_steps(job.number, "a", &[json!(1)], Duration::ZERO).unwrap());
    let second = loop {
        if let Some(job) = b.claim_job("b", LEASE).unwrap() {
            break job;
        }
    };
    assert_eq!((second.number, second.steps.len()), (first.number, 0));
    assert!(!a.note_steps(job.number, "a", &[], LEASE).unwrap());
    assert!(!a.end_job(&first, "a", &ending(JobState::Failed)).unwrap());
    assert_eq!(a.release_jobs("a").unwrap(), 0);
    // A node that starts again gives back what it had.
    assert_eq!(b.release_jobs("b").unwrap(), 1);
    let third = claim(&a, "a");
    assert!(a.end_job(&third, "a", &ending(JobState::Admitted)).unwrap());
}

pub(crate) fn what_could_not_be_decided_is_tried_again(place: &Place) {
    let catalog = place.open();
    let acme = tenant(&catalog, "acme");
    let job = submit(&catalog, &acme, b"one");
    let trouble = Ending { trouble: Some("no room".to_owned()), ..ending(JobState::Error) };
    assert!(catalog.end_job(&claim(&catalog, "a"), "a", &trouble).unwrap());
    let ended = catalog.job(&acme, job.number).unwrap();
    assert_eq!((ended.state, ended.trouble.as_deref()), (JobState::Error, Some("no room")));
    assert!(catalog.claim_job("a", LEASE).unwrap().is_none(), "not by itself");
    let again = submit(&catalog, &acme, b"one");
    assert_eq!((again.number, again.state, again.trouble), (job.number, JobState::Pending, None));
    // A job during which the node dies each time is not begun for ever.
    for _ in 0..3 {
        assert_eq!(claim(&catalog, "a").number, job.number);
        assert_eq!(catalog.release_jobs("a").unwrap(), 1);
    }
    assert!(catalog.claim_job("a", LEASE).unwrap().is_none());
    let hopeless: Vec<u64> =
        catalog.hopeless_jobs().unwrap().iter().map(|job| job.number).collect();
    assert_eq!(hopeless, [job.number]);
    assert!(catalog.give_up_job(job.number).unwrap());
    assert!(
        !catalog.give_up_job(job.number).unwrap() && catalog.hopeless_jobs().unwrap().is_empty()
    );
    let ended = catalog.job(&acme, job.number).unwrap();
    assert_eq!(ended.state, JobState::Error);
    assert!(ended.trouble.unwrap().contains("send it again"));
    submit(&catalog, &acme, b"one");
    assert_eq!(claim(&catalog, "a").number, job.number);
}

/// A version that failed is failed under what its tenant asks and allows: where that has changed, and
/// only then, it may be sent again.
pub(crate) fn what_failed_is_tried_again_under_other_settings(place: &Place) {
    let catalog = place.open();
    let acme = tenant(&catalog, "acme");
    let fail =
        || assert!(catalog.end_job(&claim(&catalog, "a"), "a", &ending(JobState::Failed)).unwrap());
    let sent_again = || {
        let job = submit(&catalog, &acme, b"one");
        let version = catalog.component_of(&acme, &job.digest).unwrap();
        (job.state, version.admission)
    };
    let (failed, pending) =
        ((JobState::Failed, Admission::Failed), (JobState::Pending, Admission::Pending));
    let digest = submit(&catalog, &acme, b"one").digest;
    fail();
    assert_eq!(sent_again(), failed);
    assert_eq!(catalog.case_policy(&acme).unwrap(), CasePolicy::NotRequired);
    catalog.set_case_policy(&acme, CasePolicy::Required).unwrap();
    assert_eq!(place.open().case_policy(&acme).unwrap(), CasePolicy::Required);
    assert_eq!(sent_again(), pending);
    fail();
    assert_eq!(sent_again(), failed, "under the same settings");
    catalog.set_limits(&acme, None, &json!({ "max_calls": 3 })).unwrap();
    assert_eq!(sent_again(), pending);
    fail();
    // What others have of their own is nothing to it; its own limits are.
    let other = tenant(&catalog, "other");
    assert_eq!(catalog.case_policy(&other).unwrap(), CasePolicy::NotRequired);
    catalog.set_limits(&other, None, &json!({ "max_calls": 4 })).unwrap();
    catalog.set_limits(&acme, Some(&Digest::of(b"two")), &json!({ "memory_bytes": 1 })).unwrap();
    assert_eq!(sent_again(), failed);
    catalog.set_limits(&acme, Some(&digest), &json!({ "memory_bytes": 1 })).unwrap();
    assert_eq!(sent_again(), pending);
    assert!(catalog.end_job(&claim(&catalog, "a"), "a", &ending(JobState::Admitted)).unwrap());
    catalog.set_case_policy(&acme, CasePolicy::NotRequired).unwrap();
    assert_eq!(sent_again(), (JobState::Admitted, Admission::Admitted), "admitted is admitted");
    let ghost = TenantId::new("ghost").unwrap();
    for refused in [
        catalog.case_policy(&ghost).map(drop),
        catalog.set_case_policy(&ghost, CasePolicy::Required),
    ] {
        assert!(matches!(refused, Err(CatalogError::NotFound { .. })), "{refused:?}");
    }
}

pub(crate) fn tenants_take_turns(place: &Place) {
    let catalog = place.open();
    let tenants = ["acme", "other", "third"].map(|id| tenant(&catalog, id));
    let uploads = [(0, 4), (1, 2), (2, 1)];
    for (owner, count) in uploads {
        for at in 0..count {
            submit(&catalog, &tenants[owner], format!("{owner} {at}").as_bytes());
        }
    }
    let mut order = Vec::new();
    while let Some(job) = catalog.claim_job("a", LEASE).unwrap() {
        order.push(tenants.iter().position(|tenant| *tenant == job.tenant).unwrap());
        catalog.end_job(&job, "a", &ending(JobState::Admitted)).unwrap();
        // Turns are told by their milliseconds.
        let now = UnixMillis::now();
        while UnixMillis::now() == now {}
    }
    assert_eq!(order, [0, 1, 2, 0, 1, 0, 0]);
}

pub(crate) fn quotas_name_what_was_hit_and_when_it_frees_up(place: &Place) {
    let limits = Limits {
        component_versions_per_tenant: 3,
        component_bytes_per_tenant: 10,
        admission_ms_per_hour: 70,
        ..Limits::default()
    };
    let catalog = place.try_node("catalog", limits).unwrap();
    let acme = tenant(&catalog, "acme");
    let refused = |bytes: &[u8]| {
        let error = catalog.submit_component(&acme, &name("mine"), bytes).map(drop).unwrap_err();
        let CatalogError::Quota { what, limit, frees_at } = error else { panic!("{error}") };
        (what, limit, frees_at)
    };
    submit(&catalog, &acme, b"12345");
    assert_eq!(refused(b"123456"), ("bytes of plugin versions", 10, None));
    submit(&catalog, &acme, b"1");
    let before = UnixMillis::now().0;
    for state in [JobState::Admitted, JobState::Failed] {
        assert!(catalog.end_job(&claim(&catalog, "a"), "a", &ending(state)).unwrap());
    }
    let (what, limit, frees_at) = refused(b"2");
    assert_eq!((what, limit), ("milliseconds of compiling and testing in an hour", 70));
    // The first of the two has to be an hour old.
    let waited = frees_at.expect("a time").0 - before;
    assert!((3_600_000..3_660_000).contains(&waited), "{waited}");
    // An hour later there is room.
    place.sql(
        "UPDATE admission_jobs SET ended_at = ended_at - 3600001",
        "UPDATE admission_jobs SET ended_at = ended_at - 3600001",
    );
    submit(&catalog, &acme, b"2");
    assert_eq!(refused(b"3"), ("plugin versions", 3, None));
    assert!(!catalog.submit_component(&acme, &name("mine"), b"1").unwrap().is_created());
    // What the gateway could not decide costs nothing.
    let job = claim(&catalog, "a");
    catalog.end_job(&job, "a", &ending(JobState::Error)).unwrap();
    let other = tenant(&catalog, "other");
    submit(&catalog, &other, b"1");
}
