//! The golden cases of the first-party rules in the real engine: what they say natively, they say
//! as components, whole, cut into single rows, and cut anywhere.

mod case;
mod versions;

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use tidegate_event::Document;
use tidegate_event::patch::{self, Op};
use tidegate_plugin_host::host::AdmitError;
use tidegate_plugin_host::{Batch, Judgement, Limits, Plan, PlanRule, PluginHost, Row};
use tidegate_plugins::Builtin;
use tidegate_types::revision::OnFault;
use tidegate_types::{EventId, EventType, RuleName, UnixMillis};

use crate::support::{host, limits, tenant};
use case::Case;

async fn admit(
    host: &PluginHost,
    name: &str,
    component: Bytes,
    case: &Case,
) -> Result<PlanRule, AdmitError> {
    let compiled = host.compile(component).await.expect("it compiles");
    let name = RuleName::new(name).expect("a rule's name");
    let config = serde_json::from_str(case.config.get()).expect("JSON");
    host.admit(
        &tenant("acme"),
        name,
        &compiled.component,
        &config,
        OnFault::Quarantine,
        None,
        &case.tables(),
    )
    .await
}

/// The time and id of a row: the id says when the event was received, so a case that gives both
/// gets an id of that time; see `case::settle_ids`.
fn row(case: &Case, at: usize) -> Row {
    let host = |column: &str| case.host_column(at, column);
    let received_at =
        host("@received_at").map(|text| UnixMillis::parse_rfc3339(text).expect("a time"));
    let id: Option<EventId> = host("@event_id").map(|text| text.parse().expect("an event id"));
    let minted =
        || EventId::from_parts(received_at.unwrap_or(UnixMillis(1_795_000_000_000)), 0, at as u64);
    Row {
        document: Arc::new(Document::parse(case.events[at].get().into()).expect("an event")),
        root: 0,
        event_id: id.unwrap_or_else(minted),
        event_type: EventType::new(host("@event_type").unwrap_or("thing")).expect("an event type"),
        key: host("@key").map(Into::into),
    }
}

/// Judges some rows of a case as one request. A request has one node.
async fn judge(plan: &Plan, case: &Case, rows: std::ops::Range<usize>) -> Vec<Judgement> {
    let mut out = Vec::new();
    let node = |at: usize| case.host_column(at, "@node").unwrap_or("node-1").to_owned();
    let mut rest = rows;
    while !rest.is_empty() {
        let same = rest.clone().take_while(|at| node(*at) == node(rest.start)).count();
        let part = rest.start..rest.start + same;
        rest.start = part.end;
        let node = node(part.start);
        let batch = Batch::new(tenant("acme"), node.into(), part.map(|at| row(case, at)).collect());
        out.extend(plan.evaluate(batch).await.expect("the host has room"));
    }
    out
}

/// Judgements in the form of a case's expectation; details that it does not ask for are left out.
fn said(judgements: &[Judgement], case: &Case) -> Value {
    let (mut findings, mut patches) = (Vec::new(), Vec::new());
    for (row, judgement) in judgements.iter().enumerate() {
        for finding in &judgement.findings {
            let asked = case
                .expected_findings()
                .get(findings.len())
                .is_none_or(|asked| asked.get("detail").is_some());
            let mut said =
                json!({ "row": row, "code": *finding.code, "severity": finding.severity });
            if let Some(pointer) = &finding.pointer {
                said["pointer"] = json!(**pointer);
            }
            if asked {
                said["detail"] = json!(*finding.detail);
            }
            findings.push(said);
        }
        for one in patch::decode(&judgement.patches) {
            let one = one.expect("patches that the host encoded");
            let mut said = json!({ "row": row, "op": "remove", "pointer": one.pointer });
            if one.op == Op::Set {
                said["op"] = json!("set");
                said["value"] = serde_json::from_slice(one.value).expect("JSON");
            }
            patches.push(said);
        }
    }
    json!({ "findings": findings, "patches": patches })
}

fn cases() -> impl Iterator<Item = (&'static Builtin, String, Case)> {
    tidegate_plugins::all().iter().flat_map(|builtin| {
        builtin.cases.iter().map(move |(name, text)| {
            (builtin, format!("{}/{name}", builtin.name), Case::parse(text))
        })
    })
}

fn check_problems(name: &str, admitted: Result<PlanRule, AdmitError>, expected: &[Value]) {
    let Err(AdmitError::Problems(problems)) = admitted else {
        panic!("{name}: the configuration was taken")
    };
    assert_eq!(problems.len(), expected.len(), "{name}: {problems:?}");
    for (problem, expected) in problems.iter().zip(expected) {
        assert_eq!(json!(problem.pointer), expected["pointer"], "{name}");
        let part = expected["message"].as_str().expect("a message");
        assert!(
            problem.detail.contains(part),
            "{name}: `{}` does not say `{part}`",
            problem.detail
        );
    }
}

#[tokio::test]
async fn every_case_is_met_in_the_engine() {
    let host = host(limits());
    let mut met = 0;
    for (builtin, name, case) in cases() {
        let component = Bytes::from_static(builtin.component);
        let admitted = admit(&host, builtin.name, component, &case).await;
        met += 1;
        if let Some(expected) = &case.expect_problems {
            check_problems(&name, admitted, expected);
            continue;
        }
        let plan = Plan::new(vec![admitted.unwrap_or_else(|error| panic!("{name}: {error:?}"))])
            .expect("a plan");
        let whole = judge(&plan, &case, 0..case.events.len()).await;
        assert_eq!(said(&whole, &case), case.expected(), "{name}");
        // The host cuts what is large into several calls, here each row.
        host.set_limits(Limits { call_input_bytes: 1, ..limits() });
        assert_eq!(
            said(&judge(&plan, &case, 0..case.events.len()).await, &case),
            case.expected(),
            "{name}, row by row"
        );
        host.set_limits(limits());
        if !case.counts_occurrences() {
            let mut alone = Vec::new();
            for at in 0..case.events.len() {
                alone.extend(judge(&plan, &case, at..at + 1).await);
            }
            assert_eq!(said(&alone, &case), case.expected(), "{name}, in requests of one");
        }
    }
    assert!(met >= 20, "only {met} cases");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// Any way to cut a request into calls, and cases into requests.
    #[test]
    fn cutting_changes_nothing(bytes in 1usize..4000, cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..4)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let host = host(Limits { call_input_bytes: bytes, ..limits() });
            for (builtin, name, case) in cases().filter(|(_, _, case)| case.expect_problems.is_none()) {
                let component = Bytes::from_static(builtin.component);
                let rule = admit(&host, builtin.name, component, &case).await.expect("admitted");
                let plan = Plan::new(vec![rule]).expect("a plan");
                let count = case.events.len();
                let mut places = vec![0, count];
                if !case.counts_occurrences() {
                    places.extend(cuts.iter().map(|cut| cut.index(count)));
                }
                places.sort_unstable();
                let mut judgements = Vec::new();
                for pair in places.windows(2) {
                    judgements.extend(judge(&plan, &case, pair[0]..pair[1]).await);
                }
                assert_eq!(said(&judgements, &case), case.expected(), "{name} cut at {places:?}");
            }
        });
    }
}
