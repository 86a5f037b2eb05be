//! A revision that cannot be made to run on one node: its tenant keeps there what it had, or is put off
//! where it had nothing; everyone else goes on, and all is well as soon as it can be made to run.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tidegate_testkit::postgres::shared;
use tidegate_testkit::{Gateway, Tenant};
use tidegate_types::Digest;

use crate::{all_answer, node, node_with, wait_active_on, wait_until};

/// A tenant whose events are all taken.
fn taking(node: &Gateway, id: &str) -> Tenant {
    let tenant = Tenant::create(node, id);
    tenant.activate(node, &json!({ "default_type": "e", "event_types": { "e": {} } }));
    tenant
}

/// A schema that refuses all events, and a revision with it.
fn strict(tenant: &Tenant) -> (Value, Value) {
    let schema = json!({ "type": "object", "required": ["missing", tenant.id] });
    let revision = json!({ "default_type": "e", "event_types": { "e": { "schema": "strict" } } });
    (schema, revision)
}

fn get(node: &Gateway, path: &str) -> Value {
    let answer = node.admin("GET", path, "application/json", b"");
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

/// Content in the database that is damaged, until it is mended.
struct Damaged<'a> {
    url: &'a str,
    digest: String,
    content: String,
}

impl<'a> Damaged<'a> {
    fn make(url: &'a str, digest: Digest) -> Self {
        let digest = digest.hex();
        let of = format!("FROM blobs WHERE encode(digest, 'hex') = '{digest}'");
        let content = shared().sql(url, &format!("SELECT encode(content, 'hex') {of}"));
        assert!(!content.is_empty(), "it is there");
        let damaged = Self { url, digest, content };
        damaged.set("'damaged'::bytea");
        damaged
    }

    fn set(&self, content: &str) {
        let of = format!("WHERE encode(digest, 'hex') = '{}'", self.digest);
        let _none = shared().sql(self.url, &format!("UPDATE blobs SET content = {content} {of}"));
    }

    fn mend(&self) {
        self.set(&format!("decode('{}', 'hex')", self.content));
    }
}

/// Puts the schema of a tenant; its content can be had from the database no more, only from the files
/// of the node that it was put on.
fn put_damaged<'a>(url: &'a str, at: &Gateway, tenant: &Tenant) -> (Damaged<'a>, Value) {
    let (schema, revision) = strict(tenant);
    tenant.schema(at, "strict", &schema);
    (Damaged::make(url, Digest::of(schema.to_string().as_bytes())), revision)
}

/// P3: one tenant's trouble on a following node is that tenant's on that node.
#[test]
fn a_tenant_that_cannot_follow_keeps_no_other_from_it() {
    let url = shared().create_database();
    let alone = [("CATALOG__ACTIVATION_QUORUM", "one"), ("CATALOG__NODE_LOST_AFTER", "3s")];
    let first = node_with(&url, "first", &alone);
    let second = node_with(&url, "second", &alone);
    let (acme, beta) = (taking(&first, "acme"), taking(&first, "beta"));
    all_answer(&[&first, &second], &acme, 202);
    all_answer(&[&first, &second], &beta, 202);

    // A candidate that takes nothing judges all of the one's events, until its rollout ends.
    let document =
        json!({ "default_type": "e", "event_types": { "e": { "schema": "candidate" } } });
    acme.schema(&first, "candidate", &json!({ "type": "string" }));
    let candidate = acme.revision(&first, &document).json()["digest"].as_str().unwrap().to_owned();
    let path = format!("/v1/tenants/acme/revisions/{candidate}/canary");
    let begun = first.admin("POST", &path, "application/json", br#"{"percent":100}"#);
    assert_eq!(begun.status, 200, "{}", begun.text());
    all_answer(&[&first, &second], &acme, 400);

    let (damaged, revision) = put_damaged(&url, &first, &acme);
    let digest = acme.activate(&first, &revision);
    all_answer(&[&first], &acme, 400);
    all_answer(&[&second], &acme, 202);
    // Others are followed, keys as well.
    let (schema, revision) = strict(&beta);
    beta.schema(&first, "strict", &schema);
    let followed = beta.activate(&first, &revision);
    all_answer(&[&first, &second], &beta, 400);
    wait_active_on(&first, &beta, &followed, 2);
    all_answer(&[&second], &Tenant::create(&first, "acme"), 202);
    // What the tenant had there is in force, and everybody can see why.
    assert_eq!(acme.post(&second, &json!({ "n": 1 })).status, 202);
    wait_until(&second, || {
        let status = get(&first, "/v1/tenants/acme/status");
        let nodes = status["nodes"].as_array().unwrap().clone();
        nodes.iter().any(|one| {
            let is_it = one["name"] == "second" && one["digest"] == digest.as_str();
            let why = one["detail"].as_str().unwrap_or_default();
            is_it && one["state"] == "failed" && why.contains("other bytes")
        })
    });
    let listed = get(&first, "/v1/nodes")["nodes"].clone();
    assert_eq!((&listed[0]["name"], &listed[0]["failed"]), (&json!("first"), &json!([])));
    let failed = &listed[1]["failed"][0];
    assert_eq!((&failed["tenant"], &failed["digest"]), (&json!("acme"), &json!(digest)));

    // A node that starts now has nothing for the tenant, and everything for the others.
    let late = node_with(&url, "late", &alone);
    all_answer(&[&late], &beta, 400);
    let put_off = acme.post(&late, &json!({ "n": 1 }));
    let problem = put_off.json();
    assert_eq!(put_off.status, 503, "{problem}");
    assert_eq!(problem["type"], "urn:tidegate:problem:unavailable");
    assert!(problem["detail"].as_str().unwrap().contains(&digest), "{problem}");
    assert!(put_off.header("retry-after").is_some());

    // It is tried again, ever more seldom, and in force as soon as it can be.
    wait_until(&second, || get(&second, "/v1/status")["failing"][0]["tries"].as_u64() >= Some(3));
    damaged.mend();
    all_answer(&[&first, &second, &late], &acme, 400);
    wait_active_on(&first, &acme, &digest, 3);
    for node in [&second, &late] {
        assert_eq!(get(node, "/v1/status")["failing"], json!([]));
        let told = node.log().matches("revision cannot run here").count();
        assert_eq!(told, 1, "once, not at each try: {}", node.log());
    }
}

/// Nodes that could not have a revision ready are asked anew when it is to be activated again.
#[test]
fn an_activation_is_not_refused_for_what_is_mended() {
    let url = shared().create_database();
    let all = [("CATALOG__ACTIVATION_QUORUM", "all")];
    let (first, second) = (node_with(&url, "first", &all), node(&url, "second"));
    let acme = taking(&first, "acme");
    all_answer(&[&first, &second], &acme, 202);
    let (damaged, revision) = put_damaged(&url, &first, &acme);
    let digest = acme.revision(&first, &revision).json()["digest"].as_str().unwrap().to_owned();
    let path = format!("/v1/tenants/acme/revisions/{digest}/activate");
    for _ in 0..2 {
        let refused = first.admin("POST", &path, "application/json", b"");
        assert_eq!(refused.status, 503, "{}", refused.text());
        let detail = refused.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("second") && detail.contains("other bytes"), "{detail}");
    }
    damaged.mend();
    acme.activate_digest(&first, &digest);
    all_answer(&[&first, &second], &acme, 400);
}

