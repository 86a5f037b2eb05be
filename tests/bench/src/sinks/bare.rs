//! The reference: a hyper server that hands each body to the client of Kafka, whole or cut into a
//! hundred records where it is as large as that, and answers when all are acknowledged (`acks=all`). It
//! neither authenticates, parses nor evaluates.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};

pub(crate) const TOPIC: &str = "bare";
/// Bodies from here on are batches.
const BATCH_BYTES: usize = 4096;
const RECORDS: usize = 100;

/// The settings of the gateway's own producer, with another linger.
pub(crate) fn producer(bootstrap: &str, linger_ms: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("acks", "all");
    config.set("enable.idempotence", "true").set("message.timeout.ms", "0");
    config.set("compression.type", "lz4").set("queue.buffering.max.ms", linger_ms);
    config.set("batch.num.messages", "100000").set("queue.buffering.max.kbytes", "262144");
    config.set("partitioner", "murmur2_random");
    config
}

/// Serves until the process is ended. Two workers, as the gateway has on two cores.
pub(crate) fn serve(address: &str, bootstrap: &str, linger_ms: &str) -> anyhow::Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let producer: FutureProducer = producer(bootstrap, linger_ms).create()?;
        let producer = Arc::new(producer);
        let listener = tokio::net::TcpListener::bind(address).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let producer = Arc::clone(&producer);
            tokio::spawn(async move {
                let service = service_fn(move |request| answer(request, Arc::clone(&producer)));
                let connection = hyper::server::conn::http1::Builder::new()
                    .pipeline_flush(true)
                    .serve_connection(TokioIo::new(stream), service);
                drop(connection.await);
            });
        }
    })
}

async fn answer(
    request: Request<Incoming>,
    producer: Arc<FutureProducer>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let sent = match request.into_body().collect().await {
        Ok(body) => send(&producer, &body.to_bytes()).await,
        Err(_) => false,
    };
    let mut response = Response::new(Full::new(Bytes::from_static(b"{\"status\":\"accepted\"}")));
    *response.status_mut() =
        if sent { StatusCode::ACCEPTED } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok(response)
}

async fn send(producer: &FutureProducer, body: &[u8]) -> bool {
    let size = if body.len() < BATCH_BYTES { body.len() } else { body.len() / RECORDS };
    let mut reports = Vec::new();
    for record in body.chunks_exact(size.max(1)) {
        let record: FutureRecord<'_, (), [u8]> = FutureRecord::to(TOPIC).payload(record);
        match producer.send_result(record) {
            Ok(report) => reports.push(report),
            Err((_, record)) => {
                if producer.send(record, Duration::from_secs(10)).await.is_err() {
                    return false;
                }
            }
        }
    }
    for report in reports {
        if !matches!(report.await, Ok(Ok(_))) {
            return false;
        }
    }
    true
}
