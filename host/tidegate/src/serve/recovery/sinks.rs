//! The sinks of the node, from its settings, and the forwarders that read the log for them.

mod kafka;
mod kinesis;
mod metrics;
pub(in super::super) mod notices;
mod routing;

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};
use tidegate_catalog::Catalog;
use tidegate_config::Config;
use tidegate_sinks::{
    DeadOptions, ForwardOptions, Forwarder, Outlet, OutletOptions, Outlets, Placed, Sink, Standing,
};
use tidegate_telemetry::Page;
use tidegate_types::{SinkName, TenantId};
use tidegate_wal::Wal;

#[cfg(feature = "kafka")]
pub(crate) use kafka::options as kafka_options;
use routing::CatalogRouting;

/// A sink with its name and who may use it; empty: every tenant.
struct Opened {
    name: SinkName,
    tenants: Vec<TenantId>,
    sink: Arc<dyn Sink>,
    /// What is to be ended with it.
    closing: Option<Box<dyn Close>>,
}

type Closing = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Something beside a sink that has an end of its own.
trait Close: Send + Sync {
    fn close(self: Box<Self>) -> Closing;
    fn report(&self, page: &mut Page);
}

/// Who may use a sink; empty: every tenant.
type Allowed = Vec<(SinkName, Vec<TenantId>)>;

/// The sinks of the node.
pub(in super::super) struct Sinks {
    outlets: Arc<Outlets>,
    allowed: Allowed,
    forwarders: Mutex<Vec<Forwarder>>,
    closing: Mutex<Vec<Box<dyn Close>>>,
}

/// Starts the clients of all sinks. Does not wait for what is outside.
pub(in super::super) fn open(config: &Config) -> anyhow::Result<Sinks> {
    let settings = &config.sinks;
    let options = OutletOptions { stall_after: settings.stall_after, ..OutletOptions::default() };
    let (mut outlets, mut allowed): (Vec<Arc<Outlet>>, Allowed) = (Vec::new(), Vec::new());
    let mut closing = Vec::new();
    for one in kafka::open(config)?.into_iter().chain(kinesis::open(config)?) {
        let Opened { name, tenants, sink, closing: ending } = one;
        closing.extend(ending);
        anyhow::ensure!(
            !allowed.iter().any(|(other, _)| *other == name),
            "there are two sinks `{name}`: give one of them another name"
        );
        outlets.push(Arc::new(Outlet::new(name.clone(), sink, options)));
        allowed.push((name, tenants));
    }
    let outlets = Arc::new(Outlets::new(outlets, settings.delivery_timeout));
    let closing = Mutex::new(closing);
    Ok(Sinks { outlets, allowed, forwarders: Mutex::default(), closing })
}

impl Sinks {
    pub(in super::super) fn outlets(&self) -> &Arc<Outlets> {
        &self.outlets
    }

    /// Finds each sink's place in the log and holds it. To be called before anything is truncated.
    pub(in super::super) fn place(
        &self,
        config: &Config,
        wal: &Wal,
    ) -> anyhow::Result<Vec<Placed>> {
        let settings = &config.sinks;
        if self.outlets.all().next().is_some() {
            std::fs::create_dir_all(&settings.directory)
                .with_context(|| format!("cannot make {}", settings.directory.display()))?;
        }
        let place = |outlet: &Arc<Outlet>| {
            let file = settings.directory.join(format!("{}.position", outlet.name()));
            let options = ForwardOptions {
                in_flight_bytes: settings.in_flight_bytes,
                cursor_every: settings.cursor_interval,
                dead: DeadOptions {
                    full_letters: settings.dead_letters_per_minute,
                    ..DeadOptions::default()
                },
                ..ForwardOptions::new(file)
            };
            Forwarder::place(Arc::clone(outlet), wal.clone(), options)
        };
        Ok(self.outlets.all().map(place).collect())
    }

