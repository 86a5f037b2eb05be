//! How one listener takes connections, and how it is told of new certificates.

use std::io;
use std::path::PathBuf;

use tokio::net::TcpStream;

use crate::{Stream, TlsError};

/// Where certificates and keys are, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The listener's certificate, then those that lead to a root.
    pub certificate: PathBuf,
    /// Its private key: PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
    /// Roots of the certificates that clients must show; without it none is asked for.
    pub client_ca: Option<PathBuf>,
}

/// How one listener takes connections. Clones are the same listener.
#[derive(Clone, Default)]
pub struct Security {
    #[cfg(feature = "rustls")]
    tls: Option<std::sync::Arc<crate::material::Tls>>,
}

impl Security {
    /// Connections as they come.
    #[must_use]
    pub fn plain() -> Self {
        Self::default()
    }

    /// TLS alone. `protocols` are offered by ALPN (RFC 7301), the preferred one first.
    ///
    /// # Errors
    /// Where the files do not make it, or the program was built without TLS.
    #[cfg(feature = "rustls")]
    pub fn tls(files: Files, protocols: &[&[u8]]) -> Result<Self, TlsError> {
        let tls = crate::material::Tls::open(files, protocols)?;
        Ok(Self { tls: Some(std::sync::Arc::new(tls)) })
    }

    /// TLS alone. `protocols` are offered by ALPN (RFC 7301), the preferred one first.
    ///
    /// # Errors
    /// Where the files do not make it, or the program was built without TLS.
    #[cfg(not(feature = "rustls"))]
    pub fn tls(files: Files, _: &[&[u8]]) -> Result<Self, TlsError> {
        Err(TlsError::NotBuilt { certificate: files.certificate })
    }

    /// Whether connections are TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        #[cfg(feature = "rustls")]
        return self.tls.is_some();
        #[cfg(not(feature = "rustls"))]
        false
    }

    /// The connection once it is secured. How long a client may take is the caller's to bound.
    ///
    /// # Errors
    /// Where the client does not speak TLS, or shows no certificate that is trusted where one is
    /// wanted.
    #[cfg_attr(not(feature = "rustls"), expect(clippy::unused_async, reason = "TLS waits"))]
    pub async fn accept(&self, stream: TcpStream) -> io::Result<Stream> {
        #[cfg(feature = "rustls")]
        if let Some(tls) = &self.tls {
            return Ok(Stream::Tls(Box::new(tls.accept(stream).await?)));
        }
        Ok(Stream::Plain(stream))
    }

    /// Reads the files again; whether connections are secured by others from now on. Those that are
    /// open stay as they are. Blocks on the file system.
    ///
    /// # Errors
    /// Where files have changed and do not make TLS: the former ones stay. Told once for each
    /// change.
    pub fn reload(&self) -> Result<bool, TlsError> {
        #[cfg(feature = "rustls")]
        if let Some(tls) = &self.tls {
            return tls.reload();
        }
        Ok(false)
    }
}
