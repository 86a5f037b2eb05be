//! What tests and benchmarks share: a real gateway process in a temporary folder, a tenant with its
//! key, components, a PostgreSQL, a Redis, an OCI registry, a server of OpenID Connect, and HTTP as bytes
//! on a socket. For tests alone: it panics where a test would fail.

#![allow(
    clippy::missing_panics_doc,
    clippy::indexing_slicing,
    reason = "a failed step of a test is a panic"
)]

pub mod component;
pub mod gateway;
pub mod http;
pub mod service;
pub mod tenant;
pub mod tls;

pub use gateway::Gateway;
pub use http::{Connection, Response};
pub use service::oidc::Oidc;
pub use service::postgres::Postgres;
pub use service::redis::Redis;
pub use service::redis::wire::Wire;
pub use service::registry::{Registry, RegistrySettings};
pub use service::{oidc, postgres, redis, registry};
pub use tenant::Tenant;
pub use tls::{Authority, Identity, Trust};
