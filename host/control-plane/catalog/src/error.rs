//! Why a call of the catalog failed.

use std::path::PathBuf;
use std::time::Duration;

use tidegate_types::{Digest, UnixMillis};

use crate::database::{DatabaseError, DatabaseErrorKind};
use crate::table_content::TableError;

/// Why a call of the catalog failed.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// The named thing is not there.
    #[error("there is no {what} `{name}`")]
    NotFound { what: &'static str, name: String },
    /// The name is taken by something else.
    #[error("the name `{name}` is taken by a {what}")]
    Taken { what: &'static str, name: String },
    /// Another node reports itself under the name.
    #[error(
        "the node's name `{name}` is taken: a node on {place} shares this catalog under it, and was \
         seen {} s ago; give each node a name of its own (`node.name`, in the environment \
         TIDEGATE_NODE__NAME), or, where that one is gone for good, start again in {} s \
         (catalog.node_lost_after)",
        seen_ago.as_secs(), free_in.as_secs() + 1
    )]
    NodeNameTaken { name: String, place: String, seen_ago: Duration, free_in: Duration },
    /// An argument breaks its rule.
    #[error("{0}")]
    Invalid(String),
    /// A reference table's text cannot be used.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The content is larger than is taken.
    #[error("a {what} has at most {limit} bytes")]
    TooLarge { what: &'static str, limit: u64 },
    /// A maximum number is reached.
    #[error("there are at most {limit} {what}, and all are used")]
    Full { what: &'static str, limit: u64 },
    /// What a tenant may use is used up.
    #[error("the tenant may have {limit} {what}, and has used them up")]
    Quota { what: &'static str, limit: u64, frees_at: Option<UnixMillis> },
    /// There is no activation to go back to.
    #[error("no revision was active before this one")]
    NothingBefore,
    /// What lies on the disk is not what was stored.
    #[error("the content {digest} is damaged or missing on the disk: {reason}")]
    DamagedBlob { digest: Digest, reason: &'static str },
    /// The database comes from a newer program.
    #[error("the catalog has version {found}, this program knows versions up to {known}")]
    NewerVersion { found: i64, known: i64 },
    /// The database failed.
    #[error("the catalog's database failed")]
    Database(#[source] DatabaseError),
    /// The file system failed.
    #[error("cannot {doing} {}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: std::io::Error },
    /// A thread cannot start.
    #[error("the thread that watches the catalog cannot start: {0}")]
    Thread(std::io::Error),
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes: {0}")]
    Random(getrandom::Error),
}

impl From<DatabaseError> for CatalogError {
    fn from(error: DatabaseError) -> Self {
        match error.kind() {
            DatabaseErrorKind::Invalid => Self::Invalid(error.to_string()),
            _ => Self::Database(error),
        }
    }
}

impl CatalogError {
    /// Has the disk run full?
    #[must_use]
    pub fn is_storage_full(&self) -> bool {
        match self {
            Self::Io { source, .. } => source.kind() == std::io::ErrorKind::StorageFull,
            Self::Database(error) => error.kind() == DatabaseErrorKind::StorageFull,
            _ => false,
        }
    }

    /// Is the database out of reach? The same call may work later.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Database(error) if error.kind() == DatabaseErrorKind::Unavailable)
    }

    pub(crate) fn not_found(what: &'static str, name: impl ToString) -> Self {
        Self::NotFound { what, name: name.to_string() }
    }
}
