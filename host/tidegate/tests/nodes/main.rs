//! Real gateways that share one catalog in a real PostgreSQL: what one is told, all do.
#![cfg(all(feature = "postgres", feature = "redis"))]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failed test panics")]

mod keys;
mod quotas;
mod stuck;
mod twins;

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tidegate_testkit::postgres::shared;
use tidegate_testkit::{Gateway, Tenant};

/// How long the nodes may take to agree.
const PATIENCE: Duration = Duration::from_secs(60);

fn node(url: &str, name: &str) -> Gateway {
    node_with(url, name, &[])
}

fn node_with(url: &str, name: &str, settings: &[(&str, &str)]) -> Gateway {
    // Looking is an hour apart: what is heard was told.
    let own = [("CATALOG__URL", url), ("NODE__NAME", name), ("CATALOG__POLL_INTERVAL", "1h")];
    Gateway::start_with(&[&own, settings].concat())
}

/// Stops or continues a node's process.
fn signal(node: &Gateway, signal: Signal) {
    let process = i32::try_from(node.pid()).ok().and_then(Pid::from_raw).unwrap();
    kill_process(process, signal).unwrap();
}

/// How many nodes have reported this revision as active.
fn active_on(node: &Gateway, tenant: &Tenant, digest: &str) -> usize {
    let path = format!("/v1/tenants/{}/status", tenant.id);
    let status = node.admin("GET", &path, "application/json", b"").json();
    let nodes = status.pointer("/nodes").and_then(|nodes| nodes.as_array()).unwrap();
    nodes.iter().filter(|one| one["state"] == "active" && one["digest"] == digest).count()
}

fn wait_active_on(node: &Gateway, tenant: &Tenant, digest: &str, count: usize) {
    let deadline = Instant::now() + PATIENCE;
    while active_on(node, tenant, digest) != count {
        assert!(Instant::now() < deadline, "not on {count} nodes: {}", node.log());
    }
}

/// Waits until something is so, which this node has to do something for.
fn wait_until(node: &Gateway, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "it is never so: {}", node.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// P3: a revision becomes active when enough nodes have it ready, and on no node where they have
/// not. One of three nodes is paused, one is killed, one starts late: those that run agree.
#[test]
fn an_activation_waits_for_a_quorum() {
    let url = shared().create_database();
    let settings = [("CATALOG__ACTIVATION_TIMEOUT", "8s"), ("CATALOG__ACTIVATION_QUORUM", "all")];
    let (first, mut second) = (node_with(&url, "first", &settings), node(&url, "second"));
    let third = node(&url, "third");
    let acme = Tenant::create(&first, "acme");
    let takes = json!({ "default_type": "e", "event_types": { "e": {} } });
    let schema = json!({ "type": "object", "required": ["missing"] });
    let refuses = json!({ "default_type": "e", "event_types": { "e": { "schema": "strict" } } });
    acme.schema(&first, "strict", &schema);
    let takes = acme.activate(&first, &takes);
    wait_active_on(&first, &acme, &takes, 3);

    signal(&third, Signal::STOP);
    let refuses = acme.revision(&first, &refuses).json()["digest"].as_str().unwrap().to_owned();
    let path = format!("/v1/tenants/acme/revisions/{refuses}/activate");
    // All are asked for, and one does not answer.
    let answer = first.admin("POST", &path, "application/json", b"");
    assert_eq!(answer.status, 503, "{}", answer.text());
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("2 ready") && detail.contains("third"), "{detail}");
    all_answer(&[&first, &second], &acme, 202);
    // The second node is content with the majority.
    let answer = second.admin("POST", &path, "application/json", b"");
    assert_eq!(answer.status, 200, "{}", answer.text());
    all_answer(&[&first, &second], &acme, 400);
    signal(&third, Signal::CONT);
    wait_active_on(&first, &acme, &refuses, 3);
    all_answer(&[&third], &acme, 400);

    // A node is killed in the midst of it; the two that are left are a majority of three.
    second.kill();
    acme.activate_digest(&third, &takes);
    all_answer(&[&first, &third], &acme, 202);
    let late = node(&url, "late");
    all_answer(&[&late], &acme, 202);
    second.restart();
    all_answer(&[&second], &acme, 202);
    wait_active_on(&late, &acme, &takes, 4);
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
