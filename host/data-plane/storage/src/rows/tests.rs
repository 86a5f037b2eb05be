//! Rows written as Parquet and read back with the parquet crate.

use std::collections::BTreeMap;
use std::io::Write;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMillisecondType};
use arrow_array::{Array, RecordBatch};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use tidegate_event::patch::{Op, Patch, encode};
use tidegate_types::{EventId, Finding, RuleName, Severity, UnixMillis};
use tidegate_wal::Stored;

use super::*;
use crate::layout::Kind;
use crate::publish::partition::{DataSet, Partition};

fn record<'a>(original: &'a str) -> Record<'a> {
    Record {
        event_id: EventId::from_parts(UnixMillis(1_357_016_400_123), 5, 6),
        status: Stored::Accepted,
        tenant: "acme",
        event_type: "flight",
        revision: Digest([3; 32]),
        key: None,
        event_time: None,
        original: original.as_bytes(),
        patches: b"",
        findings: b"",
        context: b"",
    }
}

fn layout(members: &[(&str, Kind)]) -> Arc<Layout> {
    let members = members.iter().map(|(name, kind)| ((*name).to_owned(), *kind));
    Arc::new(Layout::new(members.collect::<BTreeMap<_, _>>()))
}

fn read_back(rows: Rows) -> RecordBatch {
    let partition = Partition {
        set: DataSet::Accepted,
        tenant: "acme".into(),
        event_type: "a/b".into(),
        day: 0,
        layout: "0".repeat(16),
    };
    let count = rows.len();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&rows.into_parquet(&partition).unwrap()).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let names = reader.metadata().file_metadata().key_value_metadata().unwrap().clone();
    assert!(
        names
            .iter()
            .any(|pair| pair.key == "tidegate.type" && pair.value.as_deref() == Some("a/b"))
    );
    let mut batches = reader.with_batch_size(count.max(1)).build().unwrap();
    let batch = batches.next().unwrap().unwrap();
    assert_eq!(batch.num_rows(), count);
    batch
}

fn texts(array: &dyn Array) -> Vec<Option<&str>> {
    array.as_string::<i32>().iter().collect()
}

