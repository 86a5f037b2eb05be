//! A collector of OpenTelemetry that keeps what it is sent, and can say no.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

#[derive(Default)]
struct Kept {
    traces: Vec<ExportTraceServiceRequest>,
    metrics: Vec<ExportMetricsServiceRequest>,
    headers: Vec<hyper::HeaderMap>,
}

pub(crate) struct Collector {
    pub(crate) endpoint: String,
    kept: Arc<Mutex<Kept>>,
    status: Arc<AtomicU16>,
    _runtime: Runtime,
}

impl Collector {
    pub(crate) fn start() -> Self {
        Self::start_at("127.0.0.1:0")
    }

    pub(crate) fn start_at(address: &str) -> Self {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().unwrap();
        let (kept, status) = (Arc::<Mutex<Kept>>::default(), Arc::new(AtomicU16::new(200)));
        let listener = runtime.block_on(TcpListener::bind(address)).unwrap();
        let bound: SocketAddr = listener.local_addr().unwrap();
        let (keeps, answers) = (Arc::clone(&kept), Arc::clone(&status));
        runtime.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (kept, status) = (Arc::clone(&keeps), Arc::clone(&answers));
                let service = service_fn(move |request| {
                    let (kept, status) = (Arc::clone(&kept), Arc::clone(&status));
                    async move { Ok::<_, Infallible>(take(request, &kept, &status).await) }
                });
                let builder = hyper::server::conn::http1::Builder::new();
                tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { endpoint: format!("http://{bound}"), kept, status, _runtime: runtime }
    }

    /// What it answers from now on.
    pub(crate) fn answer(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// All spans, with the attributes of who sent them.
    pub(crate) fn spans(&self) -> Vec<(Span, Vec<KeyValue>)> {
        let kept = self.kept.lock().unwrap();
        let resources = kept.traces.iter().flat_map(|request| &request.resource_spans);
        let of = |one: &opentelemetry_proto::tonic::trace::v1::ResourceSpans| {
            let who = one.resource.clone().unwrap().attributes;
            let spans = one.scope_spans.iter().flat_map(|scope| scope.spans.clone());
            spans.map(|span| (span, who.clone())).collect::<Vec<_>>()
        };
        resources.flat_map(of).collect()
    }

    /// The metrics that were sent last.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let kept = self.kept.lock().unwrap();
        let last = kept.metrics.last().cloned().unwrap_or_default();
        let resources = last.resource_metrics.into_iter();
        resources.flat_map(|one| one.scope_metrics).flat_map(|one| one.metrics).collect()
    }

    pub(crate) fn headers(&self) -> Vec<hyper::HeaderMap> {
        self.kept.lock().unwrap().headers.clone()
    }
}

async fn take(
    request: Request<Incoming>,
    kept: &Mutex<Kept>,
    status: &AtomicU16,
) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let status = StatusCode::from_u16(status.load(Ordering::SeqCst)).unwrap();
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = status;
    if status.is_success() {
        let mut kept = kept.lock().unwrap();
        kept.headers.push(head.headers.clone());
        assert_eq!(head.headers["content-type"], "application/x-protobuf");
        match head.uri.path() {
            "/v1/traces" => kept.traces.push(ExportTraceServiceRequest::decode(body).unwrap()),
            "/v1/metrics" => kept.metrics.push(ExportMetricsServiceRequest::decode(body).unwrap()),
            other => panic!("nothing is at {other}"),
        }
    }
    response
}

/// The text of an attribute.
pub(crate) fn text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    match attributes.iter().find(|one| one.key == key)?.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}
