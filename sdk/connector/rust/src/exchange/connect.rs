//! How connections are made: TCP, and TLS over it where the crate is built with the feature `tls`.

use std::path::PathBuf;
use std::time::Duration;

use hyper_util::client::legacy::connect::HttpConnector;

use crate::exchange::client::ClientError;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Whom to trust, and who to be, where the URL begins with `https://`. The authorities that the system
/// trusts are trusted always.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    /// A PEM file with certificates of further authorities.
    pub ca_file: Option<PathBuf>,
    /// For a gateway that asks for a client's certificate.
    pub identity: Option<Identity>,
}

/// A client's certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// A PEM file: the certificate, and then those between it and the authority's.
    pub certificate_file: PathBuf,
    /// A PEM file with the private key: PKCS #8, PKCS #1 or SEC 1, without a password.
    pub key_file: PathBuf,
}

#[cfg(feature = "tls")]
pub(super) type Connector = hyper_rustls::HttpsConnector<HttpConnector>;
#[cfg(not(feature = "tls"))]
pub(super) type Connector = HttpConnector;

/// Connections to this URL, which is checked already as far as a connection has no part in it.
pub(super) fn connector(url: &str, options: &TlsOptions) -> Result<Connector, ClientError> {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let is_tls = url.starts_with("https:");
    if !is_tls && *options != TlsOptions::default() {
        // Who gives these does not mean to send a credential in the clear.
        let reason = "certificates are given, which are for https://";
        return Err(ClientError::InvalidUrl { url: url.to_owned(), reason });
    }
    over(tcp, is_tls, url, options)
}

#[cfg(feature = "tls")]
fn over(
    mut tcp: HttpConnector,
    is_tls: bool,
    _url: &str,
    options: &TlsOptions,
) -> Result<Connector, ClientError> {
    tcp.enforce_http(false);
    let config = if is_tls { super::tls::config(options)? } else { super::tls::unused() };
    let builder = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(config);
    Ok(builder.https_or_http().enable_http1().wrap_connector(tcp))
}

#[cfg(not(feature = "tls"))]
fn over(
    tcp: HttpConnector,
    is_tls: bool,
    url: &str,
    _options: &TlsOptions,
) -> Result<Connector, ClientError> {
    if is_tls {
        let reason = "this program is built without TLS";
        return Err(ClientError::InvalidUrl { url: url.to_owned(), reason });
    }
    Ok(tcp)
}
