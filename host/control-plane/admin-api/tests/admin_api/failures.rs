//! What is left when the data plane does not take a change, and when there is too much at once.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use tidegate_admin_api::Limits;
use tidegate_types::problem::ProblemPart;
use tidegate_types::revision::RevisionDocument;
use tidegate_types::{Digest, TenantId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::harness::{Gateway, TOKEN, read, request};
use crate::journey::{document, furnished};

const ACTIVATE_2: &str = "/v1/tenants/acme/revisions/2/activate";

async fn two_revisions(gateway: &Gateway) {
    furnished(gateway).await;
    for rule in ["one", "two"] {
        gateway.post("/v1/tenants/acme/revisions", document(rule)).await.expect(201);
    }
    gateway.call("POST", "/v1/tenants/acme/revisions/1/activate", "", b"").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_cannot_be_published_is_undone() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path()).await;
    two_revisions(&gateway).await;
    let active = || gateway.catalog.active_revisions().unwrap()[0].revision.number;
    gateway.plane.refuse.store(true, Ordering::SeqCst);
    let refused = gateway.call("POST", ACTIVATE_2, "", b"").await;
    refused.expect_problem(503, "unavailable", None);
    assert_eq!(active(), 1);
    let key = gateway.post("/v1/tenants/acme/keys", json!({ "name": "k" })).await;
    key.expect_problem(503, "unavailable", None);
    assert_eq!(gateway.catalog.all_keys().unwrap(), []);
    let status = gateway.get("/v1/status").await.expect(200);
    assert_eq!(status["publish_error"]["detail"], "the data plane refuses");

    gateway.plane.refuse.store(false, Ordering::SeqCst);
    gateway.plane.panic.store(true, Ordering::SeqCst);
    let panicked = gateway.call("POST", ACTIVATE_2, "", b"").await;
    panicked.expect_problem(500, "internal", None);
    assert_eq!(active(), 1);

    gateway.plane.panic.store(false, Ordering::SeqCst);
    gateway.call("POST", ACTIVATE_2, "", b"").await.expect(200);
    assert_eq!(active(), 2);
    let history = gateway.get("/v1/tenants/acme/activations").await.expect(200);
    let history = history["activations"].as_array().unwrap().clone();
    let withdrawn: Vec<_> =
        history.iter().map(|entry| entry["withdrawn"].as_bool().unwrap()).collect();
    assert_eq!(withdrawn, [false, true, true, false]);
    // A rollback that fails leaves the active one, and the way back.
    gateway.plane.refuse.store(true, Ordering::SeqCst);
    let refused = gateway.call("POST", "/v1/tenants/acme/rollback", "", b"").await;
    refused.expect_problem(503, "unavailable", None);
    assert_eq!(active(), 2);
    gateway.plane.refuse.store(false, Ordering::SeqCst);
    let back = gateway.call("POST", "/v1/tenants/acme/rollback", "", b"").await.expect(200);
    assert_eq!(back["number"], 1);
    gateway.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_stays_even_where_it_cannot_be_published() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path()).await;
    furnished(&gateway).await;
    let key = gateway.post("/v1/tenants/acme/keys", json!({ "name": "k" })).await.expect(201);
    let path = format!("/v1/tenants/acme/keys/{}", key["id"].as_str().unwrap());
    gateway.plane.refuse.store(true, Ordering::SeqCst);
    gateway.call("DELETE", &path, "", b"").await.expect_problem(503, "unavailable", None);
    assert!(!gateway.catalog.all_keys().unwrap()[0].is_active);
    gateway.plane.refuse.store(false, Ordering::SeqCst);
    gateway.call("DELETE", &path, "", b"").await.expect(200);
    assert_eq!(gateway.plane.last_seen().live_keys, 0);
    gateway.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_cannot_be_configured_are_told_and_not_stored() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path()).await;
    furnished(&gateway).await;
    let part = |pointer: &str| ProblemPart { pointer: pointer.to_owned(), detail: "no".to_owned() };
    *gateway.plane.wrong_rules.lock().unwrap() =
        vec![part("/rules/0/config/fields"), part("/rules/1")];
    let reply = gateway.post("/v1/tenants/acme/revisions", document("one")).await;
    reply.expect_problem(400, "invalid-request", None);
    assert_eq!(reply.body["errors"][0]["pointer"], "/rules/0/config/fields");
    assert_eq!(gateway.get("/v1/tenants/acme/revisions").await.expect(200)["revisions"], json!([]));
    gateway.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_for_other_kernels_is_not_activated() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path()).await;
    two_revisions(&gateway).await;
    let acme = TenantId::new("acme").unwrap();
    let which = tidegate_catalog::Selector::Version("2".to_owned());
    let document: RevisionDocument = gateway.catalog.revision(&acme, &which).unwrap().document;
    let canonical = json!({ "kernels": "0:older", "revision": document }).to_string();
    let database = rusqlite::Connection::open(folder.path().join("catalog.sqlite")).unwrap();
    let changed = database.execute(
        "UPDATE revisions SET document = CAST(?1 AS BLOB), digest = ?2 WHERE number = 2",
        rusqlite::params![canonical, Digest::of(canonical.as_bytes()).0],
    );
    assert_eq!(changed.unwrap(), 1);
    let refused = gateway.call("POST", ACTIVATE_2, "", b"").await;
    refused.expect_problem(400, "invalid-request", None);
    assert!(refused.body["detail"].as_str().unwrap().contains("0:older"));
    let anew = gateway.post("/v1/tenants/acme/revisions", json!(document)).await.expect(201);
    assert_eq!(anew["number"], 3);
    gateway.call("POST", "/v1/tenants/acme/revisions/3/activate", "", b"").await.expect(200);
    gateway.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_run_one_after_the_other_and_too_many_are_shed() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { changes: 8, ..Limits::default() };
    let gateway = Gateway::with_limits(folder.path(), limits).await;
    furnished(&gateway).await;
    gateway.plane.close_gate();
    let head = format!("Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n");
    let message = request("POST", "/v1/tenants/acme/keys", &head, b"{\"name\":\"k\"}");
    let mut waiting = Vec::new();
    // Nine of them for eight places: whichever comes last is shed while the others wait.
    for _ in 0..9 {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        stream.write_all(&message).await.unwrap();
        waiting.push(tokio::spawn(read(stream)));
    }
    let (reply, waiting) = select_first(waiting).await;
    reply.expect_problem(503, "overloaded", None);
    assert!(reply.head.contains("retry-after: 1"), "{}", reply.head);
    gateway.plane.open_gate();
    for waiting in waiting {
        waiting.await.unwrap().expect(201);
    }
    assert_eq!(gateway.plane.last_seen().live_keys, 8);
    assert_eq!(gateway.plane.most_running.load(Ordering::SeqCst), 1);
    gateway.stop().await.unwrap();
}

