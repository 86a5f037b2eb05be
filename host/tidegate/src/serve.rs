//! Runs the gateway: opens what the node keeps, wires the planes together, listens, and drains when
//! it is told to stop.

mod again;
mod converge;
mod data_plane;
mod guard;
mod in_force;
mod listeners;
mod options;
mod recovery;
mod warm;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use tidegate_admin_api::{AdminState, AdminToken, DataPlane as _};
use tidegate_catalog::{ArtifactName, BuiltinComponent, Catalog, NodeReport};
use tidegate_config::{Config, LogFormat};
use tidegate_ingest::Gateway;
use tidegate_notices::Notices;
use tidegate_plugin_host::PluginHost;
use tidegate_storage::Storage;
use tidegate_types::Digest;
use tidegate_wal::Wal;
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

use converge::membership;
use data_plane::Node;
use listeners::signals::{Signals, hang_ups};
use listeners::telemetry;
#[cfg(feature = "kafka")]
pub(crate) use recovery::sinks::kafka_options;

/// Runs until the process is told to stop by SIGTERM or SIGINT, then drains.
///
/// # Errors
/// Where the node cannot start: the message says what is wrong and where.
pub(crate) fn run(config: Config) -> anyhow::Result<()> {
    start_log(&config);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.workers.threads)
        .enable_all()
        .build()
        .context("the runtime cannot start")?;
    runtime.block_on(serve(config))
}

/// Compiles one component for the process that started this one.
pub(crate) fn compile(arguments: &[String]) -> ExitCode {
    tidegate_plugin_host::compile::child::main(arguments)
}

fn start_log(config: &Config) {
    let filter = EnvFilter::new(config.log.level.as_str());
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.log.format {
        LogFormat::Text => subscriber.with_ansi(false).init(),
        LogFormat::Json => subscriber.json().init(),
    }
}

/// What a running node consists of.
struct Parts {
    gateway: Arc<Gateway>,
    admin: AdminState,
    node: Arc<Node>,
    storage: Arc<Storage>,
    notices: Option<Notices>,
    wal: Wal,
    /// How this node reports itself to those that share its catalog.
    report: NodeReport,
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let mut stop = Signals::listen().context("signals cannot be listened to")?;
    // Listening first: a port that is taken is told before anything else is touched.
    let ingress = listeners::bind(config.ingress.address).await?;
    let admin_listener = listeners::bind(config.admin.address).await?;
    let metrics = listeners::bind(config.telemetry.metrics_address).await?;
    let secured = listeners::open(&config)?;
    let parts = open(&config, ingress.local_addr()?).await?;
    let bound = [&ingress, &admin_listener, &metrics];
    listeners::write_addresses(&config.data_dir, &secured, bound)?;
    let (measuring, exporting) = telemetry::start(&parts.node, metrics);
    let (stopping, stopped) = watch::channel(false);
    let serving = tokio::spawn(tidegate_ingest::http::serve(
        Arc::clone(&parts.gateway),
        ingress,
        secured.ingress.clone(),
        raised(stopped.clone()),
    ));
    let guarding = tokio::spawn(guard::run(Arc::clone(&parts.gateway), parts.admin.clone()));
    let converging = converge::start(&config, &parts.node, parts.report.clone()).await?;
    let trying = tokio::spawn(in_force::failing::run(Arc::clone(&parts.node)));
    let telling = tokio::spawn(in_force::last_used::run(
        Arc::clone(&parts.node),
        config.keys.last_used_interval,
    ));
    let administering = tokio::spawn(tidegate_admin_api::serve(
        admin_listener,
        secured.admin.clone(),
        parts.admin,
        raised(stopped),
    ));
    let renewing = tokio::spawn(secured.renew(config.tls.check_interval, hang_ups()?));
    // Keys that only the log has are settled first, by a store that may not be there yet.
    tokio::select! {
        () = parts.gateway.keys().recovered() => {
            parts.gateway.health.set_ready();
            tracing::info!(node = config.node.name, "gateway ready");
            stop.received().await;
        }
        () = stop.received() => {}
    }
    tracing::info!("gateway stopping");
    guarding.abort();
    converging.abort();
    trying.abort();
    telling.abort();
    renewing.abort();
    parts.gateway.health.set_draining();
    // A second signal cuts it short.
    tokio::select! {
        () = tokio::time::sleep(config.ingress.drain_delay) => {}
        () = stop.received() => {}
    }
    stopping.send_replace(true);
    let served = serving.await;
    if tokio::time::timeout(config.ingress.drain_timeout, parts.gateway.drained()).await.is_err() {
        tracing::warn!("requests were still worked on after the drain timeout");
    }
    parts.gateway.keys().close().await;
    let administered = administering.await;
    in_force::last_used::tell(&parts.node).await;
    // What was acknowledged is published and sealed however the listeners ended.
    close(&parts.node, (parts.storage, parts.notices), parts.wal, &config).await?;
    parts.node.sinks.close().await;
    exporting.close().await;
    measuring.abort();
    membership::leave(Arc::clone(&parts.node.catalog), parts.report).await;
    served?.context("the ingress listener failed")?;
    Ok(administered??)
}

