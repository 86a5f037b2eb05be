//! The listener: connections bounded in number, secured where that is wanted, headers bounded in time,
//! and a shutdown that lets what runs come to its end.

mod admission;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tidegate_tls::Security;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::routes;
use crate::state::AdminState;
use crate::token::act::Remote;

/// hyper answers 431 to headers beyond this.
const HEADER_BYTES: usize = 16 << 10;

/// Why serving did not end well.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A change was still running when the time to drain was over.
    #[error("a change was still running after {0:?}")]
    ChangeUnfinished(Duration),
}

/// Serves the admin API until `shutdown` resolves, then lets open requests and running changes come
/// to their end, for as long as the limits say.
///
/// # Errors
/// [`ServeError::ChangeUnfinished`].
pub async fn serve(
    listener: TcpListener,
    security: Security,
    state: AdminState,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let service = TowerToHyperService::new(routes::router(state.clone()));
    let places = Arc::new(Semaphore::new(state.limits.connections));
    let graceful = GracefulShutdown::new();
    let cut = CancellationToken::new();
    let mut shutdown = std::pin::pin!(shutdown);
    // A job that a shutdown cuts off is begun again by the next start.
    let mut jobs = JoinSet::new();
    jobs.spawn(admission::run(state.clone()));
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            () = &mut shutdown => break,
        };
        let (stream, remote, place) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept an admin connection");
                // Out of file descriptors, most likely: trying again at once would spin.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let mut builder = http1::Builder::new();
        builder
            .timer(TokioTimer::new())
            .header_read_timeout(state.limits.header_timeout)
            .max_buf_size(HEADER_BYTES);
        let service = service.clone();
        let service = service_fn(move |mut request: http::Request<Incoming>| {
            request.extensions_mut().insert(Remote(remote));
            service.call(request)
        });
        let (cut, stopping, watcher) = (cut.clone(), state.stopping.clone(), graceful.watcher());
        let (security, limit) = (security.clone(), state.limits.header_timeout);
        tokio::spawn(async move {
            let secured = tokio::select! {
                secured = tokio::time::timeout(limit, security.accept(stream)) => {
                    secured.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
                }
                () = stopping.cancelled() => return,
            };
            let stream = match secured {
                Ok(stream) => stream,
                Err(error) => return tracing::debug!(%error, "admin connection not secured"),
            };
            let connection = builder.serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                done = watcher.watch(connection) => if let Err(error) = done {
                    tracing::debug!(%error, "admin connection ended early");
                },
                () = cut.cancelled() => {}
            }
            drop(place);
        });
    }
    drop(listener);
    jobs.shutdown().await;
    drain(&state, graceful, &cut).await
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, remote) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, remote, place))
}

async fn drain(
    state: &AdminState,
    graceful: GracefulShutdown,
    cut: &CancellationToken,
) -> Result<(), ServeError> {
    state.stopping.cancel();
    let timeout = state.limits.drain_timeout;
    let deadline = tokio::time::Instant::now() + timeout;
    if tokio::time::timeout_at(deadline, graceful.shutdown()).await.is_err() {
        tracing::info!("open admin connections are cut");
    }
    cut.cancel();
    state.tasks.close();
    let ended = tokio::time::timeout_at(deadline, state.tasks.wait()).await;
    ended.map_err(|_| ServeError::ChangeUnfinished(timeout))
}
