//! A component is admitted for the tenant that uploads it: under that tenant's limits.

use serde_json::{Value, json};
use tidegate_e2e::assert_quiet;
use tidegate_golden::CaseFile;
use tidegate_testkit::{Gateway, Tenant};

use crate::{JSON, start_with, states};

/// The built-in rule with a case of one large event, which it must read whole.
fn large() -> Vec<u8> {
    let case = json!({
        "config": { "fields": [{ "pointer": "/id", "type": "text", "non_empty": true }] },
        "events": [{ "id": "x".repeat(600_000) }, { "id": "" }],
        "expect": { "findings": [
            { "row": 1, "code": "empty", "severity": "hard", "pointer": "/id" },
        ] },
    });
    let case = CaseFile { file: "large.json".to_owned(), text: case.to_string() };
    let builtin = tidegate_plugins::find("required").unwrap().component;
    tidegate_golden::pack(builtin, vec![case]).unwrap()
}

fn limit(gateway: &Gateway, tenant: &str, limits: &Value) {
    let path = format!("/v1/tenants/{tenant}/limits");
    let answer = gateway.admin("PUT", &path, JSON, limits.to_string().as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// P3: "self-tested … under the tenant's limits". What passes for one tenant fails for another, whose
/// limits are lower, and the job says which.
#[test]
fn golden_cases_are_run_under_the_limits_of_their_tenant() {
    let (gateway, tenant) = start_with(&[]);
    let passed = tenant.upload_settled(&gateway, "mine", &large());
    assert_eq!(states(&passed), ["passed"; 6], "{passed:#}");
    assert_eq!(passed["steps"][4]["facts"]["limits"]["memory_bytes"], 16 << 20);
    assert_eq!(passed["steps"][4]["note"], json!(null));

    for (name, calls, note, why) in [
        (
            "memory",
            json!({ "memory_bytes": 1_500_000 }),
            "memory_bytes 1500000 in place of 16777216",
            "more memory than it may",
        ),
        (
            "findings",
            json!({ "max_findings_per_row": 0 }),
            "max_findings_per_row 0 in place of 64",
            "findings",
        ),
    ] {
        let other = Tenant::create(&gateway, name);
        limit(&gateway, name, &json!({ "calls": calls }));
        let failed = other.upload_settled(&gateway, "mine", &large());
        assert_eq!(failed["state"], "failed", "{name}: {failed:#}");
        assert_eq!(states(&failed)[3..], ["passed", "failed", "skipped"], "{name}: {failed:#}");
        let tested = &failed["steps"][4];
        let told = tested["note"].as_str().unwrap();
        assert!(told.contains("has of its own") && told.ends_with(note), "{told}");
        let problem = &tested["problems"][0];
        assert!(problem["detail"].as_str().unwrap().contains(why), "{name}: {problem}");
        assert_eq!(problem["place"]["case"], "large.json", "{name}: {problem}");
    }
    assert_quiet(&gateway);
}
