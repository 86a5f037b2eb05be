//! Real gateways that share one catalog in a real PostgreSQL: what one is told, all do.
#![cfg(feature = "postgres")]
#![allow(clippy::unwrap_used, reason = "a failed test panics")]

use std::time::{Duration, Instant};

use serde_json::json;
use tidegate_testkit::postgres::shared;
use tidegate_testkit::{Gateway, Tenant};

/// How long the nodes may take to agree.
const PATIENCE: Duration = Duration::from_secs(60);

fn node(url: &str, name: &str) -> Gateway {
    // Looking is an hour apart: what is heard was told.
    let settings = [("CATALOG__URL", url), ("NODE__NAME", name), ("CATALOG__POLL_INTERVAL", "1h")];
    Gateway::start_with(&settings)
}

/// Posts an event to each node until all answer with this status.
fn all_answer(nodes: &[&Gateway], tenant: &Tenant, status: u16) {
    let deadline = Instant::now() + PATIENCE;
    for node in nodes {
        loop {
            let answer = tenant.post(node, &json!({ "n": 1 }));
            if answer.status == status {
                break;
            }
            let (text, log) = (answer.text(), node.log());
            assert!(Instant::now() < deadline, "{} {text}, not {status}: {log}", answer.status);
            std::thread::yield_now();
        }
    }
}

#[test]
fn what_one_node_is_told_all_nodes_do() {
    let url = shared().create_database();
    let (first, second) = (node(&url, "first"), node(&url, "second"));
    let acme = Tenant::create(&first, "acme");
    let takes = json!({ "default_type": "e", "event_types": { "e": {} } });
    let digest = acme.activate(&first, &takes);
    all_answer(&[&first, &second], &acme, 202);

    // Through the other node, with content that the first has to fetch.
    let schema = json!({ "type": "object", "required": ["missing"] });
    acme.schema(&second, "strict", &schema);
    let strict = json!({ "default_type": "e", "event_types": { "e": { "schema": "strict" } } });
    let strict = acme.activate(&second, &strict);
    all_answer(&[&first, &second], &acme, 400);
    acme.activate_digest(&first, &digest);
    all_answer(&[&first, &second], &acme, 202);

    // One that starts late does what the others do.
    acme.activate_digest(&first, &strict);
    let late = node(&url, "late");
    all_answer(&[&late, &first, &second], &acme, 400);

    let reported = |name: &str| {
        let sql = format!(
            "SELECT count(*) FROM node_revisions WHERE node = '{name}' AND state = 'active' \
             AND encode(digest, 'hex') = '{}'",
            strict.trim_start_matches("sha256:")
        );
        shared().sql(&url, &sql) == "1"
    };
    let deadline = Instant::now() + PATIENCE;
    while !["first", "second", "late"].into_iter().all(reported) {
        assert!(Instant::now() < deadline, "a node does not report: {}", first.log());
    }
    for node in [&first, &second, &late] {
        assert!(!node.log().contains(shared().password()), "{}", node.log());
    }
}
