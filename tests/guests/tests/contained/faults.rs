//! What a guest does while it runs is contained: it costs the poisoned row alone, and a reason.

use std::io;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tidegate_plugin_host::Plan;
use tidegate_types::Severity;
use tidegate_types::revision::OnFault;

use crate::support::{
    admit, assert_contained, batch_of, check_contained, events, fault, honest, host, judge, limits,
    plan, tenant,
};

/// Modes, and why each is a fault.
const RUNNING: [(&str, &str); 28] = [
    ("loop", "the call used more CPU time than it may"),
    ("poll-loop", "the call used more CPU time than it may"),
    ("recursion", "call stack exhausted"),
    ("memory", "the guest wanted more memory than it may have"),
    ("panic", "unreachable"),
    ("exit", "exit"),
    ("abort", "unreachable"),
    ("transient", "come back later"),
    ("permanent", "never [31m again"),
    ("sleep", "a rule cannot wait"),
    ("sleep-shortly", "a rule cannot wait"),
    ("handles", ""),
    ("undeclared-read", "field 4 is not in the manifest's reads"),
    ("read-many", "more columns were asked for than the manifest declares"),
    ("match-undeclared", "the pattern is not in the manifest"),
    ("match-wrong-cell", "a cell type that this function does not take"),
    ("range-wrong-cell", "a cell type that this function does not take"),
    ("conform-undeclared", "the schema is not in the manifest"),
    ("table-undeclared", "table 1 is not in the manifest"),
    ("table-column-undeclared", "column 1 of table 0 is not in the manifest"),
    ("count-undeclared", "metric 1 is not in the manifest"),
    ("lookup-keys-uneven", "3 validities and 1 offsets"),
    ("lookup-bomb", "the guest wanted more memory than it may have"),
    ("row-range", "a finding is about row"),
    ("output", "its details are longer"),
    ("findings-many", "more than 64 findings"),
    ("patch-uninvited", "only an enricher may patch"),
    ("severity-range", "there is no severity 4"),
];

#[tokio::test]
async fn a_poisoned_row_costs_itself_alone() {
    let host = host(limits());
    for (mode, why) in RUNNING {
        let config = json!({ "mode": mode, "amount": 1000, "pattern": "a", "schema": "true", "table": "table" });
        check_contained(&host, &config, why).await;
    }
}

/// A component that fails whatever it gets costs all rows, and each call is bounded.
#[tokio::test]
async fn a_rule_that_always_fails_costs_all_rows() {
    let host = host(limits());
    for mode in ["loop", "panic", "memory", "transient"] {
        let plan = plan(&host, &json!({ "mode": mode, "always": true })).await;
        for judgement in judge(&plan, &events(200, &[])).await {
            assert!(fault(&judgement).is_some(), "{mode}: {:?}", judgement.findings);
        }
    }
}

/// The second call of a store fails for a time: the row is tried again alone in a fresh one.
#[tokio::test]
async fn a_transient_fault_is_tried_again() {
    let host = host(limits());
    let plan = plan(&host, &json!({ "mode": "transient-second-call" })).await;
    for _ in 0..5 {
        assert_contained("transient", &judge(&plan, &events(1, &[0])).await, &[], "");
    }
}

#[tokio::test]
async fn on_fault_decides_what_a_fault_costs() {
    let host = host(limits());
    let config = json!({ "mode": "panic" });
    for (on_fault, severity) in [
        (OnFault::Quarantine, Severity::Soft),
        (OnFault::Pass, Severity::Warn),
        (OnFault::Reject, Severity::Hard),
    ] {
        let rule =
            admit(&host, &tenant("acme"), "hostile", &config, on_fault).await.expect("admitted");
        let judgements = judge(&Plan::new(vec![rule]).expect("a plan"), &events(3, &[1])).await;
        assert_eq!(fault(&judgements[1]).map(|fault| fault.0), Some(severity));
        assert_eq!(judgements[1].worst(), Some(severity));
        assert!(honest(&judgements[0], 0) && honest(&judgements[2], 2));
    }
}

/// A fault of one rule leaves the findings of the next rule, and those of another tenant that runs
/// the same component with the same configuration at the same time, as they are.
#[tokio::test]
async fn a_fault_touches_no_other_rule_and_no_other_tenant() {
    let host = host(limits());
    let (acme, other) = (tenant("acme"), tenant("other"));
    let bad = json!({ "mode": "loop" });
    let good = json!({ "mode": "honest" });
    let first = admit(&host, &acme, "bad", &bad, OnFault::Quarantine).await.expect("admitted");
    let second = admit(&host, &acme, "good", &good, OnFault::Quarantine).await.expect("admitted");
    let theirs = admit(&host, &other, "same", &bad, OnFault::Quarantine).await.expect("admitted");
    let (ours, theirs) =
        (Plan::new(vec![first, second]).expect("a plan"), Plan::new(vec![theirs]).expect("a plan"));
    let (poisoned, clean) = (events(4, &[2]), events(4, &[]));
    let (mine, others) = tokio::join!(ours.evaluate(batch_of(&acme, &poisoned)), async {
        let mut all = Vec::new();
        for _ in 0..20 {
            all.push(theirs.evaluate(batch_of(&other, &clean)).await.expect("room"));
        }
        all
    });
    for (at, judgement) in mine.expect("room").iter().enumerate() {
        let of = |rule: &str| {
            judgement
                .findings
                .iter()
                .filter(|f| f.rule.as_str() == rule)
                .map(|f| f.code.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(of("good"), ["seen"]);
        assert_eq!(of("bad"), [if at == 2 { "rule-fault" } else { "seen" }]);
    }
    for judgements in others {
        assert_contained("another tenant", &judgements, &[], "");
    }
}

/// What a guest sees of the world is always the same, and nothing.
#[tokio::test]
async fn the_world_stands_still() {
    let mut seen = Vec::new();
    for _ in 0..2 {
        let host = host(limits());
        let plan = plan(&host, &json!({ "mode": "probe" })).await;
        for count in [1, 1, 3] {
            let judgements = judge(&plan, &events(count, &[0])).await;
            let probed = judgements[0].findings.iter().find(|finding| &*finding.code == "probed");
            seen.push(probed.expect("a finding").detail.to_string());
        }
    }
    let (time, rest) = seen[0].split_once(" random=").expect("a report");
    assert_eq!(time, "time=1577836800 elapsed=0");
    assert_eq!(
        rest.split_once(" args=").map(|it| it.1),
        Some("0 vars=0 file=false list=false input=0")
    );
    assert!(seen.iter().all(|one| *one == seen[0]), "{seen:#?}");
}

/// Collects what is logged.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no writer panics").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A flood of lines is cut and cleaned; the rows are judged all the same.
#[tokio::test]
async fn a_flood_of_lines_is_cut() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let host = host(limits());
    for mode in ["log-flood", "print-flood"] {
        let plan = plan(&host, &json!({ "mode": mode, "amount": 300 })).await;
        lines.0.lock().expect("no writer panics").clear();
        assert_contained(mode, &judge(&plan, &events(4, &[1])).await, &[], "");
        let logged =
            String::from_utf8(lines.0.lock().expect("no writer panics").clone()).expect("text");
        let count = logged.lines().filter(|line| line.contains("rule logged")).count();
        assert!((2..=33).contains(&count), "{mode}: {count} lines");
        assert!(logged.len() < 16 << 10, "{mode}: {} bytes", logged.len());
        assert!(logged.contains("dropped=") && !logged.contains('\u{1b}'), "{mode}: {logged}");
    }
}