#[test]
fn all_columns_come_back() {
    let layout = layout(&[("dest", Kind::Text), ("delay", Kind::Number)]);
    let mut patches = Vec::new();
    for (op, pointer, value) in
        [(Op::Set, "/dest", "\"BOS\""), (Op::Set, "/new/a\"b", "[1]"), (Op::Remove, "/gone", "")]
    {
        encode(&mut patches, Patch { op, pointer, value: value.as_bytes() }).unwrap();
    }
    let finding = |pointer: Option<&str>, detail: &str| Finding {
        rule: RuleName::new("airports").unwrap(),
        code: "not-in-table".into(),
        severity: Severity::Soft,
        pointer: pointer.map(Into::into),
        detail: detail.into(),
    };
    let findings = [finding(Some("/dest"), "say \"hi\"\n"), finding(None, "")];
    let findings = serde_json::to_vec(&findings).unwrap();
    let original = r#"{"dest": "bos", "delay": 2.50, "gone": 1}"#;
    let rich = Record {
        status: Stored::Quarantined,
        event_time: Some(UnixMillis(1_357_016_400_000)),
        patches: &patches,
        findings: &findings,
        context: br#"{"occurrence":1,"node":"n\u0031"}"#,
        ..record(original)
    };
    let mut rows = Rows::new(layout);
    assert!(rows.push(Lsn(41), &rich) > original.len() + ROW_BYTES);
    rows.push(Lsn(42), &record("{}"));
    let batch = read_back(rows);

    let column = |name: &str| Arc::clone(batch.column_by_name(name).unwrap());
    let delivered = r#"{"dest":"BOS","delay":2.50,"new":{"a\"b":[1]}}"#;
    let delivered_column = column("delivered");
    let texts_found = texts(&delivered_column);
    assert_eq!(texts_found[1], Some("{}"));
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(json(texts_found[0].unwrap()), json(delivered));
    assert_eq!(column("original").as_binary::<i32>().value(0), original.as_bytes());
    let readable = r#"[{"op":"set","pointer":"/dest","value":"BOS"},{"op":"set","pointer":"/new/a\"b","value":[1]},{"op":"remove","pointer":"/gone"}]"#;
    assert_eq!(texts(&column("patches")), [Some(readable), None]);
    assert_eq!(texts(&column("event_id")), [Some(&*rich.event_id.to_string()); 2]);
    assert_eq!(texts(&column("revision")), [Some(&*rich.revision.to_string()); 2]);
    assert_eq!(texts(&column("node")), [Some("n1"), None]);
    assert_eq!(texts(&column("context")), [Some(r#"{"occurrence":1,"node":"n\u0031"}"#), None]);
    assert_eq!(column("lsn").as_primitive::<Int64Type>().values(), &[41, 42]);
    let times =
        |name| column(name).as_primitive::<TimestampMillisecondType>().iter().collect::<Vec<_>>();
    assert_eq!(times("received_at"), [Some(1_357_016_400_123); 2]);
    assert_eq!(times("event_time"), [Some(1_357_016_400_000), None]);
    assert_eq!(
        texts(column("event").as_struct().column_by_name("dest").unwrap()),
        [Some("BOS"), None]
    );

    let lists = column("findings");
    let lists = lists.as_list::<i32>();
    assert_eq!((lists.value_length(0), lists.value_length(1)), (2, 0));
    let found = lists.values().as_struct();
    for (name, expected) in [
        ("rule", [Some("airports"), Some("airports")]),
        ("code", [Some("not-in-table"), Some("not-in-table")]),
        ("severity", [Some("soft"), Some("soft")]),
        ("pointer", [Some("/dest"), None]),
        ("detail", [Some("say \"hi\"\n"), Some("")]),
    ] {
        assert_eq!(texts(found.column_by_name(name).unwrap()), expected, "{name}");
    }
}

#[test]
fn values_that_do_not_fit_their_column_are_null() {
    let kinds =
        [("b", Kind::Boolean), ("i", Kind::Integer), ("n", Kind::Number), ("t", Kind::Text)];
    // The value of all four members, and which of boolean, integer, number and text take it.
    let cases = [
        ("true", Some(true), None, None, None),
        ("null", None, None, None, None),
        ("0", None, Some(0), Some(0.0), None),
        ("-9223372036854775808", None, Some(i64::MIN), Some(-9.223_372_036_854_776e18), None),
        ("9223372036854775808", None, None, Some(9.223_372_036_854_776e18), None),
        ("1e3", None, Some(1000), Some(1000.0), None),
        ("2.50", None, None, Some(2.5), None),
        ("1e999", None, None, None, None),
        (r#""1""#, None, None, None, Some("1")),
        (r#""""#, None, None, None, Some("")),
        (r#""nan""#, None, None, None, Some("nan")),
        (r#""tr\u00fce\n\ud834\udd1e""#, None, None, None, Some("trüe\n𝄞")),
        (r#""\ud834""#, None, None, None, None),
        ("[1]", None, None, None, None),
        (r#"{"b": true}"#, None, None, None, None),
    ];
    let mut rows = Rows::new(layout(&kinds));
    for (at, (value, ..)) in cases.iter().enumerate() {
        let event = format!(
            r#"{{"other": [1e999, {{}}], "b": {value}, "\u0069": {value}, "n":{value} ,"t":{value}}}"#
        );
        rows.push(Lsn(at as u64), &record(&event));
    }
    let batch = read_back(rows);
    let event = batch.column_by_name("event").unwrap().as_struct();
    let column = |name| event.column_by_name(name).unwrap();
    for (at, (value, boolean, integer, number, text)) in cases.into_iter().enumerate() {
        let found = column("b").as_boolean();
        assert_eq!(found.is_valid(at).then(|| found.value(at)), boolean, "boolean {value}");
        let found = column("i").as_primitive::<Int64Type>();
        assert_eq!(found.is_valid(at).then(|| found.value(at)), integer, "integer {value}");
        let found = column("n").as_primitive::<Float64Type>();
        assert_eq!(found.is_valid(at).then(|| found.value(at)), number, "number {value}");
        assert_eq!(texts(column("t"))[at], text, "text {value}");
    }
}

#[test]
fn events_that_are_no_objects_have_no_fields() {
    let mut rows = Rows::new(layout(&[("a", Kind::Integer)]));
    let events = ["[1]", "3", "\"a\"", "null", "{\"b\":1}", "{\"a\":1}"];
    for (at, event) in events.iter().enumerate() {
        rows.push(Lsn(at as u64), &record(event));
    }
    let batch = read_back(rows);
    let fields = batch.column_by_name("event").unwrap().as_struct().column(0);
    let fields: Vec<_> = fields.as_primitive::<Int64Type>().iter().collect();
    assert_eq!(fields, [None, None, None, None, None, Some(1)]);
    assert_eq!(texts(batch.column_by_name("delivered").unwrap()), events.map(Some));
}

#[test]
fn a_layout_without_fields_has_no_event_column() {
    let mut rows = Rows::new(Arc::default());
    rows.push(Lsn(0), &record("{}"));
    let batch = read_back(rows);
    assert!(batch.column_by_name("event").is_none());
    assert_eq!(batch.num_columns(), 11);
}

#[test]
fn unreadable_parts_cost_only_themselves() {
    let mut rows = Rows::new(layout(&[("a", Kind::Integer)]));
    let broken = Record {
        original: b"{\"a\":1,\"b\":\"\xff\"}",
        patches: b"\x07nonsense",
        findings: b"[{\"rule\":",
        context: b"\xff",
        ..record("")
    };
    rows.push(Lsn(0), &broken);
    rows.push(Lsn(1), &Record { patches: b"", ..broken });
    rows.push(Lsn(2), &record("{\"a\":1}"));
    let batch = read_back(rows);
    let column = |name: &str| batch.column_by_name(name).unwrap();
    assert_eq!(texts(column("delivered")), [None, None, Some("{\"a\":1}")]);
    assert_eq!(texts(column("patches")), [None; 3]);
    assert_eq!(texts(column("context")), [None; 3]);
    assert_eq!(column("original").as_binary::<i32>().value(0), broken.original);
    assert_eq!(column("findings").as_list::<i32>().value_length(0), 0);
}
