//! The listeners: where they are, how they are secured, and new certificates for them.

pub(super) mod signals;
pub(super) mod telemetry;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use tidegate_config::Config;
use tidegate_tls::{Files, Security};
use tokio::net::TcpListener;
use tokio::signal::unix::Signal;

/// How each listener takes connections.
#[derive(Clone)]
pub(super) struct Secured {
    pub(super) ingress: Security,
    pub(super) admin: Security,
}

pub(super) async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))
}

/// # Errors
/// Where a certificate is named that cannot be used.
pub(super) fn open(config: &Config) -> anyhow::Result<Secured> {
    let (events, admin) = (&config.ingress, &config.admin);
    let ingress = security(
        (&events.tls_certificate, &events.tls_key, &events.tls_client_ca),
        &[b"h2", b"http/1.1"],
    );
    let ingress = ingress.context("the listener for events has no TLS")?;
    let admin =
        security((&admin.tls_certificate, &admin.tls_key, &admin.tls_client_ca), &[b"http/1.1"]);
    let admin = admin.context("the listener for administration has no TLS")?;
    if !admin.is_tls() && !config.admin.address.ip().is_loopback() {
        tracing::warn!(
            address = %config.admin.address,
            "the admin API is served without TLS on an address that is no loopback one: tokens can be read on the way; set admin.tls_certificate"
        );
    }
    Ok(Secured { ingress, admin })
}

type Named<'a> = (&'a Option<PathBuf>, &'a Option<PathBuf>, &'a Option<PathBuf>);

fn security(
    (certificate, key, client_ca): Named<'_>,
    protocols: &[&[u8]],
) -> anyhow::Result<Security> {
    // The configuration's checks let neither be there without the other.
    let (Some(certificate), Some(key)) = (certificate.clone(), key.clone()) else {
        return Ok(Security::plain());
    };
    let files = Files { certificate, key, client_ca: client_ca.clone() };
    Ok(Security::tls(files, protocols)?)
}

impl Secured {
    /// Looks at the files again, so often and at each signal, until it is dropped. What cannot be
    /// used changes nothing.
    pub(super) async fn renew(self, every: Duration, mut signal: Signal) {
        let mut turn = tokio::time::interval(every);
        turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = turn.tick() => {}
                _ = signal.recv() => {}
            }
            let both = self.clone();
            let looked = tokio::task::spawn_blocking(move || both.look()).await;
            if let Err(error) = looked {
                tracing::error!(%error, "certificates could not be looked at");
            }
        }
    }

    fn look(&self) {
        for (listener, security) in [("ingress", &self.ingress), ("admin", &self.admin)] {
            match security.reload() {
                Ok(true) => tracing::info!(listener, "new certificates in use"),
                Ok(false) => {}
                Err(error) => {
                    tracing::error!(listener, %error, "new certificates not used; the former ones stay");
                }
            }
        }
    }
}

/// Tells other programs where the node listens: `addresses.json` in the data folder.
pub(super) fn write_addresses(
    folder: &Path,
    secured: &Secured,
    [ingress, admin, metrics]: [&TcpListener; 3],
) -> anyhow::Result<()> {
    let addresses = serde_json::json!({
        "ingress": ingress.local_addr()?.to_string(),
        "admin": admin.local_addr()?.to_string(),
        "metrics": metrics.local_addr()?.to_string(),
        "ingress_tls": secured.ingress.is_tls(),
        "admin_tls": secured.admin.is_tls(),
    });
    let (path, new) = (folder.join("addresses.json"), folder.join("addresses.json.new"));
    std::fs::write(&new, addresses.to_string())
        .and_then(|()| std::fs::rename(&new, &path))
        .with_context(|| format!("cannot write {}", path.display()))
}
