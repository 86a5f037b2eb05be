//! A verdict depends on its event alone: in batches of 1, 7, 100 and 1000, in calls that the host
//! has split, and by instances that are replaced all the time, the same events get the same
//! verdicts, findings and patches. An event that makes a rule fail costs its neighbours nothing.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test: a panic is its failure, and its output is read by people"
)]

use std::collections::BTreeMap;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Map, Value, json};
use tidegate_crash::{answers, log, seed, stored};
use tidegate_testkit::{Gateway, Tenant};
use tidegate_types::{Finding, Status};

const EVENTS: usize = 1000;

fn revision() -> Value {
    json!({
        "type_pointer": "/kind",
        "default_type": "plain",
        "event_types": {
            "plain": { "schema": "plain", "key": "/id", "time": "/at" },
            "special": { "key": "/id" }
        },
        "tables": { "places": "latest" },
        "rules": [
            { "name": "present", "component": "required", "config": { "fields": [
                { "pointer": "/place", "type": "text", "non_empty": true, "severity": "soft" },
                { "pointer": "/deep/list/1", "type": "any", "severity": "warn" },
                { "pointer": "/mail", "type": "text", "format": "email", "nullable": true }] } },
            { "name": "only-special", "component": "required", "event_types": ["special"], "config": { "fields": [
                { "pointer": "/amount", "type": "integer", "severity": "warn" }] } },
            { "name": "quality", "component": "expectations", "config": { "expectations": [
                { "name": "place-known", "field": "/place", "expect": { "in_table": "places" }, "nulls": "fail" },
                { "name": "amount-range", "field": "/amount", "expect": { "range": { "min": -5, "max": 1e6 } }, "severity": "warn" },
                { "name": "colour-set", "field": "/colour", "expect": { "set": ["red", "grün"] }, "severity": "info" },
                { "name": "text-pattern", "field": "/text", "expect": { "pattern": "^[a-zé]+$" } },
                { "name": "text-length", "field": "/text", "expect": { "length": { "max": 12 } }, "severity": "hard_fail" },
                { "name": "type", "field": "@event_type", "expect": { "set": ["plain"] }, "severity": "info" }] } },
            { "name": "tidy", "component": "normalize", "config": { "steps": [
                { "set": "/text", "trim": "/text" },
                { "set": "/upper", "upper": "/place", "fallback": "@key" },
                { "set": "/day", "date": "/at" },
                { "set": "/deep/copy", "copy": "/deep/list" },
                { "set": "/colour", "default": "none" }] } }
        ]
    })
}

fn tenant(gateway: &Gateway, id: &str) -> Tenant {
    let tenant = Tenant::create(gateway, id);
    tenant.table(gateway, "places", "name,country\nJFK,US\nzürich,CH\n\"a,b\",XX\n");
    tenant.schema(gateway, "plain", &json!({
        "type": "object",
        "required": ["id"],
        "properties": { "id": { "type": "string" }, "amount": { "type": ["number", "string", "null"], "maximum": 1e12 }, "place": { "type": ["string", "null"] } }
    }));
    tenant
}

/// The revision with one more rule, which panics over a batch that has a poisoned event.
fn with_hostile_rule(mut revision: Value) -> Value {
    let rule = json!({ "name": "hostile", "component": "hostile", "config": { "mode": "panic" } });
    revision["rules"].as_array_mut().expect("rules").push(rule);
    revision
}

/// An event in which every field may be missing, null, of another type, or odd.
fn event(number: usize, random: &mut StdRng) -> Value {
    let choices: [(&str, Vec<Value>); 8] = [
        ("kind", vec![json!("plain"), json!("special"), json!("unknown"), json!(7)]),
        (
            "place",
            vec![
                json!("JFK"),
                json!("zürich"),
                json!("a,b"),
                json!(""),
                json!("nowhere"),
                json!(3),
                Value::Null,
            ],
        ),
        (
            "amount",
            vec![
                json!(1),
                json!(-6),
                json!(2.0),
                json!(1e300),
                json!(i64::MAX),
                json!("1"),
                Value::Null,
            ],
        ),
        ("colour", vec![json!("red"), json!("grün"), json!("blue"), json!(false)]),
        (
            "text",
            vec![
                json!("abc"),
                json!("é"),
                json!(" padded "),
                json!("far too long for this"),
                json!("\u{1F600}\n"),
                json!([]),
            ],
        ),
        ("mail", vec![json!("a@b.example"), json!("no mail"), Value::Null]),
        (
            "at",
            vec![json!("2026-02-03T23:30:00-05:00"), json!("2026-02-03"), json!("soon"), json!(0)],
        ),
        (
            "deep",
            vec![
                json!({ "list": [1, { "x": [null] }] }),
                json!({ "list": [] }),
                json!({ "list": 5 }),
                json!([]),
                json!("flat"),
            ],
        ),
    ];
    let mut members = Map::new();
    members.insert("id".into(), format!("event-{number}").into());
    for (name, values) in choices {
        // Mostly the good value, or there would be hardly any good event.
        match random.random_range(0..10) {
            0 => {}
            1..3 => {
                drop(members.insert(name.into(), values.choose(random).expect("values").clone()))
            }
            _ => drop(members.insert(name.into(), values[0].clone())),
        }
    }
    members.into()
}

/// All that is said of an event, but for its id and the time of its receipt.
#[derive(Debug, PartialEq)]
struct Verdict {
    status: Status,
    findings: Vec<Finding>,
    /// Of stored events: delivered form and patches.
    stored: Option<(String, Option<String>)>,
}

