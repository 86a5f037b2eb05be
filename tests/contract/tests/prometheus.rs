//! Metrics, alert rules and their settings as Prometheus's own tool reads them (E8, E9, D8). It is named by
//! `TIDEGATE_TEST_PROMTOOL`, which `cargo xtask test` sets.

#![allow(clippy::unwrap_used, reason = "a failed step of a test is a panic")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::json;
use tidegate_testkit::{Gateway, Tenant};

fn promtool() -> Command {
    let program = std::env::var_os("TIDEGATE_TEST_PROMTOOL");
    Command::new(program.expect("TIDEGATE_TEST_PROMTOOL names promtool; cargo xtask test sets it"))
}

fn deployed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/deploy/prometheus")
}

fn check(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

fn said(output: &Output) -> String {
    [&*output.stdout, &*output.stderr].map(String::from_utf8_lossy).concat()
}

/// Every name, help and type is as Prometheus wants it; with a tenant, rules and refusals on the page.
#[test]
fn the_page_of_metrics_is_clean() {
    let gateway = Gateway::start();
    let tenant = Tenant::create(&gateway, "acme");
    tenant.activate(
        &gateway,
        &json!({
            "default_type": "t", "event_types": { "t": { "key": "/key" } },
            "rules": [{ "name": "named", "component": "required", "config": {
                "fields": [{ "pointer": "/name", "type": "text" }],
            } }],
        }),
    );
    for (event, status) in [(json!({ "key": "a", "name": "n" }), 202), (json!({ "key": "b" }), 400)]
    {
        assert_eq!(tenant.post(&gateway, &event).status, status);
    }
    let mut checking = promtool();
    checking.args(["check", "metrics"]);
    checking.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = checking.spawn().unwrap();
    child.stdin.take().unwrap().write_all(gateway.scrape().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(said(&output), "", "nothing to complain of");
}

#[test]
fn alert_rules_do_what_their_tests_say() {
    check(promtool().current_dir(deployed()).args(["check", "rules", "alerts.yml"]));
    check(promtool().current_dir(deployed()).args(["check", "config", "prometheus.yml"]));
    let tests = std::fs::read_dir(deployed()).unwrap().map(|entry| entry.unwrap().file_name());
    let tests: Vec<_> =
        tests.filter(|name| name.to_string_lossy().ends_with("_test.yml")).collect();
    assert!(!tests.is_empty());
    check(promtool().current_dir(deployed()).args(["test", "rules"]).args(tests));
}
