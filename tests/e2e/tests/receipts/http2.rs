//! HTTP/2 without TLS, by prior knowledge, on the same port as HTTP/1.1.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::SendRequest;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tidegate_e2e::{assert_quiet, revision};
use tidegate_testkit::{Gateway, Tenant};

use crate::start;

type Sender = SendRequest<Full<Bytes>>;

async fn connect(gateway: &Gateway) -> Sender {
    let stream = tokio::net::TcpStream::connect(&gateway.ingress).await.unwrap();
    let handshake =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
    let (sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    sender
}

fn request(
    gateway: &Gateway,
    tenant: &Tenant,
    path: &str,
    more: &[(&str, &str)],
    body: &str,
) -> Request<Full<Bytes>> {
    let mut request = Request::post(format!("http://{}{path}", gateway.ingress))
        .header("x-api-key", &tenant.key)
        .header("content-type", "application/json");
    for (name, value) in more {
        request = request.header(*name, *value);
    }
    request.body(Full::from(body.to_owned())).unwrap()
}

async fn send(sender: &Sender, request: Request<Full<Bytes>>) -> (StatusCode, Value) {
    let answer = sender.clone().send_request(request).await.unwrap();
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

#[tokio::test]
async fn answers_are_those_of_http_1() {
    let (gateway, tenant) = start();
    tenant.activate(&gateway, &revision::audit());
    let sender = connect(&gateway).await;
    let event = revision::audit_event("k").to_string();
    let (status, body) = send(&sender, request(&gateway, &tenant, "/v1/events", &[], &event)).await;
    assert_eq!((status.as_u16(), &body["status"]), (202, &json!("accepted")), "{body}");
    let (status, body) = send(&sender, request(&gateway, &tenant, "/v1/events", &[], &event)).await;
    assert_eq!((status.as_u16(), &body["status"]), (202, &json!("duplicate")));
    for (path, more, body, expected) in [
        ("/v1/events", &[][..], "{", 400),
        ("/v1/events", &[], "{}", 400),
        ("/v1/nothing", &[], "{}", 404),
        ("/v1/events", &[("content-encoding", "br")], "{}", 415),
        ("/v1/events/batch", &[], "{\"events\":[{}]}", 202),
    ] {
        let (status, answer) = send(&sender, request(&gateway, &tenant, path, more, body)).await;
        assert_eq!(status.as_u16(), expected, "{path} {body}: {answer}");
    }
    // One body that is too large ends its stream alone.
    let large = " ".repeat(5 << 20);
    let answer = sender
        .clone()
        .send_request(request(&gateway, &tenant, "/v1/events", &[], &large))
        .await
        .unwrap();
    assert_eq!(answer.status().as_u16(), 413);
    let (status, _) = send(&sender, request(&gateway, &tenant, "/v1/events", &[], &event)).await;
    assert_eq!(status.as_u16(), 202);
    assert_quiet(&gateway);
}

#[tokio::test]
async fn many_streams_at_once() {
    let (gateway, tenant) = start();
    tenant.activate(&gateway, &revision::plain());
    let sender = connect(&gateway).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..300 {
        let (sender, request) = (
            sender.clone(),
            request(&gateway, &tenant, "/v1/events", &[], &format!("{{\"key\":{}}}", n % 100)),
        );
        tasks.spawn(async move { send(&sender, request).await });
    }
    let (mut accepted, mut others) = (0, 0);
    while let Some(done) = tasks.join_next().await {
        match done.unwrap() {
            (StatusCode::ACCEPTED, body) if body["status"] == "accepted" => accepted += 1,
            (StatusCode::ACCEPTED, body) if body["status"] == "duplicate" => others += 1,
            (StatusCode::CONFLICT, body) if body["event_status"] == "retry" => others += 1,
            (status, body) => panic!("{status}: {body}"),
        }
    }
    assert_eq!((accepted, others), (100, 200));
    assert_quiet(&gateway);
}

/// Headers beyond the limit are 431 here too, and the connection lives on.
#[tokio::test]
async fn headers_beyond_the_limit() {
    let (gateway, tenant) = start();
    tenant.activate(&gateway, &revision::plain());
    let sender = connect(&gateway).await;
    let large = "y".repeat(20 << 10);
    let (status, _) =
        send(&sender, request(&gateway, &tenant, "/v1/events", &[("x-large", &large)], "{}")).await;
    assert_eq!(status.as_u16(), 431);
    let (status, _) = send(&sender, request(&gateway, &tenant, "/v1/events", &[], "{}")).await;
    assert_eq!(status.as_u16(), 202);
    assert_quiet(&gateway);
}
