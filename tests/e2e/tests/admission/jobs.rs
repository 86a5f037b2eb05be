//! The jobs of good and bad components, whole.

use serde_json::json;
use tidegate_e2e::{assert_quiet, findings, problem};
use tidegate_types::Digest;

use crate::{JSON, STEPS, component, get, start_with, states, using};

/// P2, P3: 202 with a job; when it is settled the version can judge events.
#[test]
fn a_good_component_is_admitted_step_by_step() {
    let (gateway, tenant) = start_with(&[]);
    let bytes = component("one");
    let answer = tenant.upload(&gateway, "mine", &bytes);
    assert_eq!(answer.status, 202, "{}", answer.text());
    let stored = answer.json();
    let path = format!("/v1/tenants/acme/jobs/{}", stored["job"].as_str().unwrap());
    assert_eq!(answer.header("location"), Some(path.as_str()));
    let names: Vec<_> =
        stored["steps"].as_array().unwrap().iter().map(|step| step["step"].clone()).collect();
    assert_eq!(names, STEPS, "all steps are named from the beginning");

    let job = tenant.settled(&gateway, stored["job"].as_str().unwrap());
    assert_eq!(job["state"], "admitted", "{job:#}");
    assert_eq!(states(&job), ["passed"; 6], "{job:#}");
    let digest = Digest::of(&bytes).to_string();
    assert_eq!(
        (&job["plugin"], &job["version"], &job["digest"]),
        (&json!("mine"), &json!("1"), &json!(digest))
    );
    assert!(job["ended_at"].as_str() > job["created_at"].as_str(), "{job}");
    let facts = |step: usize| &job["steps"][step]["facts"];
    assert_eq!((&facts(0)["bytes"], &facts(0)["golden_cases"]), (&json!(bytes.len()), &json!(1)));
    assert!(facts(1)["compile_ms"].as_u64() > Some(0) && facts(1)["code_bytes"].as_u64() > Some(0));
    assert_eq!(facts(2)["contract"], "1.0.0");
    assert_eq!((&facts(3)["role"], &facts(3)["reads"]), (&json!("validator"), &json!(1)));
    assert_eq!((&facts(4)["cases_passed"], &facts(4)["events"]), (&json!(1), &json!(2)));
    assert!(facts(5)["fuel_per_event"]["p50"].as_u64() > Some(0), "{job:#}");

    let version = get(&gateway, "/v1/tenants/acme/plugins/mine/versions/1");
    assert_eq!((&version["state"], &version["job"]), (&json!("admitted"), &job["job"]));
    assert_eq!(version["admission"], job);
    let inspection = &version["inspection"];
    assert_eq!(inspection["manifest"]["reads"], json!([{ "pointer": "/id", "cell": "boolean" }]));
    assert!(inspection["cost"]["peak_memory_bytes"].as_u64() > Some(0), "{inspection}");
    let builtin = get(&gateway, "/v1/tenants/acme/plugins/required/versions/0.1.0");
    assert_eq!((&builtin["state"], &builtin["job"]), (&json!("admitted"), &json!(null)));
    assert!(builtin["inspection"]["cost"].is_object(), "{builtin}");

    // The same bytes again: the same version, the same job. Under another name: another.
    let again = tenant.upload(&gateway, "mine", &bytes);
    assert_eq!((again.status, again.json()), (200, job.clone()));
    let other = tenant.upload_settled(&gateway, "other", &bytes);
    assert_eq!((&other["state"], &other["version"]), (&json!("admitted"), &json!("1")));
    let jobs = get(&gateway, "/v1/tenants/acme/jobs");
    assert_eq!(jobs["jobs"], json!([other, job]), "newest first");

    tenant.activate(&gateway, &using("mine@1"));
    let judged = tenant.post(&gateway, &json!({}));
    assert_eq!((judged.status, findings(&judged.json()).len()), (400, 1), "{}", judged.text());
    assert_quiet(&gateway);
}

