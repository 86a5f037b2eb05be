//! Events to measure a rule with.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tidegate_event::Document;
use tidegate_types::{EventId, TenantId, UnixMillis};

use super::golden::event_type;
use super::trial::{Configured, Work};
use crate::evaluate::Row;
use crate::guest::bindings::types::CellType;
use crate::guest::manifest::{Manifest, Source};
use crate::table::Table;

const RECEIVED_AT: UnixMillis = UnixMillis(1_577_836_800_000);

/// The same events again and again, as one batch of `count` rows.
pub(super) fn cycled(work: &Work, rule: &Configured, tenant: &TenantId, count: usize) -> Work {
    let rows = work.batch.rows.iter().cycle().take(count).cloned().collect();
    let given = work.batch.given.as_ref().map(|given| {
        // Documents are not cloned: each is read again from its text.
        let texts = given.iter().map(|columns| columns.root().lexeme().as_bytes().to_vec());
        let texts: Vec<Vec<u8>> = texts.collect();
        let again = texts.iter().cycle().take(count);
        again.map(|text| Document::parse(text.clone()).unwrap_or_default()).collect()
    });
    Work::new(tenant, rows, given, Arc::clone(&work.tables), &rule.manifest)
}

/// Events made from what the rule reads: all fields there, none of them, all null, all of another
/// type; and tables with one row.
pub(super) fn made_up(rule: &Configured, tenant: &TenantId) -> Work {
    let manifest = &rule.manifest;
    let null = |_: CellType| Value::Null;
    let kinds: [&dyn Fn(CellType) -> Value; 3] = [&fitting, &null, &other];
    let mut events: Vec<Value> = kinds.iter().map(|value| event(manifest, value)).collect();
    events.push(json!({}));
    let rows = events.iter().zip(0u64..).map(|(event, at)| Row {
        document: Arc::new(Document::parse(event.to_string().into_bytes()).unwrap_or_default()),
        root: 0,
        event_id: EventId::from_parts(RECEIVED_AT, 0, at),
        event_type: event_type(),
        key: Some(format!("key-{at}").into()),
    });
    let tables = manifest.tables.iter().map(|table| {
        let names = table.columns.iter().map(|(name, _)| name.clone());
        let columns = names.filter(|name| name != "key").chain(["key".to_owned()]);
        let columns: Vec<String> = columns.collect();
        let row = vec!["text".to_owned(); columns.len()];
        let made = Table::new(1, columns, "key", [row]);
        Arc::new(made.expect("one row fits its columns"))
    });
    let tables = tables.collect();
    Work::new(tenant, rows.collect(), None, tables, manifest)
}

fn fitting(cell: CellType) -> Value {
    match cell {
        CellType::Text => json!("text"),
        CellType::Integer => json!(42),
        CellType::Number => json!(0.5),
        CellType::Boolean => json!(true),
        CellType::Json => json!(["json", { "a": 1 }]),
    }
}

fn other(cell: CellType) -> Value {
    match cell {
        CellType::Text => json!(42),
        _ => json!("2020-01-01T00:00:00Z"),
    }
}

/// An event with a value at each place that the rule reads, where the places go together.
fn event(manifest: &Manifest, value: &dyn Fn(CellType) -> Value) -> Value {
    let mut event = Map::new();
    for field in &manifest.reads {
        if matches!(field.source, Source::Event(_)) {
            let tokens = field.text.split('/').skip(1);
            let tokens: Vec<String> =
                tokens.map(|token| token.replace("~1", "/").replace("~0", "~")).collect();
            put(&mut event, &tokens, value(field.cell));
        }
    }
    Value::Object(event)
}

fn put(object: &mut Map<String, Value>, tokens: &[String], value: Value) {
    match tokens {
        [] => {}
        [last] => {
            object.entry(last.clone()).or_insert(value);
        }
        [first, rest @ ..] => {
            let inner = object.entry(first.clone()).or_insert_with(|| json!({}));
            if let Some(inner) = inner.as_object_mut() {
                put(inner, rest, value);
            }
        }
    }
}
