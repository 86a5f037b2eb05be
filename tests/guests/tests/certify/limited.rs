//! A component is put to the proof under the limits that its calls will have.

use std::time::Duration;

use serde_json::json;
use tidegate_plugin_host::Limits;
use tidegate_plugin_host::certify::{StepName, StepState, Verdict};
use tidegate_plugin_host::limits::{CallLimits, TenantLimits};
use tidegate_types::Digest;

use crate::support::{certify, compiling, host_with, hostile, limits, options, step};

/// Takes some CPU time for one of its events, and is honest otherwise.
fn burning() -> Vec<u8> {
    hostile(&json!({ "mode": "burn", "amount": 20_000_000 }), true)
}

#[tokio::test]
async fn what_passes_for_others_fails_under_tighter_limits_of_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let compile = compiling("compile", &folder.path().join("compiled"));
    let host = host_with(compile, Limits { call_budget: Duration::from_secs(10), ..limits() });
    let report = certify(&host, burning()).await;
    assert_eq!(report.verdict, Verdict::Admitted, "{report:#?}");
    let tested = step(&report, StepName::SelfTested);
    assert_eq!((&tested.facts["limits"]["call_budget_ms"], &tested.note), (&json!(10_000), &None));

    let tenant = options().tenant;
    let calls = CallLimits { call_budget_ms: Some(1), ..CallLimits::default() };
    host.set_tenant_limits(&tenant, TenantLimits { calls, ..TenantLimits::default() });
    let report = certify(&host, burning()).await;
    assert_eq!(report.verdict, Verdict::Failed, "{report:#?}");
    let tested = step(&report, StepName::SelfTested);
    assert_eq!(tested.state, StepState::Failed, "{report:#?}");
    let note = tested.note.as_deref().expect("a note");
    assert!(note.ends_with("of its own: call_budget_ms 1 in place of 10000"), "{note}");
    let problem = &tested.problems[0];
    assert!(problem.detail.contains("more CPU time than it may"), "{problem:?}");
    assert_eq!(problem.place.event, Some(1), "{problem:?}");

    // What the component has of its own goes before what its tenant has.
    let more = CallLimits { call_budget_ms: Some(9000), ..CallLimits::default() };
    host.set_plugin_limits(&tenant, Digest::of(&burning()), more);
    let report = certify(&host, burning()).await;
    assert_eq!(report.verdict, Verdict::Admitted, "{report:#?}");
    let tested = step(&report, StepName::SelfTested);
    assert_eq!(tested.facts["limits"]["call_budget_ms"], 9000);
}
