//! Golden cases may be required, tenant by tenant.

use serde_json::json;
use tidegate_e2e::assert_quiet;
use tidegate_testkit::{Gateway, Tenant};

use crate::{JSON, component, get, start_with, states, using};

const PATH: &str = "/v1/tenants/acme/case-policy";

fn set(gateway: &Gateway, policy: &str) {
    let body = json!({ "policy": policy });
    let answer = gateway.admin("PUT", PATH, JSON, body.to_string().as_bytes());
    assert_eq!((answer.status, answer.json()), (200, body));
}

/// The built-in rule without its cases: its golden section is given another name.
fn without_cases() -> Vec<u8> {
    let mut bytes = tidegate_plugins::find("required").unwrap().component.to_vec();
    let name = tidegate_golden::SECTION.as_bytes();
    let at = bytes.windows(name.len()).position(|window| window == name).unwrap();
    bytes[at..at + name.len()].copy_from_slice(b"tidegate:bronze");
    assert_eq!(tidegate_golden::read(&bytes), Ok(None));
    bytes
}

/// P3: where cases are required, a component without any fails its self-test, and says how to mend it.
#[test]
fn a_tenant_may_require_golden_cases() {
    let (mut gateway, tenant) = start_with(&[]);
    assert_eq!(get(&gateway, PATH), json!({ "policy": "not-required" }));
    let bare = without_cases();
    let admitted = tenant.upload_settled(&gateway, "before", &bare);
    assert_eq!((&admitted["state"], states(&admitted)[4]), (&json!("admitted"), "skipped"));

    set(&gateway, "required");
    assert!(gateway.terminate(), "{}", gateway.log());
    gateway.restart();
    assert_eq!(get(&gateway, PATH), json!({ "policy": "required" }));
    let failed = tenant.upload_settled(&gateway, "mine", &bare);
    assert_eq!(failed["state"], "failed", "{failed:#}");
    assert_eq!(states(&failed)[4..], ["failed", "skipped"], "{failed:#}");
    let problem = &failed["steps"][4]["problems"][0];
    let told = |member: &str| problem[member].as_str().unwrap();
    assert!(told("detail").contains("no custom section `tidegate:golden`"), "{problem}");
    assert!(told("mend").contains("tidegate plugin pack COMPONENT --cases FOLDER"), "{problem}");
    let refused = tenant.revision(&gateway, &using("mine@1")).json();
    let refused = refused["errors"][0]["detail"].as_str().unwrap();
    assert!(refused.contains("failed in the step `self-tested`"), "{refused}");

    // What carries cases is taken, and so is what others upload; what was admitted stays so.
    let packed = tenant.upload_settled(&gateway, "mine", &component("one"));
    assert_eq!(states(&packed), ["passed"; 6], "{packed:#}");
    let other = Tenant::create(&gateway, "other");
    assert_eq!(other.upload_settled(&gateway, "mine", &bare)["state"], "admitted");
    tenant.activate(&gateway, &using("before@1"));

    // The same bytes fail for as long as the policy is the same, and no longer.
    let again = tenant.upload(&gateway, "mine", &bare);
    assert_eq!((again.status, again.json()), (200, failed.clone()));
    set(&gateway, "not-required");
    let again = tenant.upload_settled(&gateway, "mine", &bare);
    assert_eq!((&again["job"], &again["state"]), (&failed["job"], &json!("admitted")), "{again:#}");
    tenant.activate(&gateway, &using("mine@1"));
    assert_quiet(&gateway);
}