/// P3: a version that failed a step says what, where and how to mend it, and judges nothing.
#[test]
fn a_bad_component_fails_and_cannot_be_used() {
    let (gateway, tenant) = start_with(&[]);
    let component = "\0asm\x0d\0\x01\0";
    for (name, bytes, step, detail, mend) in [
        ("module", "\0asm\x01\0\0\0", 0, "this is a core module", "wasm32-wasip2"),
        ("torn", "\0asm\x0d\0\x01\0\x07", 0, "no WebAssembly", "as its toolchain wrote them"),
        ("empty", component, 2, "exports no rules", "tidegate:rules, version"),
    ] {
        let job = tenant.upload_settled(&gateway, name, bytes.as_bytes());
        assert_eq!(job["state"], "failed", "{job:#}");
        let mut expected = vec!["passed"; step];
        expected.push("failed");
        expected.resize(6, "skipped");
        assert_eq!(states(&job), expected, "{name}");
        let problem = &job["steps"][step]["problems"][0];
        assert!(problem["detail"].as_str().unwrap().contains(detail), "{problem}");
        assert!(problem["mend"].as_str().unwrap().contains(mend), "{problem}");
        let version = get(&gateway, &format!("/v1/tenants/acme/plugins/{name}/versions/1"));
        assert_eq!((&version["state"], &version["inspection"]), (&json!("failed"), &json!(null)));
        // Sent again it is what it was: the fault is the component's.
        let again = tenant.upload(&gateway, name, bytes.as_bytes());
        assert_eq!((again.status, again.json()), (200, job.clone()));

        let digest = Digest::of(bytes.as_bytes()).to_string();
        for reference in [name, &format!("{name}@1"), &digest] {
            let refused = tenant.revision(&gateway, &using(reference));
            let refused = self::problem(&refused, 400, "invalid-request");
            assert_eq!(refused["pointer"], "/rules/0/component", "{refused}");
            let told = refused["errors"][0]["detail"].as_str().unwrap();
            let failed =
                format!("version 1 of plugin `{name}` failed in the step `{}`", crate::STEPS[step]);
            assert!(told.contains(&failed) && told.contains(detail), "{told}");
        }
    }
    assert_quiet(&gateway);
}

/// A golden case that is not met is told with what was expected and what came.
#[test]
fn a_wrong_golden_case_fails_its_version() {
    let (gateway, tenant) = start_with(&[]);
    let case = r#"{"config": {"fields": [{"pointer": "/id"}]},
"events": [
  {"id": 1}],
"expect": {"findings": [{"row": 0, "code": "missing", "severity": "hard"}]}}"#;
    let case = tidegate_golden::CaseFile { file: "wrong.json".into(), text: case.into() };
    let builtin = tidegate_plugins::find("required").unwrap().component;
    let bytes = tidegate_golden::pack(builtin, vec![case]).unwrap();
    let job = tenant.upload_settled(&gateway, "mine", &bytes);
    assert_eq!(states(&job)[4..], ["failed", "skipped"], "{job:#}");
    let problem = &job["steps"][4]["problems"][0];
    assert_eq!(problem["place"], json!({ "case": "wrong.json", "line": 3, "event": 0 }));
    assert_eq!(problem["expected"]["findings"][0]["code"], "missing");
    assert_eq!(problem["got"]["findings"], json!([]));
    assert_quiet(&gateway);
}

#[test]
fn requests_that_make_no_job() {
    let (gateway, tenant) = start_with(&[]);
    let bytes = component("one");
    problem(&tenant.upload(&gateway, "required", &bytes), 409, "exists");
    problem(&tenant.upload(&gateway, "mine", b"text"), 400, "invalid-request");
    problem(&tenant.upload(&gateway, "mine", b""), 400, "invalid-request");
    let path = "/v1/tenants/acme/plugins/mine/versions";
    problem(&gateway.admin("POST", path, "text/plain", &bytes), 415, "unsupported-media-type");
    for job in ["1", "0", "x", "-1", "99999999999999999999"] {
        let answer = gateway.admin("GET", &format!("/v1/tenants/acme/jobs/{job}"), JSON, b"");
        problem(&answer, 404, "not-found");
    }
    assert_eq!(get(&gateway, "/v1/tenants/acme/jobs"), json!({ "jobs": [] }));
    // A tenant's jobs are its own.
    let job = tenant.upload_settled(&gateway, "mine", &bytes);
    drop(tidegate_testkit::Tenant::create(&gateway, "other"));
    let path = format!("/v1/tenants/other/jobs/{}", job["job"].as_str().unwrap());
    problem(&gateway.admin("GET", &path, JSON, b""), 404, "not-found");
    problem(&gateway.admin("GET", "/v1/tenants/ghost/jobs", JSON, b""), 404, "not-found");
    assert_quiet(&gateway);
}