/// A node that is alone starts without what has been damaged on its disk: a tenant's active revision,
/// another one's candidate.
#[test]
fn a_node_starts_without_what_is_damaged() {
    let mut node = Gateway::start();
    let (acme, beta) = (taking(&node, "acme"), taking(&node, "beta"));
    let (of_acme, revision) = strict(&acme);
    acme.schema(&node, "strict", &of_acme);
    let digest = acme.activate(&node, &revision);
    let (of_beta, revision) = strict(&beta);
    beta.schema(&node, "strict", &of_beta);
    let candidate = beta.revision(&node, &revision).json()["digest"].as_str().unwrap().to_owned();
    let path = format!("/v1/tenants/beta/revisions/{candidate}/canary");
    let begun = node.admin("POST", &path, "application/json", br#"{"percent":100}"#);
    assert_eq!(begun.status, 200, "{}", begun.text());
    all_answer(&[&node], &beta, 400);
    node.kill();
    let files = [&of_acme, &of_beta].map(|schema| damage(&node, schema));
    node.restart();
    // The candidate's share is the active one's.
    assert_eq!(beta.post(&node, &json!({ "n": 1 })).status, 202);
    assert_eq!(acme.post(&node, &json!({ "n": 1 })).status, 503);
    for (tenant, revision) in [("acme", &digest), ("beta", &candidate)] {
        let failing = get(&node, &format!("/v1/tenants/{tenant}/status"))["failing"].clone();
        assert_eq!(failing.as_array().unwrap().len(), 1, "{failing}");
        assert_eq!(failing[0]["digest"], revision.as_str(), "{failing}");
        let why = failing[0]["detail"].as_str().unwrap();
        assert!(why.contains("/event_types/e/schema") && why.contains("damaged"), "{why}");
    }
    // Asked for explicitly it is tried at once, and refused.
    let path = format!("/v1/tenants/acme/revisions/{digest}/activate");
    let refused = node.admin("POST", &path, "application/json", b"");
    assert_eq!(refused.status, 500, "{}", refused.text());
    for (file, good) in files {
        std::fs::write(file, good).unwrap();
    }
    all_answer(&[&node], &acme, 400);
    all_answer(&[&node], &beta, 400);
    assert_eq!(get(&node, "/v1/status")["failing"], json!([]));
}

/// Damages the file of some content; answers it, and what it was.
fn damage(node: &Gateway, content: &Value) -> (PathBuf, Vec<u8>) {
    let name = Digest::of(content.to_string().as_bytes()).hex();
    let file = find(&node.folder().join("catalog"), &name);
    let good = std::fs::read(&file).unwrap();
    std::fs::write(&file, b"damaged").unwrap();
    (file, good)
}

/// The file of this name somewhere in a folder.
fn find(folder: &Path, name: &str) -> PathBuf {
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for path in std::fs::read_dir(at).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.ends_with(name) {
                return path;
            }
        }
    }
    panic!("no file {name}")
}
