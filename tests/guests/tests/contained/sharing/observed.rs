//! What rules cost and say is counted, and their log lines reach those who follow them.

use std::time::Duration;

use serde_json::{Value, json};
use tidegate_plugin_host::host::logs::{Followed, Level, LogFilter};
use tidegate_plugin_host::host::observe::RuleObservation;
use tidegate_plugin_host::{Clock, Limits, PluginHost, TenantLimits};
use tidegate_telemetry::{Format, Page};

use crate::support::{events, host_by, judge, limits, plan, tenant};

fn observed(host: &PluginHost) -> RuleObservation {
    let mut all = host.observe();
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn usual() -> PluginHost {
    host_by(limits(), Clock::System)
}

/// Calls, events, findings and instances, of calls that go well and of one that faults.
#[tokio::test]
async fn calls_events_findings_and_faults_are_counted() {
    let host = usual();
    let plan = plan(&host, &json!({ "mode": "panic" })).await;
    for _ in 0..3 {
        judge(&plan, &events(10, &[])).await;
    }
    let it = observed(&host);
    assert_eq!((it.tenant.as_str(), it.rule.as_str()), ("acme", "hostile"));
    assert_eq!(it.plugin, "hostile/1");
    let it = it.totals;
    assert_eq!((it.calls, it.rows, it.starts, it.warm_instances), (3, 30, 0, 1));
    assert_eq!((it.findings["info"], it.codes["seen"], it.codes["probed"]), (30, 30, 0));
    assert!(it.faults.values().all(|count| *count == 0), "{it:?}");
    assert_eq!((it.queue_wait.counts[0], it.queue_wait.counts.iter().sum::<u64>()), (3, 3));
    assert!((64 << 10..16 << 20).contains(&it.memory_peak_bytes), "{}", it.memory_peak_bytes);
    judge(&plan, &events(1, &[0])).await;
    judge(&plan, &events(1, &[])).await;
    let it = observed(&host).totals;
    assert_eq!((it.faults["trap"], it.starts), (1, 1), "a fresh instance took the next call");
    assert_eq!((it.findings["soft"], it.codes["rule-fault"]), (1, 1));
    assert_eq!((it.calls, it.breakers_open), (5, 0));
}

/// Each kind of fault under its own name.
#[tokio::test]
async fn faults_are_told_apart() {
    for (mode, kind) in [
        ("panic", "trap"),
        ("loop", "timeout"),
        ("memory", "memory"),
        ("row-short", "bad-answer"),
        ("permanent", "refused"),
    ] {
        let host = usual();
        let plan = plan(&host, &json!({ "mode": mode })).await;
        judge(&plan, &events(1, &[0])).await;
        let faults = observed(&host).totals.faults;
        for (name, count) in &faults {
            assert_eq!(**name == *kind, *count > 0, "{mode}: {faults:?}");
        }
    }
}

/// CPU time of a long call is measured, and nothing is lost of it.
#[tokio::test]
async fn cpu_time_is_measured() {
    let host = host_by(Limits { call_budget: Duration::from_secs(10), ..limits() }, Clock::System);
    let plan = plan(&host, &json!({ "mode": "burn", "amount": 50_000_000 })).await;
    judge(&plan, &events(1, &[0])).await;
    let cpu = observed(&host).totals.cpu;
    assert!((0.005..10.0).contains(&cpu.seconds), "{cpu:?}");
    assert_eq!(cpu.counts.iter().sum::<u64>(), 1);
}

#[tokio::test]
async fn an_open_breaker_is_seen() {
    let host = host_by(Limits { breaker_faults: 1, ..limits() }, Clock::manual());
    let plan = plan(&host, &json!({ "mode": "panic" })).await;
    judge(&plan, &events(1, &[0])).await;
    judge(&plan, &events(7, &[])).await;
    let it = observed(&host).totals;
    assert_eq!((it.breakers_open, it.refused_rows, it.codes["rule-fault"]), (1, 7, 8));
    let text = Page::of(|page| host.report(1000, page)).text(Format::Prometheus);
    let line = text.lines().find(|line| line.starts_with("tidegate_plugin_breakers_open{"));
    assert!(line.is_some_and(|line| line.ends_with(" 1")), "{text}");
}

fn flood(lines: u64) -> Value {
    json!({ "mode": "log-flood", "amount": lines })
}

/// A line that is logged is kept for those who ask later, and comes to those who follow; what the
/// rule counted is its own metric.
#[tokio::test]
async fn lines_and_counters_come_out() {
    let host = usual();
    let plan = plan(&host, &flood(2)).await;
    let acme = tenant("acme");
    let errors = LogFilter { level: Level::Error, ..LogFilter::default() };
    let (none, mut follower) = host.logs(&acme, errors.clone());
    assert_eq!(none, []);
    judge(&plan, &events(1, &[0])).await;
    let (kept, _) = host.logs(&acme, errors);
    assert_eq!(kept.len(), 2);
    for line in &kept {
        assert_eq!(
            (line.level, line.rule.as_str(), line.text.len()),
            (Level::Error, "hostile", 1024)
        );
        assert_eq!(follower.next().await, Some(Followed::Line(line.clone())));
    }
    let (theirs, _) = host.logs(&tenant("other"), LogFilter::default());
    assert_eq!(theirs, [], "a tenant sees its own lines alone");
    let it = observed(&host).totals;
    assert_eq!((it.log_lines, it.log_lines_dropped), (2, 0));
    assert_eq!(it.counters["calls"], u64::MAX);
}

/// A flood is cut per call and per tenant, and told; a follower that is too slow is told what it
/// missed.
#[tokio::test]
async fn a_flood_of_lines_is_bounded() {
    let clock = Clock::manual();
    let host = host_by(
        Limits { log_lines_per_call: 100, log_bytes_per_call: 1 << 20, ..limits() },
        clock.clone(),
    );
    let plan = plan(&host, &flood(150)).await;
    let acme = tenant("acme");
    let ten = TenantLimits { log_lines: Some(30), ..TenantLimits::default() };
    host.set_tenant_limits(&acme, ten);
    clock.advance(Duration::from_secs(60));
    let (_, mut follower) = host.logs(&acme, LogFilter::default());
    for _ in 0..4 {
        judge(&plan, &events(1, &[0])).await;
    }
    // Ten seconds' worth were saved up, and one line more is taken where there is any.
    let it = observed(&host).totals;
    assert_eq!(it.log_lines + it.log_lines_dropped, 600);
    assert!((300..=301).contains(&it.log_lines), "{}", it.log_lines);
    let (kept, _) = host.logs(&acme, LogFilter::default());
    assert_eq!(kept.len(), 256);
    assert_eq!(follower.next().await, Some(Followed::Lost(it.log_lines - 256)));
    assert!(matches!(follower.next().await, Some(Followed::Line(_))));
    clock.advance(Duration::from_secs(1));
    judge(&plan, &events(1, &[0])).await;
    let more = observed(&host).totals.log_lines - it.log_lines;
    assert!((29..=31).contains(&more), "{more}");
}
