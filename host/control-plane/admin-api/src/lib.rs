//! The admin API: HTTP on a listener of its own, through which tenants, keys, schemas, tables,
//! plugins and revisions change. `host/docs/admin-api.md` is its reference.
//!
//! A change is checked by the data plane, made durable in the catalog, and then published. Changes
//! run one after the other, each as a task of its own that outlives its client. Uploaded components
//! are admitted by jobs in the background, one at a time.

pub mod serve;
pub mod state;
pub mod token;

mod routes;

mod request;
mod resolve;

mod answer;

pub mod data_plane;

pub use data_plane::workbench::{
    HeldDecision, HeldFilter, HeldGroup, HeldPatch, NotSettled, Rest, SettlePage, Settled,
    Workbench,
};
pub use data_plane::{
    ActiveRule, BoxFuture, Certified, ComponentRegistry, DataPlane, FailingRevision, Inspection,
    LogRequest, ParquetLimits, ReplayRequest, Verdict,
};
pub use routes::revisions::quorum::Quorum;
pub use routes::revisions::replays::ReplayProgress;
pub use routes::{Declared, routes};
pub use serve::{ServeError, serve};
pub use state::{AdminState, Limits, TakeBack};
pub use token::{AdminToken, TokenError};
