//! Golden cases that are not met: the report tells the event, what was expected, and what came.

use serde_json::{Value, json};
use tidegate_plugin_host::certify::{Problem, StepName, Verdict};

use crate::support::{certify, host, packed};

/// The problems of a case of the built-in rule `normalize`.
async fn problems(rule: &str, case: &str) -> Vec<Problem> {
    let builtin = tidegate_plugins::find(rule).expect("it is built in");
    let report = certify(&host(), packed(builtin.component, &[("case.json", case.into())])).await;
    assert_eq!(report.verdict, Verdict::Failed, "{report:#?}");
    let failed = report.failed_step().expect("a step failed");
    assert_eq!(failed.step, StepName::SelfTested, "{failed:#?}");
    failed.problems.clone()
}

const CONFIG: &str = r#"{"steps": [{"set": "/b", "lower": "/a"}]}"#;

#[tokio::test]
async fn another_patch_than_expected() {
    let case = format!(
        r#"{{"config": {CONFIG},
"events": [
  {{"a": "X"}},
  {{"a": "Y"}}
],
"expect": {{"patches": [
  {{"row": 0, "op": "set", "pointer": "/b", "value": "x"}},
  {{"row": 1, "op": "set", "pointer": "/b", "value": "Y"}}
]}}}}"#
    );
    let told = problems("normalize", &case).await;
    assert_eq!(told.len(), 1, "{told:#?}");
    let patch = |value: &str| {
        let patch = json!({ "row": 1, "op": "set", "pointer": "/b", "value": value });
        Some(json!({ "findings": [], "patches": [patch] }))
    };
    assert_eq!((&told[0].expected, &told[0].got), (&patch("Y"), &patch("y")));
    let place = json!({ "case": "case.json", "line": 4, "event": 1 });
    assert_eq!(json!(told[0].place), place);
    assert!(told[0].detail.contains("something else"), "{told:#?}");
}

#[tokio::test]
async fn findings_that_are_missing_or_too_many() {
    let config = r#"{"fields": [{"pointer": "/a", "type": "integer"}]}"#;
    let case = |expect: &str| {
        format!(r#"{{"config": {config}, "events": [{{"a": 1}}, {{}}], "expect": {expect}}}"#)
    };
    // Says nothing of the event without the field.
    let told = problems("required", &case("{}")).await;
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!(told[0].expected, Some(json!({ "findings": [], "patches": [] })));
    let got = told[0].got.as_ref().expect("a finding");
    assert_eq!(got["findings"][0]["pointer"], "/a", "{got}");
    // Expects one of an event that is right, and one of an event that is not there.
    let finding = |row: usize| json!({ "row": row, "code": "x", "severity": "warn" });
    let expect = json!({ "findings": [finding(0), finding(7)] });
    let told = problems("required", &case(&expect.to_string())).await;
    let events: Vec<Option<usize>> = told.iter().map(|it| it.place.event).collect();
    assert_eq!(events, [Some(0), Some(1), Some(7)]);
    assert_eq!(told[0].got, Some(json!({ "findings": [], "patches": [] })));
    assert!(told[2].detail.contains("has 2"), "{told:#?}");
}

/// Long answers are cut: a report is read by people.
#[tokio::test]
async fn a_report_stays_small() {
    let events: Vec<Value> = (0..200).map(|_| json!({})).collect();
    let fields: Vec<Value> = (0..30).map(|at| json!({ "pointer": format!("/f{at}") })).collect();
    let case = json!({ "config": { "fields": fields }, "events": events, "expect": {} });
    let builtin = tidegate_plugins::find("required").expect("it is built in");
    let bytes = packed(builtin.component, &[("case.json", case.to_string())]);
    let report = certify(&host(), bytes).await;
    let failed = report.failed_step().expect("a step failed");
    assert_eq!((failed.problems.len(), failed.problems_left_off), (32, 168));
    assert_eq!(failed.problems[0].got.as_ref().expect("findings")["left_off"], 22);
    assert!(serde_json::to_string(&report).expect("plain data").len() < 200_000);
}
