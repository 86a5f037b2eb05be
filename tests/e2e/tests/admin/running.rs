//! Limits that change while rules run, and what is told of running rules (P4, P6).

use serde_json::json;
use tidegate_testkit::{Gateway, Tenant};

use crate::{JSON, named, ok, ok_event, problem, start};

fn code(tenant: &Tenant, gateway: &Gateway) -> String {
    let receipt = ok_event(&tenant.post(gateway, &json!({})));
    receipt["findings"][0]["code"].as_str().unwrap().to_owned()
}

/// A tenant's own limits hold from the next call on and over a restart; a component's go first.
#[test]
fn limits_change_while_rules_run() {
    let (mut gateway, tenant) = start();
    tenant.activate(&gateway, &named("held"));
    assert_eq!(code(&tenant, &gateway), "missing");
    let put = |gateway: &Gateway, path: &str, limits: &serde_json::Value| {
        let path = format!("/v1/tenants/acme/{path}");
        gateway.admin("PUT", &path, JSON, limits.to_string().as_bytes())
    };
    let none = json!({ "max_findings_per_row": 0 });
    ok(&put(&gateway, "limits", &json!({ "calls": none })));
    assert_eq!(code(&tenant, &gateway), "rule-fault");
    assert!(gateway.terminate(), "{}", gateway.log());
    gateway.restart();
    assert_eq!(code(&tenant, &gateway), "rule-fault");

    let version = ok(&gateway.admin("GET", "/v1/tenants/acme/plugins", JSON, b""));
    let required =
        version["plugins"].as_array().unwrap().iter().find(|it| it["name"] == "required");
    let digest = required.unwrap()["digest"].as_str().unwrap().to_owned();
    let of_plugin = format!("plugins/required/versions/{digest}/limits");
    ok(&put(&gateway, &of_plugin, &json!({ "max_findings_per_row": 9 })));
    assert_eq!(code(&tenant, &gateway), "missing");
    let all = ok(&gateway.admin("GET", "/v1/tenants/acme/limits", JSON, b""));
    assert_eq!(all["tenant"], json!({ "calls": none }));
    assert_eq!(all["plugins"], json!({ digest: { "max_findings_per_row": 9 } }));
    ok(&put(&gateway, &of_plugin, &json!({})));
    assert_eq!(code(&tenant, &gateway), "rule-fault");
    ok(&put(&gateway, "limits", &json!({})));
    assert_eq!(code(&tenant, &gateway), "missing");

    for wrong in [json!({ "max_cals": 1 }), json!({ "max_calls": "many" }), json!([])] {
        problem(&put(&gateway, "limits", &wrong), 400, "invalid-request");
    }
    assert_eq!(put(&gateway, "plugins/none/versions/1/limits", &json!({})).status, 404);
}

/// What a rule did is told by tenant, plugin and rule; a log level that is none is refused.
#[test]
fn running_rules_are_measured() {
    let (gateway, tenant) = start();
    tenant.activate(&gateway, &named("held"));
    let events: Vec<_> = (0..10).map(|number| json!({ "key": number })).collect();
    assert_eq!(tenant.post_batch(&gateway, &events).status, 202);
    let metrics = gateway.admin("GET", "/metrics", JSON, b"");
    assert_eq!(metrics.status, 200);
    let told = |name: &str| {
        let text = metrics.text();
        let mut lines =
            text.lines().filter(|line| line.starts_with(&format!("tidegate_plugin_{name}{{")));
        let line =
            lines.find(|line| line.contains("tenant=\"acme\"") && line.contains("rule=\"held\""));
        let line = line.unwrap_or_else(|| panic!("no {name} in {text}"));
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    assert!((told("events_total") - 10.0).abs() < 0.1);
    assert!(told("calls_total") >= 1.0);
    let log =
        ok(&gateway.admin("GET", "/v1/tenants/acme/log?plugin=required&level=warn", JSON, b""));
    assert_eq!(log["lines"], json!([]), "first-party rules have nothing to say");
    let wrong = gateway.admin("GET", "/v1/tenants/acme/log?level=loud", JSON, b"");
    problem(&wrong, 400, "invalid-request");
}
