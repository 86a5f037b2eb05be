//! Failures of the host: the component is not blamed, and the same bytes may come again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tidegate_event::Document;
use tidegate_plugin_host::certify::{StepName, StepState, Verdict};
use tidegate_plugin_host::compile::CompileOptions;
use tidegate_plugin_host::{Batch, Limits, Plan, Row, Tables};
use tidegate_types::revision::OnFault;
use tidegate_types::{EventId, EventType, RuleName, UnixMillis};

use crate::support::{certify, compiling, host_with, limits, options};

const HOSTILE: Bytes = Bytes::from_static(tidegate_guests::HOSTILE);

#[tokio::test]
async fn a_compiler_that_does_not_run_is_the_hosts_fault() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = |how: &str| compiling(how, &folder.path().join(how));
    let absent = CompileOptions { command: vec!["/nowhere/compile".into()], ..options("absent") };
    let slow = CompileOptions { wall: Duration::from_millis(200), ..options("hang") };
    for (what, compile, why) in [
        ("is not there", absent, "cannot be run"),
        ("is kept waiting", slow, "took longer"),
        ("writes no code", options("garbage"), "disappeared"),
    ] {
        let report = certify(&host_with(compile, limits()), HOSTILE).await;
        assert_eq!(report.verdict, Verdict::Error, "a compiler that {what}: {report:#?}");
        let trouble = report.trouble.as_ref().expect("told");
        assert_eq!(trouble.step, StepName::Compiled, "{what}");
        assert!(trouble.detail.contains(why), "a compiler that {what}: {trouble:?}");
        assert!(report.steps.iter().all(|step| step.state == StepState::Passed), "{what}");
    }
}

/// A certification that nobody waits for any more frees the compiler.
#[tokio::test]
async fn a_dropped_certification_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let compile = compiling("hang", &folder.path().join("hang"));
    let host = host_with(CompileOptions { wall: Duration::from_secs(2), ..compile }, limits());
    let mut ignore = |_: tidegate_plugin_host::certify::Progress<'_>| {};
    let options = options();
    let first = host.certify(HOSTILE, &options, &mut ignore);
    assert!(tokio::time::timeout(Duration::from_millis(300), first).await.is_err());
    // The next gets the compiler at once, and waits for no longer than its own limit.
    let second = tokio::time::timeout(Duration::from_secs(10), certify(&host, HOSTILE)).await;
    assert_eq!(second.expect("it ends").verdict, Verdict::Error);
}

/// A host without room for an instance blames nobody.
#[tokio::test]
async fn a_full_host_is_no_fault_of_the_component() {
    let folder = tempfile::tempdir().expect("a folder");
    let budget = Duration::from_secs(20);
    let limits = Limits { max_instances: 1, call_budget: budget, call_wall: budget, ..limits() };
    let host = host_with(compiling("compile", &folder.path().join("compiled")), limits);
    let compiled = host.compile(HOSTILE).await.expect("it compiles");
    let config = json!({ "mode": "loop", "always": true });
    let (name, tenant) = (RuleName::new("busy").expect("a name"), options().tenant);
    let tables = Tables::new();
    let component = &compiled.component;
    let rule = host
        .admit(&tenant, name, component, &config, OnFault::Quarantine, None, &tables)
        .await
        .expect("admitted");
    let plan = Plan::new(vec![rule]).expect("a plan");
    let row = Row {
        document: Arc::new(Document::parse(b"{}".to_vec()).expect("an event")),
        root: 0,
        event_id: EventId::from_parts(UnixMillis(0), 0, 0),
        event_type: EventType::new("thing").expect("an event type"),
        key: None,
    };
    let busy = plan.evaluate(Batch::new(tenant, "node".into(), vec![row]));
    // The rule's one instance runs for as long as the other is certified.
    let report = tokio::select! {
        biased;
        _ = busy => panic!("the busy rule ended first"),
        report = certify(&host, HOSTILE) => report,
    };
    assert_eq!(report.verdict, Verdict::Error, "{report:#?}");
    let trouble = report.trouble.expect("told");
    assert_eq!(trouble.step, StepName::Configured);
    assert!(trouble.detail.contains("no room"), "{trouble:?}");
}
