//! Both listeners in TLS: who is spoken to and who is not, certificates that are replaced while the
//! gateway runs, and clients that show certificates of their own.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail the test")]

mod clients;
mod renewal;
mod spoken;

use std::path::Path;

use tidegate_testkit::{Authority, Connection, Gateway, Identity, Trust};

const LISTENERS: [&str; 2] = ["INGRESS", "ADMIN"];

/// The settings of both listeners with this certificate.
fn settings(identity: &Identity, client_ca: Option<&Path>) -> Vec<(String, String)> {
    let text = |path: &Path| path.display().to_string();
    let mut settings = Vec::new();
    for listener in LISTENERS {
        settings.push((format!("{listener}__TLS_CERTIFICATE"), text(&identity.certificate)));
        settings.push((format!("{listener}__TLS_KEY"), text(&identity.key)));
        if let Some(roots) = client_ca {
            settings.push((format!("{listener}__TLS_CLIENT_CA"), text(roots)));
        }
    }
    settings
}

/// A gateway with these settings and others.
fn start(settings: &[(String, String)], others: &[(&str, &str)], trust: Trust) -> Gateway {
    let mut all: Vec<_> = settings.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    all.extend_from_slice(others);
    Gateway::start_secured(&all, trust)
}

fn ping(connection: &mut Connection) -> std::io::Result<u16> {
    Ok(connection.request("GET", "/v1/ping", &[], b"")?.status)
}

/// The listener's certificate as a new connection sees it.
fn seen(address: &str, trust: &Trust) -> Vec<u8> {
    Connection::open_tls(address, trust).unwrap().agreed().unwrap().1
}

fn plain_trust(authority: &Authority) -> Trust {
    Trust::new(authority, None, &[])
}
