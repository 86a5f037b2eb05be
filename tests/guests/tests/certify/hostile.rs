//! Hostile guests fail in the right step, within the limits, and the host goes on.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::json;
use tidegate_plugin_host::certify::{StepName, Verdict};
use tidegate_plugin_host::compile::CompileOptions;

use crate::support::{certify, compiling, component, host, host_with, hostile, limits};

/// P4: no guest holds up certification for longer than its limits.
#[tokio::test]
async fn hostile_guests_fail_in_their_step_and_the_host_goes_on() {
    use StepName::{Configured, SelfTested};
    let host = host();
    let configuring = |mode: &str| hostile(&json!({ "configure": mode }), false);
    let judging = |mode: &str| hostile(&json!({ "mode": mode }), true);
    for (what, bytes, step, why) in [
        ("loops while configured", configuring("loop"), Configured, "more CPU time"),
        ("fills memory while configured", configuring("memory"), Configured, "more memory"),
        ("panics while configured", configuring("panic"), Configured, "unreachable"),
        ("reads a batch while configured", configuring("read-batch"), Configured, "before"),
        ("loops", judging("loop"), SelfTested, "more CPU time"),
        ("fills memory", judging("memory"), SelfTested, "more memory"),
        ("recurses", judging("recursion"), SelfTested, "stack"),
        ("panics", judging("panic"), SelfTested, "unreachable"),
        ("sleeps", judging("sleep"), SelfTested, "cannot wait"),
        ("reads what it did not declare", judging("undeclared-read"), SelfTested, "not in the"),
        ("gives up", judging("permanent"), SelfTested, "never"),
    ] {
        let started = Instant::now();
        let report = certify(&host, bytes).await;
        assert_eq!(report.verdict, Verdict::Failed, "{what}: {report:#?}");
        let failed = report.failed_step().expect("a step failed");
        assert_eq!(failed.step, step, "{what}: {failed:#?}");
        let problem = &failed.problems[0];
        assert!(problem.detail.contains(why), "{what}: {problem:#?}");
        assert_eq!(problem.place.case.as_deref(), Some("case.json"), "{what}");
        if step == SelfTested {
            assert_eq!(problem.place.event, Some(1), "{what}: the poisoned event is named");
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{what}: {:?}", started.elapsed());
    }
    let good = tidegate_plugins::find("required").expect("it is built in").component;
    assert_eq!(certify(&host, Bytes::from_static(good)).await.verdict, Verdict::Admitted);
}

/// A component that takes the compiler longer than it may is to blame, not the host.
#[tokio::test]
async fn a_compile_bomb_fails_where_it_is_compiled() {
    let step = "local.get 0 i32.const 3 i32.mul i32.const 1 i32.add local.tee 0 i32.load drop ";
    let function = format!("(func (param i32) {})", step.repeat(30));
    let bomb = format!("(component (core module (memory 1) {}))", function.repeat(8000));
    let folder = tempfile::tempdir().expect("a folder");
    let usual = compiling("compile", &folder.path().join("compiled"));
    let compile = CompileOptions { cpu_seconds: 1, component_bytes: 64 << 20, ..usual };
    let host = host_with(compile, limits());
    let report = certify(&host, component(&bomb)).await;
    let failed = report.failed_step().expect("a step failed");
    assert_eq!(failed.step, StepName::Compiled);
    assert!(failed.problems[0].detail.contains("more memory or time"), "{failed:#?}");
    assert!(failed.problems[0].mend.contains("make it smaller"), "{failed:#?}");
}

/// A verdict that depends on the neighbours of an event is found out.
#[tokio::test]
async fn a_rule_that_looks_at_an_events_neighbours_fails() {
    // Good in its first poisoned call, which is the whole batch; bad in the next.
    let report = certify(&host(), hostile(&json!({ "mode": "transient-second-call" }), true)).await;
    let failed = report.failed_step().expect("a step failed");
    assert_eq!(failed.step, StepName::SelfTested);
    assert!(failed.problems[0].detail.contains("tired"), "{failed:#?}");
}
