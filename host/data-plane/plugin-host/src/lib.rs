//! The plugin host: compiles rule components, runs them over batches of events in a sandbox, and
//! checks everything that comes back.
//!
//! In the order of a component's life: `compile` turns its bytes into code (scanned, compiled in a
//! child process, cached under a MAC); `guest` is what an instance sees of the host (columns,
//! kernels, tables, log, a WASI without clock, files or network), in each version of the contract;
//! `rule` is a component with its configuration and its warm stores; `plan` is the chain of a revision's rules over one batch;
//! `certify` puts an uploaded component to the proof, step by step.

pub mod limits;
pub mod table;

mod engine;

pub mod compile;

mod guest;

pub mod evaluate;
pub mod host;

pub mod certify;

pub use certify::{CertifyOptions, CertifyReport};
pub use compile::{CompileError, Compiled, Component};
pub use evaluate::{
    Batch, EvaluateError, FallbackError, Judgement, Occurrences, Plan, PlanRule, Replaced, Row,
    StandIn, Tables,
};
pub use guest::contract::{self, ContractVersion, Contracts, VersionError};
pub use guest::manifest::{Field, Manifest, Role, Source};
pub use host::clock::Clock;
pub use host::{HostError, HostOptions, PluginHost};
pub use limits::{CallLimits, Limits, TenantLimits};
pub use table::Table;
