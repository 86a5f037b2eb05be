//! What the admin API asks of the data plane. The binary implements it, so that neither plane
//! depends on the other.

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tidegate_types::problem::ProblemPart;
use tidegate_types::revision::RevisionDocument;
use tidegate_types::{Problem, TenantId};

/// A boxed future, the same type as `futures::future::BoxFuture`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The data plane as the control plane sees it. Every call is bounded in time by its implementor.
pub trait DataPlane: Send + Sync + 'static {
    /// Scans, compiles and links a component.
    ///
    /// # Errors
    /// Everything that speaks against the component; pointers may be empty.
    fn inspect(&self, component: Bytes) -> BoxFuture<'_, Result<Inspection, Vec<ProblemPart>>>;

    /// Is this a JSON Schema that events can be checked against? Called on a blocking thread.
    ///
    /// # Errors
    /// Everything that speaks against the schema, by pointers into it.
    fn check_schema(&self, bytes: &[u8]) -> Result<(), Vec<ProblemPart>>;

    /// Configures every rule of a revision whose references are resolved; their bytes are in the
    /// catalog.
    ///
    /// # Errors
    /// Everything that speaks against the revision, by pointers into its document.
    fn check_revision(
        &self,
        tenant: &TenantId,
        document: &RevisionDocument,
    ) -> BoxFuture<'_, Result<(), Vec<ProblemPart>>>;

    /// Builds a snapshot from the catalog and swaps it in. When it has returned, new batches are
    /// judged by it.
    ///
    /// # Errors
    /// Where the catalog's state cannot be put in force; the snapshot before stays.
    fn publish(&self) -> BoxFuture<'_, Result<(), Problem>>;

    /// What the data plane says of itself: members of a JSON object for the node's status.
    fn status(&self) -> serde_json::Map<String, serde_json::Value>;
}

/// What the data plane found out about a component.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspection {
    /// The interfaces it imports, such as `tidegate:rules/batch@1.0.0`.
    pub imports: Vec<String>,
    /// The interfaces it exports.
    pub exports: Vec<String>,
    /// What compiling it took, in milliseconds.
    pub compile_ms: u64,
    /// The size of the compiled code, in bytes.
    pub code_bytes: u64,
    /// What it declares for the configuration `{}`, where it accepts that.
    #[serde(default)]
    pub manifest: Option<serde_json::Value>,
}