/// Posts the events in batches of one size; batches of a hundred as lines.
fn post(
    gateway: &Gateway,
    tenant: &Tenant,
    events: &[Value],
    size: usize,
) -> BTreeMap<String, Verdict> {
    let mut connection = gateway.connect();
    let mut verdicts = BTreeMap::new();
    for batch in events.chunks(size) {
        let response = match batch {
            [event] => connection.request(
                "POST",
                "/v1/events",
                &tenant.headers(),
                event.to_string().as_bytes(),
            ),
            batch if size == 100 => {
                let lines: Vec<_> = batch.iter().map(Value::to_string).collect();
                let headers =
                    [("x-api-key", tenant.key.as_str()), ("content-type", "application/x-ndjson")];
                connection.request(
                    "POST",
                    "/v1/events/batch",
                    &headers,
                    lines.join("\n").as_bytes(),
                )
            }
            batch => tenant.post_batch_on(&mut connection, batch),
        };
        let receipts = answers::receipts(&response.expect("an answer"), batch.len())
            .expect("the gateway has room");
        for (event, receipt) in batch.iter().zip(receipts) {
            let key = event["id"].as_str().expect("a key").to_owned();
            verdicts.insert(
                key,
                Verdict { status: receipt.status, findings: receipt.findings, stored: None },
            );
        }
    }
    verdicts
}

/// Adds what is stored to the verdicts of each tenant.
fn add_stored(gateway: &Gateway, tenants: &mut Verdicts) {
    for event in stored::read(gateway.folder()) {
        let verdicts = tenants.get_mut(&event.tenant).expect("a tenant of this test");
        let verdict = verdicts.get_mut(&event.key()).expect("what was posted");
        assert_eq!(
            (verdict.status, &verdict.findings),
            (event.status(), &event.findings),
            "{}",
            event.key()
        );
        let key = event.key();
        let before = verdict.stored.replace((event.delivered_text, event.patches));
        assert!(before.is_none(), "{} is stored twice", key);
    }
}

type Verdicts = BTreeMap<String, BTreeMap<String, Verdict>>;

/// Verdicts by tenant; each tenant's batches have their own size.
fn run(settings: &[(&str, &str)], revision: &Value, events: &[Value]) -> Verdicts {
    let mut gateway = Gateway::start_with(settings);
    let mut verdicts = Verdicts::new();
    for size in [1, 7, 100, 1000] {
        let tenant = tenant(&gateway, &format!("by-{size}"));
        let uploaded = tenant.upload_settled(&gateway, "hostile", tidegate_guests::HOSTILE);
        assert_eq!(uploaded["state"], "admitted", "{uploaded}");
        tenant.activate(&gateway, revision);
        let told = post(&gateway, &tenant, events, size);
        verdicts.insert(tenant.id, told);
    }
    assert!(gateway.terminate(), "{}", gateway.log());
    add_stored(&gateway, &mut verdicts);
    log::assert_quiet(&gateway.log(), &[]);
    verdicts
}

/// Fails where a tenant's verdicts differ from those of single events; answers the latter.
fn same<'a>(
    all: impl Iterator<Item = (&'a String, &'a BTreeMap<String, Verdict>)>,
) -> &'a BTreeMap<String, Verdict> {
    let all: Vec<_> = all.collect();
    let (_, alone) = all.iter().find(|(size, _)| *size == "by-1").expect("single events");
    for (size, verdicts) in &all {
        assert_eq!(verdicts.len(), EVENTS);
        for (key, verdict) in *verdicts {
            assert_eq!(Some(verdict), alone.get(key), "{key} in {size}");
        }
    }
    alone
}

#[test]
fn the_same_events_get_the_same_verdicts() {
    let mut random = StdRng::seed_from_u64(seed());
    let events: Vec<Value> = (0..EVENTS).map(|number| event(number, &mut random)).collect();
    let roomy = run(&[], &revision(), &events);
    // Calls of a few events, each instance replaced after two of them.
    let narrow = [
        ("INGRESS__MAX_EVENT_BYTES", "1KiB"),
        ("PLUGINS__CALL_INPUT_BYTES", "1KiB"),
        ("PLUGINS__RETIRE_AFTER_CALLS", "2"),
    ];
    let narrow = run(&narrow, &revision(), &events);
    let alone = same(roomy.iter().chain(&narrow));
    for status in [Status::Accepted, Status::Quarantined, Status::Rejected] {
        let count = alone.values().filter(|verdict| verdict.status == status).count();
        assert!(count > EVENTS / 50, "the events are varied: {count} {status:?}");
    }
    let is_stored =
        |verdict: &&Verdict| (verdict.status == Status::Rejected) == verdict.stored.is_none();
    assert_eq!(alone.values().filter(is_stored).count(), EVENTS, "all but the rejected are stored");
}

#[test]
fn one_poisoned_event_is_found_in_a_batch_of_any_size() {
    let mut random = StdRng::seed_from_u64(seed());
    let mut events: Vec<Value> = (0..EVENTS).map(|number| event(number, &mut random)).collect();
    let place = random.random_range(0..EVENTS);
    events[place] =
        json!({ "id": format!("event-{place}"), "place": "JFK", "mail": null, "poison": true });
    let verdicts = run(&[], &with_hostile_rule(revision()), &events);
    let alone = same(verdicts.iter());
    for (key, verdict) in alone {
        let faults =
            verdict.findings.iter().filter(|finding| &*finding.code == "rule-fault").count();
        let poisoned = *key == format!("event-{place}");
        assert_eq!(faults, usize::from(poisoned), "{key}: {verdict:?}");
        assert!(!poisoned || verdict.status == Status::Quarantined, "{verdict:?}");
    }
}
