//! Connections: accepted up to a limit, secured where that is wanted, HTTP/1.1 and HTTP/2 on the same
//! port, each bounded, and drained when the node stops.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::Guard;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tidegate_telemetry::serve;
use tidegate_tls::{Security, Stream};
use tidegate_types::{Problem, ProblemType};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::access::{Access, Whose};
use super::anonymous::Anonymous;
use super::answer::challenge::Challenge;
use super::answer::{self, Body};
use super::client::proxied;
use super::outlive::Outlive;
use super::route::Target;
use super::{body, client, receipts, route};
use crate::force::snapshot::Snapshot;
use crate::gateway::Gateway;
use crate::observe::stages::{Stage, StageClock};
use crate::observe::trace::Trace;
use crate::pipeline;
use crate::stage::admit::meter::{self, Standing};
use crate::stage::authenticate::{Came, Producer, Sender, authenticate, bearer};

/// The description of this API.
const DOCUMENT: &str = include_str!("../../../../docs/openapi/public.json");

/// Serves until `shutdown` resolves, then drains: no new connections, open requests end.
///
/// # Errors
/// Where the listener itself fails.
pub async fn serve(
    gateway: Arc<Gateway>,
    listener: TcpListener,
    security: Security,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let places = Arc::clone(&gateway.connections);
    let builder = Arc::new(builder(&gateway));
    gateway.meters.requests.expect(security.is_tls(), route::posts(&gateway.options));
    let graceful = GracefulShutdown::new();
    // Nothing is lost with a connection on which no byte of a request was read.
    let (draining, drains) = watch::channel(false);
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        // A connection beyond the limit waits in the listener's backlog.
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
            let (stream, peer) = listener.accept().await?;
            Ok::<_, io::Error>((place, stream, peer.ip()))
        };
        let (place, stream, peer) = tokio::select! {
            accepted = accepted => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, or a client that was gone already: neither ends the node.
                    tracing::info!(%error, "connection not accepted");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
            },
            () = &mut shutdown => break,
        };
        let (gateway, builder) = (Arc::clone(&gateway), Arc::clone(&builder));
        let (security, watcher, mut drains) =
            (security.clone(), graceful.watcher(), drains.clone());
        tokio::spawn(async move {
            let limit = gateway.options.header_timeout;
            let secured = tokio::select! {
                secured = tokio::time::timeout(limit, secure(&gateway, &security, stream, peer)) => {
                    secured.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
                }
                _ = drains.wait_for(|draining| *draining) => return,
            };
            let ended = match secured {
                Ok((stream, peer)) => {
                    let secured = (stream, peer, security.is_tls());
                    connection(&gateway, &builder, secured, watcher).await
                }
                Err(error) => Err(error.into()),
            };
            // An error is the client's: it went away, was too slow, or spoke no HTTP.
            if let Err(error) = ended {
                tracing::debug!(error = &*error, "connection ended");
            }
            drop(place);
        });
    }
    drop(listener);
    draining.send_replace(true);
    if tokio::time::timeout(gateway.options.drain_timeout, graceful.shutdown()).await.is_err() {
        tracing::warn!("connections were cut after the drain timeout");
    }
    Ok(())
}

fn builder(gateway: &Gateway) -> auto::Builder<TokioExecutor> {
    let options = &gateway.options;
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_timeout)
        .max_headers(options.max_headers)
        .max_buf_size(options.max_header_bytes.max(8192));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(options.max_http2_streams)
        .max_header_list_size(u32::try_from(options.max_header_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(options.header_timeout);
    builder
}

/// The connection and who is at its other end.
async fn secure(
    gateway: &Gateway,
    security: &Security,
    mut stream: TcpStream,
    peer: IpAddr,
) -> io::Result<(Stream, IpAddr)> {
    // Answers are small and must not wait for more.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "nodelay not set");
    }
    let client = proxied::client(&mut stream, peer, &gateway.options).await?;
    Ok((security.accept(stream).await?, client))
}

async fn connection(
    gateway: &Arc<Gateway>,
    builder: &Arc<auto::Builder<TokioExecutor>>,
    (stream, peer, is_tls): (Stream, IpAddr, bool),
    watcher: Watcher,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let gateway = Arc::clone(gateway);
    let limit = gateway.options.header_timeout;
    let begun = Arc::new(AtomicBool::new(false));
    let begins = Arc::clone(&begun);
    let service = service_fn(move |request| {
        begins.store(true, Ordering::Relaxed);
        let gateway = Arc::clone(&gateway);
        async move { Ok::<_, Infallible>(handle(&gateway, (peer, is_tls), request).await) }
    });
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    begun_within(limit, begun, watcher.watch(connection)).await
}

