//! Two nodes of one name on one catalog: the second one is refused, a node that is started again is not.

use std::collections::HashSet;

use rustix::process::Signal;
use serde_json::{Value, json};
use tidegate_testkit::postgres::shared;
use tidegate_testkit::{Gateway, Tenant};

use crate::{all_answer, node_with, signal, wait_until};

const LOST_AFTER: &str = "2s";

fn settings(url: &str) -> [(&str, &str); 4] {
    [
        ("CATALOG__URL", url),
        ("NODE__NAME", "twin"),
        ("CATALOG__NODE_LOST_AFTER", LOST_AFTER),
        ("CATALOG__POLL_INTERVAL", "1h"),
    ]
}

fn nodes(node: &Gateway) -> Vec<Value> {
    let answer = node.admin("GET", "/v1/nodes", "application/json", b"").json();
    answer["nodes"].as_array().unwrap().clone()
}

/// Does the error say which name, where the other one lives, and what to do?
fn assert_refused(url: &str, by: &Gateway) {
    let said = Gateway::start_refused(&settings(url));
    let (folder, address) = (by.folder().canonicalize().unwrap(), by.ingress.clone());
    for part in ["`twin`", folder.to_str().unwrap(), &address, "node.name", "TIDEGATE_NODE__NAME"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains(shared().password()), "{said}");
}

#[test]
fn a_second_node_of_one_name_is_refused_and_a_restart_is_not() {
    let url = shared().create_database();
    let mut first = Gateway::start_with(&settings(&url));
    let acme = Tenant::create(&first, "acme");
    acme.activate(&first, &json!({ "default_type": "e", "event_types": { "e": {} } }));
    assert_refused(&url, &first);
    // It has not touched what the first one has.
    let seen = nodes(&first);
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert!(seen[0]["place"].as_str().unwrap().contains(&first.ingress), "{seen:?}");
    assert_eq!(acme.post(&first, &json!({ "n": 1 })).status, 202);

    // Killed and started at once it is the same node, however often.
    for _ in 0..3 {
        first.kill();
        first.restart();
    }
    assert_eq!(acme.post(&first, &json!({ "n": 1 })).status, 202);
    // The name stays its own for as long as it may come back.
    first.kill();
    assert_refused(&url, &first);
    first.restart();

    // A node that is stopped gives its name back at once.
    assert!(first.terminate(), "{}", first.log());
    let mut second = Gateway::start_with(&settings(&url));
    let said = first.try_restart();
    assert!(said.contains("`twin`") && said.contains(&second.ingress), "{said}");
    all_answer(&[&second], &acme, 202);
    assert!(second.terminate(), "{}", second.log());
    first.restart();
    assert_eq!(acme.post(&first, &json!({ "n": 1 })).status, 202);
}

/// A node that stood still for so long that another took its name goes on with its events, and no
/// longer speaks under the name.
#[test]
fn a_node_that_was_replaced_meanwhile_is_not_reported() {
    let url = shared().create_database();
    let first = Gateway::start_with(&settings(&url));
    let acme = Tenant::create(&first, "acme");
    let takes = json!({ "default_type": "e", "event_types": { "e": {} } });
    acme.activate(&first, &takes);
    let observer = node_with(&url, "observer", &[("CATALOG__NODE_LOST_AFTER", LOST_AFTER)]);
    signal(&first, Signal::STOP);
    wait_until(&observer, || {
        nodes(&observer).iter().any(|one| one["name"] == "twin" && one["lost"] == true)
    });
    let second = Gateway::start_with(&settings(&url));
    signal(&first, Signal::CONT);
    wait_until(&first, || first.log().contains("another node took this one's name"));
    // Whatever is reported under the name comes from the second one.
    let (twin, seen) = (|| nodes(&observer).into_iter().find(|one| one["name"] == "twin"), 8);
    let mut reports = HashSet::new();
    wait_until(&second, || {
        let twin = twin().unwrap();
        assert!(twin["place"].as_str().unwrap().contains(&second.ingress), "{twin}");
        reports.insert(twin["seen_at"].as_str().unwrap().to_owned());
        reports.len() >= seen
    });
    assert_eq!(first.log().matches("another node took").count(), 1, "{}", first.log());
    // Both judge as all do.
    acme.schema(&observer, "strict", &json!({ "type": "object", "required": ["missing"] }));
    let strict = json!({ "default_type": "e", "event_types": { "e": { "schema": "strict" } } });
    acme.activate(&observer, &strict);
    all_answer(&[&first, &second, &observer], &acme, 400);
}
