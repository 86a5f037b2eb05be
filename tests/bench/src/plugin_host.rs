//! The plugin host alone: `required` over four fields, columns extracted from the parsed event,
//! against what serde_json takes to parse the same event.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use tidegate_event::Document;
use tidegate_plugin_host::compile::CompileOptions;
use tidegate_plugin_host::{Batch, HostOptions, Limits, Plan, PluginHost, Row as EventRow, Tables};
use tidegate_types::revision::OnFault;
use tidegate_types::{EventId, EventType, RuleName, TenantId, UnixMillis};

use crate::report::Row;

/// Events per measurement.
const EVENTS: usize = 100_000;

/// Measures batches of several sizes.
pub(crate) fn run(rounds: usize) -> anyhow::Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(measure(rounds))
}

async fn measure(rounds: usize) -> anyhow::Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let program = std::env::current_exe()?.to_string_lossy().into_owned();
    let compile =
        CompileOptions::new(vec![program, "compile".into()], folder.path().join("compiled"));
    let host = PluginHost::new(HostOptions { compile, limits: Limits::default(), workers: 1 })?;
    let plan = plan(&host).await?;
    let text = include_str!("../data/event.json").trim();
    let document = Arc::new(Document::parse(text.into())?);
    let mut rows = Vec::new();
    for size in [1, 10, 100, 1000] {
        let batch = Arc::new(batch(&document, size)?);
        let mut figures = Vec::new();
        // The first round warms up and does not count.
        for round in 0..=rounds {
            let reference = parse(text);
            let value = evaluate(&plan, &batch, size).await?;
            if round > 0 {
                figures.push((value, reference));
            }
        }
        rows.push(Row::of(
            "plugin-host",
            format!("four required fields, batches of {size}"),
            "µs/event",
            &figures,
        ));
    }
    Ok(rows)
}

async fn plan(host: &PluginHost) -> anyhow::Result<Plan> {
    let builtin = tidegate_plugins::find("required")
        .ok_or_else(|| anyhow::anyhow!("`required` is built in"))?;
    let compiled = host.compile(Bytes::from_static(builtin.component)).await?;
    let field = |pointer: &str| serde_json::json!({ "pointer": pointer, "type": "text", "non_empty": true });
    let fields = ["/actor/id", "/action/name", "/resource/type", "/resource/id"].map(field);
    let config = serde_json::json!({ "fields": fields });
    let (tenant, name) = (TenantId::new("bench")?, RuleName::new("required")?);
    let rule = host
        .admit(
            &tenant,
            name,
            &compiled.component,
            &config,
            OnFault::Quarantine,
            None,
            &Tables::new(),
        )
        .await?;
    Ok(Plan::new(vec![rule])?)
}

fn batch(document: &Arc<Document>, size: usize) -> anyhow::Result<Batch> {
    let event_type = EventType::new("audit")?;
    let row = |place: usize| EventRow {
        document: Arc::clone(document),
        root: 0,
        event_id: EventId::from_parts(UnixMillis(1_700_000_000_000), 0, place as u64),
        event_type: event_type.clone(),
        key: None,
    };
    Ok(Batch::new(TenantId::new("bench")?, "bench".into(), (0..size).map(row).collect()))
}

fn micros_per_event(started: Instant, events: usize) -> f64 {
    started.elapsed().as_secs_f64() * 1e6 / events as f64
}

fn parse(text: &str) -> f64 {
    let started = Instant::now();
    for _ in 0..EVENTS {
        let value: Result<serde_json::Value, _> =
            serde_json::from_slice(black_box(text.as_bytes()));
        drop(black_box(value));
    }
    micros_per_event(started, EVENTS)
}

async fn evaluate(plan: &Plan, batch: &Arc<Batch>, size: usize) -> anyhow::Result<f64> {
    let calls = EVENTS / size;
    let started = Instant::now();
    for _ in 0..calls {
        let judgements = plan.evaluate(black_box(Arc::clone(batch))).await?;
        anyhow::ensure!(
            judgements.iter().all(|judgement| judgement.findings.is_empty()),
            "the event is good"
        );
    }
    Ok(micros_per_event(started, calls * size))
}
