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
mod keeper;
pub mod oidc;
pub mod postgres;
pub mod redis;
pub mod registry;
pub mod tenant;
pub mod tls;

pub use gateway::Gateway;
pub use http::{Connection, Response};
pub use oidc::Oidc;
pub use postgres::Postgres;
pub use redis::Redis;
pub use redis::wire::Wire;
pub use registry::{Registry, RegistrySettings};
pub use tenant::Tenant;
pub use tls::{Authority, Identity, Trust};