/// Publishes what is durable and seals the log.
async fn close(
    node: &Arc<Node>,
    (storage, notices): (Arc<Storage>, Option<Notices>),
    wal: Wal,
    config: &Config,
) -> anyhow::Result<()> {
    let timeout = config.ingress.drain_timeout;
    let (node, for_sinks) = (Arc::clone(node), config.sinks.drain_timeout);
    let closed = tokio::task::spawn_blocking(move || {
        node.sinks.drain(for_sinks);
        if let Err(error) = storage.flush(timeout) {
            tracing::warn!(%error, "stored events stay in the log until the next start");
        }
        storage.close();
        if let Some(notices) = notices {
            notices.close();
        }
        wal.seal_and_close();
    });
    closed.await.context("closing failed")?;
    tracing::info!("gateway stopped");
    Ok(())
}

/// Resolves when the node is stopping.
async fn raised(mut stopped: watch::Receiver<bool>) {
    // The sender lives as long as the node.
    drop(stopped.wait_for(|stopped| *stopped).await);
}

async fn open(config: &Config, ingress: SocketAddr) -> anyhow::Result<Parts> {
    let folder = &config.data_dir;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let telemetry = telemetry::Telemetry::open(config)?;
    let catalog = open_catalog(config).await?;
    let plugins =
        PluginHost::new(options::plugins(config)?).context("the plugin host cannot start")?;
    let token = AdminToken::load_or_create(&config.admin.token_file)?;
    let layouts = Arc::new(recovery::layouts::CatalogLayouts::new(Arc::clone(&catalog)));
    let settings = config.clone();
    let sinks = Arc::new(recovery::sinks::open(config)?);
    let for_recovery = Arc::clone(&sinks);
    let recovering = move || recovery::open(&settings, layouts, &for_recovery);
    let recovered = tokio::task::spawn_blocking(recovering).await??;
    let recovery::Recovered { keys, wal, storage, link, placed } = recovered;
    sinks.start(placed, &catalog)?;
    // The log's lock says by now that no other process serves the folder.
    let report = membership::join(config, &catalog, ingress).await?;
    let storage = Arc::new(storage);
    let notices = recovery::sinks::notices::start(config, &sinks, &storage)?;
    let buckets = recovery::redis::buckets(config, link.as_ref());
    let receipts = Arc::new(again::receipts::StoredReceipts(Arc::clone(&storage)));
    let gateway = Gateway::new(
        options::ingress(config)?,
        &config.node.name,
        keys,
        wal.clone(),
        buckets,
        receipts,
    )
    .context("the thread for shadows cannot be started")?
    .with_sinks(Arc::clone(sinks.outlets()));
    let gateway = match options::tokens::open(config)? {
        Some(tokens) => gateway.with_tokens(tokens),
        None => gateway,
    };
    let gateway = Arc::new(match telemetry.spans() {
        Some(spans) => gateway.with_spans(spans),
        None => gateway,
    });
    let settings = (options::schemas(config), options::quotas(config)?);
    let stores = (storage.clone(), wal.clone(), link, sinks);
    let node = Node::new(&catalog, Arc::new(plugins), &gateway, stores, settings, telemetry);
    let node = Arc::new(node);
    let (data_plane, builtins) = (Arc::clone(&node) as _, builtins()?);
    let name = config.node.name.clone();
    let limits = options::admin(config);
    let administer = move || AdminState::new(catalog, data_plane, token, &builtins, &name, limits);
    let admin = tokio::task::spawn_blocking(administer).await?;
    let mut admin = admin.context("the built-in rules cannot be registered")?;
    if let Some(registry) = options::registries::open(config)? {
        admin = admin.with_registry(registry);
    }
    node.publish(None).await.context("the active revisions cannot be put in force")?;
    admin.catch_up().await.context("followed tables cannot be read")?;
    admin.resume_jobs().await.context("jobs that ran cannot be read")?;
    Ok(Parts { gateway, admin, node, storage, notices, wal, report })
}

async fn open_catalog(config: &Config) -> anyhow::Result<Arc<Catalog>> {
    let (folder, limits) = (config.data_dir.join("catalog"), options::catalog(config));
    let database = options::database(config);
    let opening = move || Catalog::open_with(&folder, limits, &database);
    let opened = tokio::task::spawn_blocking(opening).await?;
    Ok(Arc::new(opened.context("the catalog cannot be opened")?))
}

/// The first-party rules.
fn builtins() -> anyhow::Result<Vec<BuiltinComponent>> {
    let components = tidegate_plugins::all().iter().map(|builtin| {
        Ok(BuiltinComponent {
            name: ArtifactName::new(builtin.name)?,
            version: builtin.version.to_owned(),
            digest: Digest::of(builtin.component),
            bytes: bytes::Bytes::from_static(builtin.component),
        })
    });
    components.collect()
}
