//! One request and what follows from its answer, and the connection that it goes over.

pub(crate) mod answer;
pub(crate) mod backoff;
pub(crate) mod body;
pub(crate) mod client;
pub(crate) mod connect;
#[cfg(feature = "tls")]
mod tls;
