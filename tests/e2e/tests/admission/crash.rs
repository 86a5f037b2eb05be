//! Kill -9 during a job: after the next start the version is admitted, failed, or still on its way.

use serde_json::json;
use tidegate_e2e::assert_quiet;

use crate::{component, get, start_with, states, using};

/// P6: at each step a job is killed once, and begun again by the next start.
#[test]
fn a_job_that_is_killed_is_carried_out_by_the_next_start() {
    let (mut gateway, tenant) = start_with(&[]);
    for done in 0..=6 {
        let bytes = component(&format!("kill {done}"));
        let name = format!("p{done}");
        let stored = tenant.upload(&gateway, &name, &bytes);
        assert_eq!(stored.status, 202, "{}", stored.text());
        let number = stored.json()["job"].as_str().unwrap().to_owned();
        // Until so many steps are done, or it was faster than the looks at it.
        loop {
            let job = tenant.job(&gateway, &number);
            let passed = states(&job).iter().filter(|state| **state == "passed").count();
            if passed >= done || job["state"] == "admitted" {
                break;
            }
        }
        gateway.kill();
        gateway.restart();
        let version = get(&gateway, &format!("/v1/tenants/acme/plugins/{name}/versions/1"));
        let (state, job) = (version["state"].as_str().unwrap(), tenant.job(&gateway, &number));
        match job["state"].as_str().unwrap() {
            "pending" | "running" => {
                // It may have ended between the two looks.
                assert!(matches!(state, "pending"), "{version}");
            }
            "admitted" => assert!(matches!(state, "pending" | "admitted"), "{version}"),
            other => panic!("{other}: {job:#}"),
        }
        let job = tenant.settled(&gateway, &number);
        assert_eq!(job["state"], "admitted", "{job:#}");
        assert_eq!(states(&job), ["passed"; 6], "{job:#}");
        let versions = get(&gateway, &format!("/v1/tenants/acme/plugins/{name}/versions"));
        assert_eq!(versions["versions"].as_array().unwrap().len(), 1, "{versions}");
        tenant.activate(&gateway, &using(&format!("{name}@1")));
        assert_eq!(tenant.post(&gateway, &json!({ "id": 1 })).status, 202);
    }
    assert_quiet(&gateway);
}

/// Several jobs wait when the gateway is killed: all are carried out, tenant by tenant in turn.
#[test]
fn waiting_jobs_survive() {
    let (mut gateway, tenant) = start_with(&[]);
    let other = tidegate_testkit::Tenant::create(&gateway, "other");
    let mut jobs = Vec::new();
    for at in 0..3 {
        let stored = tenant.upload(&gateway, "mine", &component(&format!("wait {at}")));
        jobs.push((tenant.clone(), stored.json()["job"].as_str().unwrap().to_owned()));
    }
    let stored = other.upload(&gateway, "mine", &component("wait other"));
    jobs.push((other.clone(), stored.json()["job"].as_str().unwrap().to_owned()));
    gateway.kill();
    gateway.restart();
    let settled: Vec<_> = jobs.iter().map(|(owner, job)| owner.settled(&gateway, job)).collect();
    assert!(settled.iter().all(|job| job["state"] == "admitted"), "{settled:#?}");
    // The other tenant did not wait for all of the first one's.
    let begun = |at: usize| settled[at]["started_at"].as_str().unwrap().to_owned();
    assert!(begun(3) < begun(2), "{} {}", begun(3), begun(2));
    assert_quiet(&gateway);
}
