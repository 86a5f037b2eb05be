//! B6: whoever reads the topic learns of each published file, and of each range of the log once for
//! each tenant and type in it.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tidegate_sink_tests::{Record, read_topic, wait_until};
use tidegate_testkit::{Gateway, Kafka, Tenant};

const TOPIC: &str = "new-data";
/// As the module that tells calls itself: sinks may have any name.
const SINK: &str = "notices";

fn gateway(bootstrap: &str) -> Gateway {
    let sinks = format!(r#"[{{name="{SINK}",topic="{TOPIC}",bootstrap="{bootstrap}"}}]"#);
    Gateway::start_with(&[
        ("SINKS__KAFKA", &sinks),
        ("STORAGE__NOTIFY", SINK),
        ("STORAGE__FLUSH_AFTER", "50ms"),
        ("NODE__NAME", "n1"),
    ])
}

fn tenant(gateway: &Gateway, name: &str) -> Tenant {
    let tenant = Tenant::create(gateway, name);
    let rules = json!([{ "name": "named", "component": "required", "config": { "fields": [
        { "pointer": "/name", "type": "text", "severity": "soft" },
    ] } }]);
    tenant.activate(
        gateway,
        &json!({
            "type_pointer": "/type", "rules": rules,
            "event_types": { "order": { "key": "/key" }, "visit": { "key": "/key" } },
        }),
    );
    tenant
}

fn post(gateway: &Gateway, tenant: &Tenant, run: usize) {
    for (number, kind) in ["order", "visit", "visit"].into_iter().enumerate() {
        let mut event = json!({ "type": kind, "key": format!("{run}-{number}"), "name": "n" });
        if number == 2 {
            event["name"] = Value::Null;
        }
        let answer = tenant.post(gateway, &event);
        assert_eq!(answer.status, 202, "{}", answer.text());
    }
}

/// Notices by their ids; one that is there twice says the same.
fn notices(bootstrap: &str) -> BTreeMap<String, Value> {
    let mut found: BTreeMap<String, Value> = BTreeMap::new();
    for Record { headers, value, key, .. } in read_topic(bootstrap, TOPIC) {
        let notice: Value = serde_json::from_slice(&value).unwrap();
        assert_eq!(headers["content-type"], "application/cloudevents+json; charset=UTF-8");
        assert_eq!(notice["type"], "tidegate.data.published");
        assert_eq!(key, notice["data"]["tenant"].as_str().unwrap());
        let id = notice["id"].as_str().unwrap().to_owned();
        let first = found.entry(id).or_insert_with(|| notice["data"].clone());
        assert_eq!(*first, notice["data"]);
    }
    found
}

/// The ranges of all publications follow each other from the beginning; answers the position after them.
fn end_of(notices: &BTreeMap<String, Value>) -> u64 {
    let number = |data: &Value, name: &str| data[name].as_u64().unwrap();
    let ranges: BTreeMap<u64, (u64, u64)> = notices
        .values()
        .map(|data| {
            let range = (number(data, "first_lsn"), number(data, "last_lsn"));
            (number(data, "sequence"), range)
        })
        .collect();
    let mut end = 0;
    for (expected, (sequence, (first, last))) in (1..).zip(ranges) {
        assert_eq!((sequence, first), (expected, end));
        end = last + 1;
    }
    end
}

#[test]
fn each_published_file_is_told_also_of_what_a_dead_broker_and_a_killed_gateway_missed() {
    let broker = Kafka::start();
    let mut gateway = gateway(&broker.bootstrap());
    let tenants = ["acme", "beta"].map(|name| tenant(&gateway, name));
    for run in 0..5 {
        tenants.iter().for_each(|tenant| post(&gateway, tenant, run));
        gateway.wait_published();
    }
    let durable = |gateway: &Gateway| gateway.status()["wal"]["durable_lsn"].as_u64().unwrap();
    wait_until("all is told", || end_of(&notices(&broker.bootstrap())) == durable(&gateway));
    // Nobody hears of these until the broker is there again, and events are taken all the same.
    broker.kill();
    for run in 5..8 {
        tenants.iter().for_each(|tenant| post(&gateway, tenant, run));
        gateway.wait_published();
    }
    gateway.kill();
    gateway.restart();
    broker.restart();
    tenants.iter().for_each(|tenant| post(&gateway, tenant, 8));
    gateway.wait_published();
    wait_until("all is told", || end_of(&notices(&broker.bootstrap())) == durable(&gateway));
    let mut rows: BTreeMap<(String, String, String), u64> = BTreeMap::new();
    for data in notices(&broker.bootstrap()).values() {
        let text = |name: &str| data[name].as_str().unwrap().to_owned();
        let path = std::path::Path::new(&text("storage")).join(text("path"));
        assert!(path.is_file(), "{}", path.display());
        let key = (text("tenant"), text("endpoint"), text("kind"));
        *rows.entry(key).or_default() += data["rows"].as_u64().unwrap();
    }
    let of = |tenant: &str, endpoint: &str, kind: &str| {
        rows.get(&(tenant.to_owned(), endpoint.to_owned(), kind.to_owned())).copied()
    };
    for tenant in ["acme", "beta"] {
        assert_eq!(of(tenant, "order", "accepted"), Some(9));
        assert_eq!(of(tenant, "visit", "accepted"), Some(9));
        assert_eq!(of(tenant, "visit", "quarantined"), Some(9));
    }
}

#[test]
fn a_sink_that_is_not_there_is_told_at_the_start() {
    let said = Gateway::start_refused(&[("STORAGE__NOTIFY", "news")]);
    assert!(said.contains("storage.notify: there is no sink `news`"), "{said}");
}
