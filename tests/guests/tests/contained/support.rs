//! A plugin host, the hostile component in it, batches for it, and what honest judgements are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};
use tidegate_event::Document;
use tidegate_plugin_host::compile::CompileOptions;
use tidegate_plugin_host::host::AdmitError;
use tidegate_plugin_host::{
    Batch, Clock, HostOptions, Judgement, Limits, Plan, PlanRule, PluginHost, Row, Table, Tables,
};
use tidegate_types::revision::OnFault;
use tidegate_types::{EventId, EventType, RuleName, Severity, TableName, TenantId, UnixMillis};

/// Limits for a test: few instances, so that stores which are not given back are missed, and a
/// breaker that does not open, however often a rule faults.
pub(crate) fn limits() -> Limits {
    Limits {
        max_instances: 16,
        breaker_faults: u32::MAX,
        breaker_percent: 100,
        ..Limits::default()
    }
}

/// How to compile, with the real child (`compile`) or one that fails.
pub(crate) fn compiling(how: &str, cache: &Path) -> CompileOptions {
    CompileOptions::new(
        vec![env!("CARGO_BIN_EXE_guests-compile").into(), how.into()],
        cache.to_owned(),
    )
}

/// A host whose compiled code stays from test to test.
pub(crate) fn host(limits: Limits) -> PluginHost {
    host_by(limits, Clock::System)
}

/// The same by a clock of the test's.
pub(crate) fn host_by(limits: Limits, clock: Clock) -> PluginHost {
    let cache = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("compiled");
    let options = HostOptions { compile: compiling("compile", &cache), limits, workers: 1 };
    PluginHost::with_clock(options, clock).expect("the host starts")
}

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::new(name).expect("a tenant's name")
}

/// A table `table` with the row `k`, whose `value` has 1 MiB.
pub(crate) fn tables() -> Tables {
    let rows = [vec!["k".to_owned(), "x".repeat(1 << 20)]];
    let table = Table::new(1, vec!["key".into(), "value".into()], "key", rows).expect("a table");
    Tables::from([(TableName::new("table").expect("a table's name"), Arc::new(table))])
}

/// Admits the hostile component as rule `rule` of a tenant.
pub(crate) async fn admit(
    host: &PluginHost,
    tenant: &TenantId,
    rule: &str,
    config: &Value,
    on_fault: OnFault,
) -> Result<PlanRule, AdmitError> {
    let compiled = host
        .compile(Bytes::from_static(tidegate_guests::HOSTILE))
        .await
        .expect("the component compiles");
    let name = RuleName::new(rule).expect("a rule's name");
    host.admit(tenant, name, &compiled.component, config, on_fault, None, &tables()).await
}

/// A plan of the hostile component alone.
pub(crate) async fn plan(host: &PluginHost, config: &Value) -> Plan {
    let rule = admit(host, &tenant("acme"), "hostile", config, OnFault::Quarantine)
        .await
        .expect("the rule is admitted");
    Plan::new(vec![rule]).expect("a plan")
}

/// The events of a batch: `/id` is the place, `/poison` as it is said.
pub(crate) fn events(count: usize, poison: &[usize]) -> Vec<Value> {
    let event = |at| json!({ "id": at, "poison": poison.contains(&at), "text": format!("text {at}"), "json": [at] });
    (0..count).map(event).collect()
}

pub(crate) fn batch_of(tenant: &TenantId, events: &[Value]) -> Batch {
    let row = |(at, event): (usize, &Value)| Row {
        document: Arc::new(Document::parse(event.to_string().into_bytes()).expect("an event")),
        root: 0,
        event_id: EventId::from_parts(UnixMillis(1_700_000_000_000), 0, at as u64),
        event_type: EventType::new("thing").expect("an event type"),
        key: None,
    };
    Batch::new(tenant.clone(), "node".into(), events.iter().enumerate().map(row).collect())
}

pub(crate) async fn judge(plan: &Plan, events: &[Value]) -> Vec<Judgement> {
    plan.evaluate(batch_of(&tenant("acme"), events)).await.expect("the host has room")
}

/// Why a row could not be judged, and how much that weighs; `None` where it was.
pub(crate) fn fault(judgement: &Judgement) -> Option<(Severity, String)> {
    let fault = judgement.findings.iter().find(|finding| &*finding.code == "rule-fault")?;
    Some((fault.severity, fault.detail.to_string()))
}

/// Did the hostile component judge the row honestly, and say nothing else?
pub(crate) fn honest(judgement: &Judgement, id: usize) -> bool {
    let [finding] = judgement.findings.as_slice() else { return false };
    let details = *finding.detail == *id.to_string() && finding.pointer.as_deref() == Some("/id");
    details && &*finding.code == "seen" && finding.severity == Severity::Info
}

/// Each row in `poison` must have one finding, a fault whose reason contains `why`; each other row
/// must be judged honestly.
pub(crate) fn assert_contained(mode: &str, judgements: &[Judgement], poison: &[usize], why: &str) {
    for (at, judgement) in judgements.iter().enumerate() {
        if poison.contains(&at) {
            let (severity, detail) = fault(judgement)
                .unwrap_or_else(|| panic!("{mode}: row {at} has {:?}", judgement.findings));
            assert_eq!(
                (severity, judgement.findings.len(), judgement.patches.len()),
                (Severity::Soft, 1, 0),
                "{mode}"
            );
            assert!(
                detail.contains(why),
                "{mode}: row {at} faulted with `{detail}`, not with `{why}`"
            );
            assert!(
                detail.len() <= 512 && !detail.contains(char::is_control),
                "{mode}: {detail:?}"
            );
        } else {
            assert!(honest(judgement, at), "{mode}: row {at} has {:?}", judgement.findings);
        }
    }
}

/// Runs a mode of the hostile component over a batch with one poison row, and over one without.
pub(crate) async fn check_contained(host: &PluginHost, config: &Value, why: &str) {
    let plan = plan(host, config).await;
    let mode = config.to_string();
    assert_contained(&mode, &judge(&plan, &events(8, &[])).await, &[], why);
    assert_contained(&mode, &judge(&plan, &events(8, &[5])).await, &[5], why);
    assert_contained(&mode, &judge(&plan, &events(1, &[0])).await, &[0], why);
    assert_contained(&mode, &judge(&plan, &events(8, &[])).await, &[], why);
}
