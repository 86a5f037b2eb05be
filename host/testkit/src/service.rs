//! Real services as processes of their own, on free ports, that end with who started them.

mod keeper;
pub mod oidc;
pub mod postgres;
pub mod redis;
pub mod registry;
