//! Events that were judged while a rule faulted too often are explained as they were judged.

use serde_json::{Value, json};
use tidegate_testkit::{Gateway, Tenant};

use crate::{JSON, ok, ok_event, start};

/// The built-in rule as a component of the tenant's own, which differs by its cases alone.
fn own() -> Vec<u8> {
    let required = tidegate_plugins::find("required").unwrap().component;
    tidegate_testkit::component::of_its_own(required, "own")
}

/// A revision whose rule of the same name looks at a field with this component.
fn looking(component: &str, field: &str) -> Value {
    json!({
        "default_type": "event",
        "event_types": { "event": {} },
        "rules": [{
            "name": "ids", "component": component,
            "config": { "fields": [{ "pointer": field, "severity": "soft" }] },
        }],
    })
}

/// Posts an event without any field; its id and the codes of what was found.
fn posted(gateway: &Gateway, tenant: &Tenant) -> (String, Vec<String>) {
    let receipt = ok_event(&tenant.post(gateway, &json!({ "n": 1 })));
    let codes = receipt["findings"].as_array().unwrap().iter();
    let codes = codes.map(|finding| finding["code"].as_str().unwrap().to_owned()).collect();
    (receipt["event_id"].as_str().unwrap().to_owned(), codes)
}

/// Has the tenant's own component fault, since it may find nothing, until it is not called any more.
fn open_breaker(gateway: &Gateway, tenant: &Tenant) {
    let path = format!("/v1/tenants/{}/plugins/mine/versions/1/limits", tenant.id);
    ok(&gateway.admin("PUT", &path, JSON, br#"{"max_findings_per_row": 0}"#));
    for _ in 0..5 {
        assert_eq!(posted(gateway, tenant).1, ["rule-fault"]);
    }
}

fn explained(gateway: &Gateway, tenant: &Tenant, event: &str) -> Value {
    let path = format!("/v1/tenants/{}/events/{event}/explanation", tenant.id);
    ok(&gateway.admin("GET", &path, JSON, b""))
}

fn assert_reproduced(gateway: &Gateway, tenant: &Tenant, event: &str, by: &str, component: &str) {
    let told = explained(gateway, tenant, event);
    assert_eq!((&told["reproduced"], &told["differences"]), (&json!(true), &json!([])), "{told:#}");
    let rule = &told["rules"][0];
    assert_eq!((&rule["by"], &rule["component"]), (&json!(by), &json!(component)), "{told:#}");
    assert_eq!(rule["findings"], told["receipt"]["findings"], "{told:#}");
}

#[test]
fn what_stood_in_for_a_rule_stands_in_again() {
    let (mut gateway, guarded) = start();
    let bare = Tenant::create(&gateway, "bare");
    let (builtin, own) = (tidegate_plugins::find("required").unwrap().component.to_vec(), own());
    let digest = |bytes: &[u8]| tidegate_types::Digest::of(bytes).to_string();
    for tenant in [&guarded, &bare] {
        assert_eq!(tenant.upload_settled(&gateway, "mine", &own)["state"], "admitted");
    }
    guarded.activate(&gateway, &looking("required", "/first"));
    guarded.activate(&gateway, &looking("mine@1", "/second"));
    bare.activate(&gateway, &looking("mine@1", "/second"));
    for tenant in [&guarded, &bare] {
        open_breaker(&gateway, tenant);
    }
    let (by_fallback, codes) = posted(&gateway, &guarded);
    assert_eq!(codes, ["rule-fallback", "missing"]);
    let (by_nobody, codes) = posted(&gateway, &bare);
    assert_eq!(codes, ["rule-fault"]);
    let both = |gateway: &Gateway| {
        let (builtin, own) = (digest(&builtin), digest(&own));
        assert_reproduced(gateway, &guarded, &by_fallback, "fall-back", &builtin);
        assert_reproduced(gateway, &bare, &by_nobody, "on-fault", &own);
    };
    both(&gateway);

    // Neither a breaker that is closed by now, nor limits that are gone, nor another revision before
    // it change what is told; and it is the same from the log and from Parquet.
    for tenant in [&guarded, &bare] {
        let path = format!("/v1/tenants/{}/plugins/mine/versions/1/limits", tenant.id);
        ok(&gateway.admin("PUT", &path, JSON, b"{}"));
    }
    assert!(gateway.terminate(), "{}", gateway.log());
    gateway.restart();
    gateway.wait_published();
    both(&gateway);
    guarded.activate(&gateway, &looking("required", "/third"));
    guarded.activate(&gateway, &looking("mine@1", "/second"));
    both(&gateway);
    let (by_rule, codes) = posted(&gateway, &guarded);
    assert_eq!(codes, ["missing"]);
    assert_reproduced(&gateway, &guarded, &by_rule, "rule", &digest(&own));
}