/// Ends a connection on which no request has begun in time: hyper's own limit on headers starts
/// only when the first bytes have told which version of HTTP it is.
async fn begun_within<E>(
    limit: Duration,
    begun: Arc<AtomicBool>,
    connection: impl Future<Output = Result<(), E>>,
) -> Result<(), E> {
    let mut connection = std::pin::pin!(connection);
    match tokio::time::timeout(limit, &mut connection).await {
        Ok(ended) => ended,
        Err(_) if begun.load(Ordering::Relaxed) => connection.await,
        Err(_) => Ok(()),
    }
}

async fn handle(
    gateway: &Arc<Gateway>,
    (peer, is_tls): (IpAddr, bool),
    request: Request<Incoming>,
) -> Response<Body> {
    let path = request.uri().path();
    let target = route::target(request.method(), path, &gateway.options);
    let open = route::open(path, &gateway.options);
    let page = open.and_then(|open| open.allowed(request.headers()));
    let route = target.as_ref().map_or("", |(_, route)| *route);
    let client = client::address(peer, request.headers(), &gateway.options);
    let trace = Trace::begin(request.headers(), gateway.meters.spans.as_deref(), open.is_none());
    let access =
        Access::begin(request.method(), route, request.headers(), (client, is_tls), trace.clone());
    let challenge = Challenge::of(gateway.tokens.is_some(), request.headers());
    let mut response = match target {
        Ok((target, _)) => respond(gateway, target, client, challenge, (request, trace))
            .await
            .unwrap_or_else(|problem| challenge.answer(&problem)),
        Err(problem) => answer::misled(&problem, route::allowed(path, &gateway.options)),
    };
    if let Some(open) = open {
        open.mark(page, &mut response);
    }
    access.end(&gateway.lines, &gateway.meters, &mut response);
    response
}

async fn respond(
    gateway: &Arc<Gateway>,
    target: Target,
    client: IpAddr,
    challenge: Challenge,
    (request, trace): (Request<Incoming>, Trace),
) -> Result<Response<Body>, Problem> {
    let ready = gateway.health.is_ready();
    match target {
        Target::Ping | Target::Livez => Ok(answer::json(StatusCode::OK, "{\"status\":\"ok\"}")),
        Target::Document => Ok(answer::json(StatusCode::OK, DOCUMENT)),
        Target::Metrics => match gateway.page.get() {
            Some(source) => Ok(serve::page(request.headers(), Arc::clone(source)).await),
            None => Err(Problem::new(ProblemType::Unavailable, "the gateway is starting")),
        },
        Target::Readyz if ready => Ok(answer::json(StatusCode::OK, "{\"status\":\"ready\"}")),
        Target::Readyz => {
            let detail = if gateway.health.is_draining() {
                "the gateway is stopping"
            } else {
                "the gateway is starting"
            };
            Err(Problem::new(ProblemType::Unavailable, detail))
        }
        Target::Preflight => Ok(route::open(request.uri().path(), &gateway.options)
            .map(|open| open.preflight(request.headers()))
            .unwrap_or_default()),
        Target::Receipt => {
            let (sender, allowance) = {
                let (sender, snapshot) =
                    authenticated(gateway, client, request.headers(), None).await?;
                let allowance = sender.allowance(&snapshot);
                (sender, allowance)
            };
            let standing = OnceLock::new();
            let answered = async {
                meter::meter_request(&allowance, &*gateway.buckets, &standing).await?;
                let id = route::receipt_id(request.uri().path()).unwrap_or_default();
                receipts::answer(gateway, sender.reader()?, id).await
            };
            let mut response = answered.await.unwrap_or_else(|problem| challenge.answer(&problem));
            answer::tell(&standing, &mut response);
            response.extensions_mut().insert(Whose(allowance.tenant));
            Ok(response)
        }
        Target::Events | Target::Batch => {
            ingest(gateway, target, client, challenge, (request, trace)).await
        }
    }
}

