//! An HTTP server whose every answer a test decides, also by breaking the connection.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, server};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// What the server does with a request.
pub(crate) enum Reply {
    Answer(u16, String),
    /// Closes the connection without an answer.
    Break,
    /// Never answers.
    Hang,
}

/// A request as the test sees it.
pub(crate) struct Got {
    pub(crate) path: String,
    pub(crate) api_key: String,
    pub(crate) body: String,
}

/// Serves on a free port until the runtime ends.
pub(crate) async fn serve<F>(reply: F) -> SocketAddr
where
    F: Fn(Got) -> Reply + Send + Sync + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let reply = Arc::new(reply);
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let reply = Arc::clone(&reply);
            connections.spawn(async move {
                let service = service_fn(move |request| answer(request, Arc::clone(&reply)));
                let connection = server::conn::http1::Builder::new();
                // A broken connection is what some tests are about.
                connection.serve_connection(TokioIo::new(stream), service).await.ok();
            });
        }
    });
    address
}

async fn answer<F>(
    request: Request<Incoming>,
    reply: Arc<F>,
) -> Result<Response<Full<Bytes>>, std::io::Error>
where
    F: Fn(Got) -> Reply,
{
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    let api_key = head.headers.get("x-api-key").map_or("", |key| key.to_str().unwrap()).to_owned();
    let body = String::from_utf8(body.to_vec()).unwrap();
    match reply(Got { path: head.uri.path().to_owned(), api_key, body }) {
        Reply::Answer(status, body) => {
            let mut response = Response::new(Full::from(body));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            Ok(response)
        }
        Reply::Break => Err(std::io::Error::other("broken on purpose")),
        Reply::Hang => std::future::pending().await,
    }
}