/// The first of some tasks to end, and the others.
async fn select_first<T: Send + 'static>(
    mut tasks: Vec<tokio::task::JoinHandle<T>>,
) -> (T, Vec<tokio::task::JoinHandle<T>>) {
    let (done, index) = std::future::poll_fn(|context| {
        for (index, task) in tasks.iter_mut().enumerate() {
            if let std::task::Poll::Ready(done) = std::pin::Pin::new(task).poll(context) {
                return std::task::Poll::Ready((done, index));
            }
        }
        std::task::Poll::Pending
    })
    .await;
    drop(tasks.remove(index));
    (done.expect("the task ends well"), tasks)
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_requests_are_cut() {
    let folder = tempfile::tempdir().unwrap();
    let short = Duration::from_millis(50);
    let limits = Limits { body_timeout: short, header_timeout: short, ..Limits::default() };
    let gateway = Gateway::with_limits(folder.path(), limits).await;
    let mut slow = TcpStream::connect(gateway.address).await.unwrap();
    let head = head_of_post();
    slow.write_all(format!("{head}Content-Length: 10\r\n\r\n{{\"id\"").as_bytes()).await.unwrap();
    read(slow).await.expect_problem(408, "request-timeout", None);

    let mut silent = TcpStream::connect(gateway.address).await.unwrap();
    silent.write_all(b"GET /v1/status HTTP/1.1\r\nHost:").await.unwrap();
    let mut rest = Vec::new();
    // Cut, with or without a word.
    silent.read_to_end(&mut rest).await.ok();
    gateway.stop().await.unwrap();
}

fn head_of_post() -> String {
    format!(
        "POST /v1/tenants HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/json\r\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn oversized_requests_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path()).await;
    let head = head_of_post();
    let mut asking = TcpStream::connect(gateway.address).await.unwrap();
    let asked = format!("{head}Content-Length: 9999999\r\nExpect: 100-continue\r\n\r\n");
    asking.write_all(asked.as_bytes()).await.unwrap();
    read(asking).await.expect_problem(413, "too-large", None);

    let mut chunked = TcpStream::connect(gateway.address).await.unwrap();
    chunked
        .write_all(format!("{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes())
        .await
        .unwrap();
    let chunk = vec![b' '; 1 << 20];
    for _ in 0..2 {
        chunked.write_all(b"100000\r\n").await.unwrap();
        chunked.write_all(&chunk).await.unwrap();
        chunked.write_all(b"\r\n").await.unwrap();
    }
    chunked.write_all(b"0\r\n\r\n").await.unwrap();
    read(chunked).await.expect_problem(413, "too-large", None);

    let mut many = TcpStream::connect(gateway.address).await.unwrap();
    let long = format!("GET / HTTP/1.1\r\nX-Long: {}\r\n\r\n", "a".repeat(20_000));
    many.write_all(long.as_bytes()).await.unwrap();
    assert_eq!(read(many).await.status, 431);

    let compressed = "Content-Encoding: gzip\r\nContent-Type: application/json\r\n";
    let authorised = format!("Authorization: Bearer {TOKEN}\r\n{compressed}");
    let reply = gateway.raw("POST", "/v1/tenants", &authorised, b"x").await;
    reply.expect_problem(415, "unsupported-media-type", None);
    gateway.stop().await.unwrap();
}
