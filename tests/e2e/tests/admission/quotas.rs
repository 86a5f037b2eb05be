//! Quotas of a tenant: the answer names the one that was hit, and when it frees up.

use serde_json::json;
use tidegate_e2e::{assert_quiet, problem};
use tidegate_testkit::Tenant;

use crate::{component, start_with};

#[test]
fn versions_and_bytes_are_bounded_per_tenant() {
    for (setting, value, what) in [
        ("PLUGINS__MAX_VERSIONS_PER_TENANT", "1", "1 plugin versions"),
        ("PLUGINS__MAX_BYTES_PER_TENANT", "300KiB", "307200 bytes of plugin versions"),
    ] {
        let (gateway, tenant) = start_with(&[(setting, value)]);
        let first = component("one");
        assert!(first.len() > 150 << 10 && first.len() < 300 << 10, "{}", first.len());
        assert_eq!(tenant.upload(&gateway, "mine", &first).status, 202);
        let refused =
            problem(&tenant.upload(&gateway, "mine", &component("two")), 429, "too-many-requests");
        let detail = refused["detail"].as_str().unwrap();
        assert!(detail.contains(what) && detail.contains("none becomes free"), "{detail}");
        assert_eq!(tenant.upload(&gateway, "mine", &first).status, 200, "it is there already");
        // The quota is this tenant's alone.
        let other = Tenant::create(&gateway, "other");
        assert_eq!(other.upload(&gateway, "mine", &component("two")).status, 202);
        assert_quiet(&gateway);
    }
}

#[test]
fn compiling_and_testing_is_bounded_per_hour() {
    let (gateway, tenant) = start_with(&[("PLUGINS__ADMISSION_PER_HOUR", "1s")]);
    for turn in 0..50 {
        let answer = tenant.upload(&gateway, "mine", &component(&turn.to_string()));
        if answer.status == 202 {
            let job = tenant.settled(&gateway, answer.json()["job"].as_str().unwrap());
            assert_eq!(job["state"], "admitted", "{job:#}");
            continue;
        }
        assert!(turn > 0, "the first is taken");
        let refused = problem(&answer, 429, "too-many-requests");
        let detail = refused["detail"].as_str().unwrap();
        assert!(
            detail.contains("1000 milliseconds of compiling and testing in an hour"),
            "{detail}"
        );
        assert!(detail.contains("there is room again at 2"), "{detail}");
        let wait = refused["retry_after_ms"].as_u64().unwrap();
        assert!((3_000_000..=3_600_000).contains(&wait), "{wait}");
        assert_eq!(answer.header("retry-after"), Some(wait.div_ceil(1000).to_string().as_str()));
        assert_eq!(tenant.upload(&gateway, "mine", &component("0")).json()["version"], json!("1"));
        assert_quiet(&gateway);
        return;
    }
    panic!("fifty jobs took less than a second");
}
