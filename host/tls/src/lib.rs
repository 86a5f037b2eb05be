//! How a listener takes connections: plain, or TLS 1.2 and 1.3 (rustls), with certificates that are
//! read anew while it listens and, where wanted, certificates of its clients. And whom the gateway
//! trusts where it is a client itself.

#[cfg(feature = "rustls")]
mod client;
mod error;
#[cfg(feature = "rustls")]
mod material;
mod security;
mod stream;

#[cfg(feature = "rustls")]
pub use client::{Trust, innermost, trust};
pub use error::TlsError;
pub use security::{Files, Security};
pub use stream::Stream;