/// Who sends, with the snapshot that was asked. A token is verified before that is read: this may wait
/// for its issuer's keys. Refusals are bounded. `open`: the path takes those who show nothing.
async fn authenticated(
    gateway: &Gateway,
    client: IpAddr,
    headers: &HeaderMap,
    open: Option<&Anonymous>,
) -> Result<(Sender, Guard<Arc<Snapshot>>), Problem> {
    let tell = |refused| gateway.failures.tell(refused, client);
    let came = match open.filter(|_| !shows_something(headers)) {
        Some(open) => Came::Guest(open.guest(headers, client)?),
        None => {
            let token = bearer::verified(gateway.tokens.as_deref(), headers).await.map_err(tell)?;
            token.map_or(Came::Key, Came::Token)
        }
    };
    let snapshot = gateway.snapshot.load();
    let sender = authenticate(&snapshot, headers, came).map_err(tell)?;
    Ok((sender, snapshot))
}

fn shows_something(headers: &HeaderMap) -> bool {
    headers.contains_key("x-api-key") || headers.contains_key(AUTHORIZATION)
}

async fn ingest(
    gateway: &Arc<Gateway>,
    target: Target,
    client: IpAddr,
    challenge: Challenge,
    (request, trace): (Request<Incoming>, Trace),
) -> Result<Response<Body>, Problem> {
    let (parts, incoming) = request.into_parts();
    let own = trace.own;
    let clock = StageClock::begin(&gateway.meters, own.as_ref(), Stage::Authenticate);
    // Who may not write is told before anything of the body is read.
    let producer = {
        let open = route::open(parts.uri.path(), &gateway.options);
        let (sender, snapshot) = authenticated(gateway, client, &parts.headers, open).await?;
        sender.producer(&snapshot)?
    };
    clock.end();
    let (allowance, standing) = (producer.allowance().clone(), Arc::new(OnceLock::new()));
    if let Some(guest) = producer.guest() {
        // Before anything of the body is read, which costs more than the answer.
        let asked = meter::meter_request(&guest, &*gateway.buckets, &standing).await;
        if let Err(problem) = asked {
            let mut response = challenge.answer(&problem);
            answer::tell(&standing, &mut response);
            response.extensions_mut().insert(Whose(allowance.tenant));
            return Ok(response);
        }
    }
    let answered =
        worked_on(gateway, target, producer, (parts, incoming), (&standing, trace)).await;
    let is_theirs = answered.as_ref().is_err_and(|problem| problem.kind.status() < 500);
    if is_theirs && standing.get().is_none() {
        // The body was none: the request counts all the same, and its own problem is what is told.
        drop(meter::meter_request(&allowance, &*gateway.buckets, &standing).await);
    }
    let mut response = answered.unwrap_or_else(|problem| challenge.answer(&problem));
    answer::tell(&standing, &mut response);
    response.extensions_mut().insert(Whose(allowance.tenant));
    Ok(response)
}

async fn worked_on(
    gateway: &Arc<Gateway>,
    target: Target,
    producer: Producer,
    (parts, incoming): (Parts, Incoming),
    (standing, trace): (&Arc<OnceLock<Standing>>, Trace),
) -> Result<Response<Body>, Problem> {
    let form = route::form(target, &parts.headers)?;
    let is_open = route::open(parts.uri.path(), &gateway.options).is_some();
    if is_open && !form.is_single() {
        let detail = "single events alone are taken here: send application/json";
        return Err(Problem::new(ProblemType::UnsupportedMediaType, detail));
    }
    let clock = StageClock::begin(&gateway.meters, trace.own.as_ref(), Stage::Receive);
    let most = match is_open {
        true => gateway.options.max_event_bytes.min(gateway.options.max_body_bytes),
        false => gateway.options.max_body_bytes,
    };
    let body = body::read(&parts.headers, incoming, most, &gateway.options).await?;
    gateway.meters.read(body.len());
    clock.end();
    let work = {
        let (gateway, standing) = (Arc::clone(gateway), Arc::clone(standing));
        async move {
            let noted = (&*standing, &trace);
            pipeline::run(&gateway, producer, &parts.headers, form, body, noted).await
        }
    };
    let work = Outlive::new(&gateway.tasks, work);
    let answer = tokio::time::timeout(gateway.options.request_timeout, work).await;
    let answer = answer.map_err(|_| {
        let detail = "the request took too long; whether its events are stored is told when they are sent again with the same keys";
        Problem::new(ProblemType::Unavailable, detail).retry_after(1000)
    })?;
    let answer = answer.map_err(|panic| {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        tracing::error!(panic = text.unwrap_or("of another type"), "request failed");
        Problem::new(
            ProblemType::Internal,
            "the request failed; send the events again with the same keys",
        )
    })??;
    let ack = answer.ack;
    let mut response = answer::receipts(answer, &gateway.options);
    if let Some(ack) = ack {
        response.extensions_mut().insert(ack);
    }
    Ok(response)
}
