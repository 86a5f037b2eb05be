//! Changes outlive their clients, and a shutdown waits for them, but not for replays.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use tidegate_admin_api::{Limits, ServeError};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::harness::{Gateway, TOKEN, read, request};
use crate::journey::{document, furnished};

/// Sends an activation and returns when its publication stands at the closed gate.
async fn activation_at_the_gate(gateway: &Gateway) -> TcpStream {
    furnished(gateway).await;
    gateway.post("/v1/tenants/acme/revisions", document("one")).await.expect(201);
    gateway.plane.close_gate();
    let head = format!("Authorization: Bearer {TOKEN}\r\n");
    let mut stream = TcpStream::connect(gateway.address).await.expect("a connection");
    let message = request("POST", "/v1/tenants/acme/revisions/1/activate", &head, b"");
    stream.write_all(&message).await.expect("the request is sent");
    gateway.plane.waiting.notified().await;
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_does_not_stop_its_change() {
    for refuse in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits { connections: 1, ..Limits::default() };
        let gateway = Gateway::with_limits(folder.path(), limits).await;
        let stream = activation_at_the_gate(&gateway).await;
        let active = || gateway.catalog.active_revisions().unwrap().len();
        assert_eq!(active(), 1, "durable before it is visible");
        assert!(gateway.plane.seen.lock().unwrap().is_empty());
        drop(stream);
        // There is one place for connections: an answer proves that the other one is gone.
        gateway.get("/v1/status").await.expect(200);
        gateway.plane.refuse.store(refuse, Ordering::SeqCst);
        gateway.plane.open_gate();
        // The next change takes its turn after the orphaned one, which is undone if it must be.
        gateway.post("/v1/tenants", json!({ "id": "next" })).await.expect(201);
        assert_eq!(active(), usize::from(!refuse));
        assert_eq!(gateway.plane.seen.lock().unwrap().len(), usize::from(!refuse));
        gateway.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_lets_a_change_end_and_its_client_know() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path()).await;
    let stream = activation_at_the_gate(&gateway).await;
    let plane = std::sync::Arc::clone(&gateway.plane);
    let address = gateway.address;
    let stopping = tokio::spawn(gateway.stop());
    // The listener goes first: from then on the shutdown is under way.
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    plane.open_gate();
    assert_eq!(read(stream).await.expect(200)["number"], 1);
    stopping.await.unwrap().unwrap();
    let gateway = Gateway::start(folder.path()).await;
    assert_eq!(gateway.catalog.active_revisions().unwrap().len(), 1);
    gateway.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_does_not_wait_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits { drain_timeout: Duration::from_millis(50), ..Limits::default() };
    let gateway = Gateway::with_limits(folder.path(), limits).await;
    let idle = TcpStream::connect(gateway.address).await.unwrap();
    let _stream = activation_at_the_gate(&gateway).await;
    assert!(matches!(gateway.stop().await, Err(ServeError::ChangeUnfinished(_))));
    drop(idle);
}

/// A replay can take hours, and changes nothing: it is given up.
#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_does_not_wait_for_replays() {
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::start(folder.path()).await;
    furnished(&gateway).await;
    gateway.post("/v1/tenants/acme/revisions", document("one")).await.expect(201);
    gateway.plane.close_trials();
    for _ in 0..3 {
        let begin = "/v1/tenants/acme/revisions/1/replays";
        let begun = gateway.call("POST", begin, "", b"").await.expect(202);
        let view = gateway.get(&format!("/v1/tenants/acme/replays/{}", begun["id"])).await;
        assert_eq!(view.expect(200)["state"], "running");
    }
    gateway.plane.waiting.notified().await;
    gateway.stop().await.unwrap();
}
