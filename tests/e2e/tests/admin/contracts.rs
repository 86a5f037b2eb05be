//! Which active rules need which version of the contract, told while components of every released
//! version judge at once.

use std::path::Path;

use serde_json::{Value, json};
use tidegate_testkit::{Gateway, Tenant};
use tidegate_types::Digest;

use crate::{JSON, assert_quiet, ok, ok_event, start};

/// The golden component of a version, as it was built when that version was released.
fn golden(version: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guests/golden");
    std::fs::read(folder.join(format!("v{version}.wasm"))).unwrap()
}

/// Uploads the golden component of a version and makes it judge the tenant's events, after a
/// built-in rule.
fn activate(gateway: &Gateway, tenant: &Tenant, version: &str) -> String {
    let component = golden(version);
    let job = tenant.upload_settled(gateway, "golden", &component);
    assert_eq!(
        (&job["state"], &job["steps"][2]["facts"]["contract"]),
        (&json!("admitted"), &json!(version))
    );
    tenant.table(gateway, "things", "id,name,size\na,sea,1.5\n");
    let digest = Digest::of(&component).to_string();
    tenant.activate(gateway, &json!({
        "default_type": "thing",
        "event_types": { "thing": {} },
        "rules": [
            { "name": "seen", "component": digest },
            { "name": "ids", "component": "required", "config": { "fields": [{ "pointer": "/text" }] } },
        ],
        "tables": { "things": "latest" },
    }));
    let receipt = ok_event(&tenant.post(gateway, &json!({ "text": "a" })));
    assert_eq!(receipt["findings"][0]["rule"], "seen", "{receipt}");
    digest
}

/// The gauge's series.
fn gauge(gateway: &Gateway) -> Vec<String> {
    let metrics = gateway.admin("GET", "/metrics", JSON, b"");
    let metrics = metrics.text();
    let lines = metrics.lines().filter(|line| line.starts_with("tidegate_active_rules{"));
    lines.map(str::to_owned).collect()
}

fn rules(gateway: &Gateway, tenant: &str) -> Value {
    let path = format!("/v1/tenants/{tenant}/status");
    ok(&gateway.admin("GET", &path, JSON, b""))["rules"].clone()
}

#[test]
fn active_rules_are_told_with_the_version_that_they_need() {
    let (mut gateway, acme) = start();
    let other = Tenant::create(&gateway, "other");
    assert_eq!(rules(&gateway, "acme"), json!([]));
    let none = [
        "tidegate_active_rules{contract=\"1.0.0\"} 0",
        "tidegate_active_rules{contract=\"1.1.0\"} 0",
    ];
    assert_eq!(gauge(&gateway), none, "every version that is spoken has its series");

    let (old, new) = (activate(&gateway, &acme, "1.0.0"), activate(&gateway, &other, "1.1.0"));
    let both = |gateway: &Gateway| {
        assert_eq!(gateway.status()["active_rules"], json!({ "1.0.0": 3, "1.1.0": 1 }));
        let three = "tidegate_active_rules{contract=\"1.0.0\"} 3";
        assert_eq!(gauge(gateway), [three, "tidegate_active_rules{contract=\"1.1.0\"} 1"]);
    };
    both(&gateway);
    for (tenant, digest, contract) in [("acme", &old, "1.0.0"), ("other", &new, "1.1.0")] {
        let told = rules(&gateway, tenant);
        // A validator runs before an enricher.
        assert_eq!((&told[0]["name"], &told[0]["plugin"]), (&json!("ids"), &json!("required")));
        assert_eq!(told[0]["contract"], "1.0.0", "{told}");
        let golden = json!({
            "name": "seen", "plugin": "golden", "version": "1", "digest": digest, "contract": contract,
        });
        assert_eq!((&told[1], told.as_array().unwrap().len()), (&golden, 2), "{told}");
    }

    // A version that is stored and not active is not counted; one that replaces another is.
    assert!(gateway.terminate(), "{}", gateway.log());
    gateway.restart();
    both(&gateway);
    activate(&gateway, &acme, "1.1.0");
    assert_eq!(gateway.status()["active_rules"], json!({ "1.0.0": 2, "1.1.0": 2 }));
    assert_eq!(rules(&gateway, "acme")[1]["version"], "2");
    assert_quiet(&gateway);
}
