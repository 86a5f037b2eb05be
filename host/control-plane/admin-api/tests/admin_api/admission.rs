//! Versions on their way: what waits, what runs, what was refused, and what a stop leaves behind.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use tidegate_catalog::{Ending, JobState};

use crate::harness::Gateway;
use crate::journey::{document, furnished};

const MINE: &str = "/v1/tenants/acme/plugins/mine/versions";
const REVISIONS: &str = "/v1/tenants/acme/revisions";

fn using(component: &str) -> Value {
    let mut document = document("one");
    document["rules"][1]["component"] = component.into();
    document
}

async fn upload(gateway: &Gateway, component: &[u8]) -> Value {
    gateway.call("POST", MINE, "application/wasm", component).await.expect(202)
}

/// Waits until a job runs and its first step is noted.
async fn running(gateway: &Gateway, job: &Value) -> Value {
    let path = format!("/v1/tenants/acme/jobs/{}", job["job"].as_str().unwrap());
    loop {
        let job = gateway.get(&path).await.expect(200);
        if job["steps"][0]["state"] == "passed" {
            return job;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// P2: a version whose job has not ended, or has failed, gets into no revision, by no name.
#[tokio::test(flavor = "multi_thread")]
async fn only_admitted_versions_get_into_revisions() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path()).await;
    furnished(&gateway).await;
    gateway.plane.close_trials();
    let two = upload(&gateway, b"\0asm two").await;
    assert_eq!(
        (&two["version"], two["steps"][1]["state"].as_str()),
        (&json!("2"), Some("pending"))
    );
    let waiting = upload(&gateway, b"\0asm bad").await;
    let job = running(&gateway, &two).await;
    assert_eq!((&job["state"], &job["steps"][1]["state"]), (&json!("running"), &json!("running")));
    for (component, why) in [
        ("mine@2", "version 2 of plugin `mine` is not yet admitted; job 2 is running"),
        ("mine", "version 3 of plugin `mine` is not yet admitted; job 3 is pending"),
        (two["digest"].as_str().unwrap(), "version 2 of plugin `mine` is not yet admitted"),
    ] {
        let refused = gateway.post(REVISIONS, using(component)).await;
        refused.expect_problem(400, "invalid-request", Some("/rules/1/component"));
        assert!(refused.body["errors"][0]["detail"].as_str().unwrap().contains(why), "{component}");
    }
    let version = gateway.get(&format!("{MINE}/2")).await.expect(200);
    assert_eq!((&version["state"], &version["inspection"]), (&json!("pending"), &json!(null)));
    gateway.post(REVISIONS, using("mine@1")).await.expect(201);

    gateway.plane.trials.add_permits(2);
    assert_eq!(gateway.settled("2").await["state"], "admitted");
    assert_eq!(gateway.settled(waiting["job"].as_str().unwrap()).await["state"], "failed");
    gateway.post(REVISIONS, using("mine@2")).await.expect(201);
    let refused = gateway.post(REVISIONS, using("mine")).await;
    let told = refused.body["errors"][0]["detail"].as_str().unwrap();
    let why =
        "version 3 of plugin `mine` failed in the step `compiled`: it is too bad; job 3 tells all";
    assert!(told.contains(why), "{told}");
    gateway.stop().await.unwrap();
}

/// A revision that was stored while its component was admitted is looked at again.
#[tokio::test(flavor = "multi_thread")]
async fn activation_looks_again() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path()).await;
    furnished(&gateway).await;
    gateway.post(REVISIONS, using("mine@1")).await.expect(201);
    // An operator takes the version back in the database.
    let file = folder.path().join("catalog.sqlite");
    let database = rusqlite::Connection::open(file).unwrap();
    database.execute("UPDATE component_versions SET state = 'failed'", []).unwrap();
    let refused = gateway.call("POST", &format!("{REVISIONS}/1/activate"), "", b"").await;
    refused.expect_problem(400, "invalid-request", None);
    let told = refused.body["detail"].as_str().unwrap();
    assert!(
        told.contains("the rule `own` cannot judge events: version 1 of plugin `mine`"),
        "{told}"
    );
    gateway.stop().await.unwrap();
}

/// What the gateway could not decide is nobody's fault, and is tried again when it is sent again.
#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_decided_is_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path()).await;
    furnished(&gateway).await;
    gateway.plane.refuse.store(true, Ordering::SeqCst);
    let job = gateway.push(MINE, b"\0asm trouble").await;
    assert_eq!((&job["state"], &job["trouble"]), (&json!("error"), &json!("no room")));
    assert_eq!(job["steps"].as_array().unwrap().len(), 1);
    let refused = gateway.post(REVISIONS, using("mine@2")).await;
    assert!(refused.body.to_string().contains("send it again"), "{}", refused.body);
    let again = gateway.call("POST", MINE, "application/wasm", b"\0asm trouble").await.expect(200);
    assert_eq!((&again["job"], &again["state"]), (&job["job"], &json!("pending")));
    assert_eq!(gateway.settled("2").await["state"], "error", "still no room");
    gateway.plane.refuse.store(false, Ordering::SeqCst);
    gateway.call("POST", MINE, "application/wasm", b"\0asm trouble").await.expect(200);
    assert_eq!(gateway.settled("2").await["state"], "admitted");
    // A panic is a failure of the gateway like any other, and the next job is carried out.
    let job = gateway.push(MINE, b"\0asm panic").await;
    assert_eq!(job["state"], "error", "{job}");
    assert_eq!(gateway.push(MINE, b"\0asm next").await["state"], "admitted");
    gateway.stop().await.unwrap();
}

/// A job that a stop cut off is begun again; what another has ended in the meantime stays ended.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_leaves_jobs_to_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path()).await;
    furnished(&gateway).await;
    gateway.plane.close_trials();
    let job = upload(&gateway, b"\0asm two").await;
    running(&gateway, &job).await;
    let waiting = upload(&gateway, b"\0asm three").await;
    gateway.stop().await.unwrap();

    let gateway = Gateway::start(folder.path()).await;
    for job in [&job, &waiting] {
        let settled = gateway.settled(job["job"].as_str().unwrap()).await;
        assert_eq!(settled["state"], "admitted", "{settled}");
    }
    let tenant = tidegate_types::TenantId::new("acme").unwrap();
    let ended = gateway.catalog.job(&tenant, 2).unwrap();
    let late = Ending {
        state: JobState::Failed,
        steps: Vec::new(),
        trouble: None,
        inspection: None,
        took: std::time::Duration::ZERO,
    };
    assert!(!gateway.catalog.end_job(&ended, "node-1", &late).unwrap(), "it is not begun any more");
    assert_eq!(gateway.catalog.job(&tenant, 2).unwrap(), ended);
    gateway.stop().await.unwrap();
}
