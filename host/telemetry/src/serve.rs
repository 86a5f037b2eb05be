//! The listener for metrics: `GET /metrics`, in the clear, to a few at once.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::page::{Format, Page};

/// Makes the page that is asked for. May block for a moment.
pub type PageSource = Arc<dyn Fn() -> Page + Send + Sync>;

/// Connections that are open at once; more wait.
const MOST_CONNECTIONS: usize = 16;
/// For the headers of a request, idleness included: longer than the usual time between two scrapes.
const HEADER_TIMEOUT: Duration = Duration::from_secs(75);
/// Pages that are made at once, for all listeners.
static MAKING: Semaphore = Semaphore::const_new(2);
const HEADER_BYTES: usize = 16 << 10;

/// Serves until it is dropped.
pub async fn serve(listener: TcpListener, source: PageSource) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        // The semaphore is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::info!(%error, "connection for metrics not accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let source = Arc::clone(&source);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let source = Arc::clone(&source);
                async move { Ok::<_, Infallible>(answer(&request, source).await) }
            });
            let mut builder = http1::Builder::new();
            builder
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .max_buf_size(HEADER_BYTES);
            // An error is the client's: it went away, or spoke no HTTP.
            if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
                tracing::debug!(%error, "connection for metrics ended");
            }
            drop(place);
        });
    }
}

async fn answer(request: &Request<Incoming>, source: PageSource) -> Response<Full<Bytes>> {
    if request.uri().path() != "/metrics" {
        return plain(StatusCode::NOT_FOUND, "metrics are at /metrics\n");
    }
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "/metrics takes GET, HEAD\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    page(request.headers(), source).await
}

/// The page in the form that the headers of a request ask for.
pub async fn page(headers: &HeaderMap, source: PageSource) -> Response<Full<Bytes>> {
    let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let format = Format::accepted(accepted);
    // The semaphore is never closed.
    let _place = MAKING.acquire().await;
    let made = tokio::task::spawn_blocking(move || source().text(format)).await;
    let Ok(text) = made else {
        return plain(StatusCode::INTERNAL_SERVER_ERROR, "metrics could not be read\n");
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, plain);
    response
}
