//! What passes, and what it costs.

use bytes::Bytes;
use serde_json::{Value, json};
use tidegate_plugin_host::certify::{CertifyReport, StepName, StepState, Verdict};

use crate::support::{certify, component, host, step};

fn number(report: &CertifyReport, pointer: &str) -> u64 {
    let facts = Value::from(step(report, StepName::Costed).facts.clone());
    let found = facts.pointer(pointer).and_then(Value::as_u64);
    found.unwrap_or_else(|| panic!("no number {pointer} in {facts}"))
}

fn assert_plausible(report: &CertifyReport) {
    let fuel = |name: &str| number(report, &format!("/fuel_per_event/{name}"));
    assert!(fuel("p50") > 0 && fuel("p99") >= fuel("p50"), "{report:?}");
    assert!(fuel("batch_100") > 0 && fuel("batch_100") < fuel("batch_1"), "{report:?}");
    let time = |name: &str| number(report, &format!("/nanoseconds_per_event/{name}"));
    assert!(time("batch_100") > 0 && time("batch_100") < time("batch_1"), "{report:?}");
    assert!((1 << 16..=16 << 20).contains(&number(report, "/peak_memory_bytes")));
    assert!(number(report, "/instance_start_us") > 0);
}

/// P3: the first-party rules carry their cases, and pass every step.
#[tokio::test]
async fn the_first_party_rules_pass_all_steps() {
    let host = host();
    for builtin in tidegate_plugins::all() {
        let report = certify(&host, Bytes::from_static(builtin.component)).await;
        let name = builtin.name;
        assert_eq!(report.verdict, Verdict::Admitted, "{name}: {report:#?}");
        let states: Vec<StepState> = report.steps.iter().map(|step| step.state).collect();
        assert_eq!(states, [StepState::Passed; 6], "{name}: {report:#?}");
        let scanned = &step(&report, StepName::Scanned).facts;
        assert_eq!(scanned["bytes"], builtin.component.len(), "{name}");
        assert_eq!(scanned["golden_cases"], builtin.cases.len(), "{name}");
        assert!(scanned["functions"].as_u64() > Some(10), "{name}: {scanned:?}");
        let tested = &step(&report, StepName::SelfTested).facts;
        assert_eq!(tested["cases_passed"], builtin.cases.len(), "{name}");
        assert_eq!(step(&report, StepName::Costed).facts["workload"], "golden cases");
        assert_plausible(&report);
    }
}

/// Admins read what a rule declares before they let it judge: reads with their cells, codes, role.
#[tokio::test]
async fn the_manifest_is_shown_for_each_configuration() {
    let required = tidegate_plugins::find("required").expect("it is built in");
    let report = certify(&host(), Bytes::from_static(required.component)).await;
    let facts = &step(&report, StepName::Configured).facts;
    assert_eq!(facts["role"], "validator");
    assert_eq!(facts["tables"], 0);
    let manifests = facts["manifests"].as_array().expect("a list");
    let first = manifests.iter().find(|one| {
        let reads = one["manifest"]["reads"].as_array().expect("a list");
        reads.iter().any(|read| read["pointer"] == "/actor/id" && read["cell"] == "text")
    });
    let first = &first.unwrap_or_else(|| panic!("{facts:?}"))["manifest"];
    assert_eq!(first["name"].as_str().map(|name| name.starts_with("required")), Some(true));
    assert_eq!((&first["writes"], &first["tables"]), (&json!([]), &json!([])));
    assert!(
        first["codes"].as_array().is_some_and(|codes| codes.contains(&json!("missing"))),
        "{first}"
    );
}

/// Without cases a rule is measured over rows made from what it reads, and told how to add cases.
#[tokio::test]
async fn a_component_without_cases_is_measured_over_made_up_rows() {
    let report = certify(&host(), Bytes::from_static(tidegate_guests::HOSTILE)).await;
    assert_eq!(report.verdict, Verdict::Admitted, "{report:#?}");
    let tested = step(&report, StepName::SelfTested);
    assert_eq!(tested.state, StepState::Skipped);
    let note = tested.note.as_deref().expect("why");
    assert!(note.contains("tidegate plugin pack"), "{note}");
    let costed = step(&report, StepName::Costed);
    assert_eq!(costed.facts["workload"], "made from the declared reads");
    assert_eq!(costed.facts["events"], 4);
    assert_plausible(&report);
}

/// The code for certification does not take the place of the code that judges events.
#[tokio::test]
async fn code_that_counts_fuel_is_kept_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("compiled");
    let compile = crate::support::compiling("compile", &cache);
    let host = crate::support::host_with(compile, crate::support::limits());
    let bytes = Bytes::from_static(tidegate_guests::HOSTILE);
    assert_eq!(certify(&host, bytes.clone()).await.verdict, Verdict::Admitted);
    let files = std::fs::read_dir(&cache).expect("a folder").filter(|entry| {
        let path = entry.as_ref().expect("an entry").path();
        path.extension().is_some_and(|extension| extension == "cwasm")
    });
    assert_eq!(files.count(), 2);
    host.compile(bytes.clone()).await.expect("the code that judges events is there");
    // Nothing is compiled the second time.
    let again = certify(&host, bytes).await;
    assert_eq!(step(&again, StepName::Compiled).facts["compile_ms"], 0);
    assert_eq!(step(&again, StepName::Costed).facts["metered_compile_ms"], 0);
}

#[tokio::test]
async fn the_steps_after_a_failed_one_are_skipped() {
    let report = certify(&host(), component("(component)")).await;
    assert_eq!(report.verdict, Verdict::Failed);
    assert_eq!(report.steps.len(), StepName::ALL.len(), "the steps after it are skipped");
    assert!(report.steps[3..].iter().all(|step| step.state == StepState::Skipped));
}
