//! What tests and benchmarks share: a real gateway process in a temporary folder, a tenant with its
//! key, components, a PostgreSQL, a Redis, a Kafka, an OCI registry, a server of OpenID Connect, one of S3,
//! servers that speak as AWS does, and HTTP as bytes on a socket. For tests alone: it panics where a test would
//! fail.

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
pub use service::aws::AwsServer;
pub use service::kafka::Kafka;
pub use service::kinesis_fake::KinesisFake;
pub use service::oidc::Oidc;
pub use service::postgres::Postgres;
pub use service::redis::Redis;
pub use service::redis::wire::Wire;
pub use service::registry::{Registry, RegistrySettings};
pub use service::s3::S3;
pub use service::{aws, kafka, kinesis_fake, oidc, postgres, redis, registry, s3};
pub use tenant::Tenant;
pub use tls::{Authority, Identity, Trust};
