//! Why files make no TLS.

use std::path::PathBuf;

/// Which file is wrong, how, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file cannot be read.
    #[error("{path} cannot be read: {source}")]
    Unreadable { path: PathBuf, source: std::io::Error },
    /// The file is no PEM of what it is to hold.
    #[error("{path} does not hold {wanted} in PEM: {reason}")]
    Malformed { path: PathBuf, wanted: &'static str, reason: String },
    /// Certificate and key are not of each other, or of a kind that is not spoken.
    #[error(
        "{certificate} and {key} cannot be used together: {reason}; the first certificate must be the listener's own, and the key its key"
    )]
    Unusable { certificate: PathBuf, key: PathBuf, reason: String },
    /// Nobody's certificate could be checked by them.
    #[error("{path} holds no roots that certificates can be checked by: {reason}")]
    Roots { path: PathBuf, reason: String },
    /// The program was built without TLS.
    #[error(
        "this build has no TLS: build with the feature `tls`, or leave {certificate} out of the configuration"
    )]
    NotBuilt { certificate: PathBuf },
}