    /// Starts the forwarders.
    pub(in super::super) fn start(
        &self,
        placed: Vec<Placed>,
        catalog: &Arc<Catalog>,
    ) -> anyhow::Result<()> {
        let routing = Arc::new(CatalogRouting::new(Arc::clone(catalog)));
        let started: std::io::Result<Vec<Forwarder>> =
            placed.into_iter().map(|placed| placed.start(routing.clone())).collect();
        *self.forwarders() = started.context("the thread of a sink cannot be started")?;
        Ok(())
    }

    fn forwarders(&self) -> std::sync::MutexGuard<'_, Vec<Forwarder>> {
        self.forwarders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// May the tenant's events go to this sink?
    pub(in super::super) fn check(&self, tenant: &TenantId, sink: &SinkName) -> Result<(), String> {
        match self.allowed.iter().find(|(name, _)| name == sink) {
            Some((_, tenants)) if tenants.is_empty() || tenants.contains(tenant) => Ok(()),
            // What others have is not told.
            Some(_) | None => {
                let mine = self
                    .allowed
                    .iter()
                    .filter(|(_, tenants)| tenants.is_empty() || tenants.contains(tenant));
                let mine: Vec<_> = mine.map(|(name, _)| format!("`{name}`")).collect();
                let there = match mine.as_slice() {
                    [] => "this node has none for the tenant".to_owned(),
                    some => format!("there are {}", some.join(", ")),
                };
                Err(format!("there is no sink `{sink}`; {there}"))
            }
        }
    }

    /// Has the sinks take what is durable, up to a time. Blocks.
    pub(in super::super) fn drain(&self, timeout: Duration) {
        let until = Instant::now() + timeout;
        let mut forwarders = std::mem::take(&mut *self.forwarders());
        for forwarder in &mut forwarders {
            if !forwarder.drain(until) {
                let (sink, lag) = (forwarder.outlet().name().clone(), forwarder.stats().lag);
                let sink = sink.as_str();
                tracing::warn!(
                    sink,
                    lag,
                    "the sink lacks records, they are sent after the next start"
                );
            }
        }
        for outlet in self.outlets.all() {
            if !outlet.flush(until) {
                // No answer waits for these any more.
                let (sink, open) = (outlet.name().as_str(), outlet.stats().open);
                tracing::warn!(sink, open, "the sink has not acknowledged all that it took");
            }
        }
    }

    /// Ends what is beside the sinks.
    pub(in super::super) async fn close(&self) {
        let closing = std::mem::take(&mut *self.closing());
        for one in closing {
            one.close().await;
        }
    }

    fn closing(&self) -> std::sync::MutexGuard<'_, Vec<Box<dyn Close>>> {
        self.closing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For the status of the node.
    pub(in super::super) fn status(&self) -> Value {
        let forwarders = self.forwarders();
        let of = |outlet: &Arc<Outlet>| {
            let stats = outlet.stats();
            let (failing, stalled_ms) = match outlet.standing() {
                Standing::Working => (outlet.sink().failing(), 0),
                Standing::Stalled { since, why } => {
                    let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
                    (why.or_else(|| Some("nothing is delivered".to_owned())), millis)
                }
            };
            let forward = forwarders.iter().find(|one| one.outlet().name() == outlet.name());
            let forward = forward.map(Forwarder::stats).unwrap_or_default();
            json!({
                "name": outlet.name(),
                "delivered": stats.delivered,
                "open": stats.open,
                "dead_letters": stats.dead,
                "acknowledged_lsn": forward.acknowledged,
                "lag": forward.lag,
                "stalled_ms": stalled_ms,
                "failing": forward.stuck.or(failing),
            })
        };
        self.outlets.all().map(of).collect()
    }

    pub(in super::super) fn report(&self, page: &mut Page) {
        let forwarders = self.forwarders();
        for outlet in self.outlets.all() {
            let forward = forwarders.iter().find(|one| one.outlet().name() == outlet.name());
            metrics::report(outlet, forward.map(Forwarder::stats).as_ref(), page);
        }
        self.closing().iter().for_each(|one| one.report(page));
    }
}
