//! The catalog: tenants, API keys, schemas, reference tables, components, revisions and which of
//! these are active. A database says what there is: SQLite in the node's folder, or PostgreSQL, which
//! several nodes share. Large content lies in the folder as files named by their SHA-256.
//!
//! Every call blocks on disk or network: async callers use a blocking thread. A call that changes
//! something has made it durable when it returns. Nothing is deleted: revisions, components and
//! tables stay as long as an event could cite them.

pub mod catalog;

pub mod api_key;
pub mod artifact;
pub mod table_content;

mod blobs;
mod database;
mod error;

pub use api_key::ApiKey;
pub use artifact::{ArtifactName, Page, Put, Selector};
pub use catalog::access::audit::{self, AuditEntry, AuditKind, AuditRecord};
pub use catalog::access::keys::{DEFAULT_RATE_LIMIT, ForeignKey, KeyRecord, NewKey, Scope};
pub use catalog::access::signing::SigningKey;
pub use catalog::access::tokens::{
    AccessScope, AccessToken, AccessTokenRecord, NewAccessToken, UnknownAccessScope,
};
pub use catalog::activations::{Activation, ActivationKind, ActiveRevision};
pub use catalog::components::jobs::{Admission, Ending, Job, JobState};
pub use catalog::components::{BuiltinComponent, Component, ComponentSource};
pub use catalog::fleet::bulk::{BulkCounts, BulkEnd, BulkJob, NewBulkJob};
pub use catalog::fleet::nodes::{NodeRecord, NodeReport, NodeRevision, NodeRevisionState};
pub use catalog::fleet::watch::{Heard, Watch};
pub use catalog::revisions::{RevisionState, RevisionSummary, StoredRevision};
pub use catalog::rollouts::{Ended, RolloutEnd, RolloutRecord, RunningRollout};
pub use catalog::schemas::Schema;
pub use catalog::tables::{StagedTable, Table};
pub use catalog::tenants::Tenant;
pub use catalog::tenants::cases::CasePolicy;
pub use catalog::tenants::limits::OwnLimits;
pub use catalog::{Catalog, Limits};
pub use database::{DatabaseError, DatabaseErrorKind, DatabaseOptions};
pub use error::CatalogError;
pub use table_content::{TableCells, TableContent, TableError, TableSource};
