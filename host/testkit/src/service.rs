//! Real services as processes of their own, on free ports, that end with who started them.

pub mod aws;
pub mod kafka;
mod keeper;
pub mod kinesis_fake;
pub mod oidc;
pub mod postgres;
pub mod redis;
pub mod registry;
pub mod s3;
