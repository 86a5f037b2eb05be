//! Ingestion over HTTP: from bytes and credentials to receipts.
//!
//! `pipeline` is the life of a request as one function; `stage` has its stages, one module each;
//! `http` is the listener around it; `snapshot` and `revision` are the immutable state it reads.

mod event;
pub mod gateway;
pub mod options;
pub mod pipeline;
pub mod stage;

pub mod revision;
pub mod snapshot;

pub mod http;

pub use gateway::{Gateway, Health};
pub use options::{Endpoint, IngressOptions};
pub use revision::{Artifacts, Revision, Route};
pub use snapshot::{ApiKey, KeyState, Scopes, Snapshot, Tenant};
