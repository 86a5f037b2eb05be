//! Ingestion over HTTP: from bytes and credentials to receipts.
//!
//! `pipeline` is the life of a request as one function; `stage` has its stages, one module each;
//! `http` is the listener around it; `force` is the immutable state it reads; `rejudge` judges
//! events once more, for shadows, replays and explanations.

// What a request holds across its waits nests deeper than the default.
#![recursion_limit = "256"]

mod event;
pub mod gateway;
mod observe;
pub mod pipeline;
pub mod stage;

pub mod force;
pub mod rejudge;

pub mod http;

pub use force::keys::{ApiKey, KeyState, LastUsed, Scopes, WriteScope};
pub use force::revision::{Artifacts, Revision, Route};
pub use force::rollout::{InForce, Rollout};
pub use force::snapshot::Snapshot;
pub use gateway::options::{self, ClientAddress, Endpoint, IngressOptions};
pub use gateway::{Gateway, Health};
pub use http::access::AccessLog;
pub use http::anonymous::Anonymous;
pub use http::receipts::{ReadReceipt, Receipts};
pub use http::{PUBLIC_ROUTES, PublicRoute};
pub use stage::authenticate::bearer::{Bearer, BearerTokens, Disbelief};
