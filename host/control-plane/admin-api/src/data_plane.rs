//! What the admin API asks of the data plane. The binary implements it, so that neither plane
//! depends on the other.

pub mod workbench;

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tidegate_catalog::{CasePolicy, StoredRevision, TableCells};
use tidegate_telemetry::Page;
use tidegate_types::problem::ProblemPart;
use tidegate_types::revision::RevisionDocument;
use tidegate_types::{Digest, EventId, Problem, RuleName, TenantId, UnixMillis};
use tokio::sync::mpsc;

use crate::routes::revisions::replays::ReplayProgress;
use workbench::Workbench;

/// A boxed future, the same type as `futures::future::BoxFuture`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The data plane as the control plane sees it. Every call is bounded in time by its implementor.
pub trait DataPlane: Send + Sync + 'static {
    /// The steps in which a component is put to the proof, in their order.
    fn admission_steps(&self) -> &'static [&'static str];

    /// Puts a component to the proof for a tenant: under its limits, and by what it asks of golden
    /// cases. Each step that is done is sent as a JSON object
    /// with its name in `step`. Dropping the future ends what is under way.
    fn certify(
        &self,
        tenant: &TenantId,
        component: Bytes,
        cases: CasePolicy,
        done: mpsc::Sender<Value>,
    ) -> BoxFuture<'_, Certified>;

    /// Is this a JSON Schema that events can be checked against? Called on a blocking thread.
    ///
    /// # Errors
    /// Everything that speaks against the schema, by pointers into it.
    fn check_schema(&self, bytes: &[u8]) -> Result<(), Vec<ProblemPart>>;

    /// Reads a reference table from a Parquet file, within limits. Called on a blocking thread.
    ///
    /// # Errors
    /// What speaks against the file.
    fn read_parquet(&self, file: Bytes, limits: &ParquetLimits) -> Result<TableCells, String>;

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
    /// judged by it. A tenant whose revision cannot run keeps what it had; others are not concerned.
    /// The one that this is for is tried anew, even where it has failed just before.
    ///
    /// # Errors
    /// Where the catalog's state cannot be put in force, and where the revision or the candidate of
    /// the tenant that this is for cannot run; what was in force before stays.
    fn publish<'a>(&'a self, whose: Option<&'a TenantId>) -> BoxFuture<'a, Result<(), Problem>>;

    /// Revisions that are to run and cannot on this node. They are tried again.
    fn failing(&self) -> Vec<FailingRevision>;

    /// What is known of a candidate on this node, as members of a JSON object; `None` where it is
    /// not before traffic here.
    fn observe_rollout(&self, tenant: &TenantId, id: u64) -> Option<Map<String, Value>>;

    /// Has a revision judge stored events again; answers the difference. Not bounded in time: it
    /// ends when it is cancelled.
    ///
    /// # Errors
    /// Where the revision cannot run, or stored events cannot be read.
    fn replay<'a>(
        &'a self,
        tenant: &'a TenantId,
        request: &'a ReplayRequest,
        progress: &'a ReplayProgress,
    ) -> BoxFuture<'a, Result<Value, Problem>>;

    /// The way to a stored event's verdict, and whether judging it again gives the same.
    ///
    /// # Errors
    /// Where its revision cannot run, or the event cannot be read.
    fn explain<'a>(
        &'a self,
        tenant: &'a TenantId,
        event_id: EventId,
    ) -> BoxFuture<'a, Result<Value, Problem>>;

    /// Are these limits of a tenant, or with `of_component` of one of its components?
    ///
    /// # Errors
    /// Says what is wrong.
    fn check_limits(&self, of_component: bool, limits: &Value) -> Result<(), String>;

    /// The last lines that a tenant's rules logged on this node, the oldest first, as JSON objects.
    fn plugin_log(&self, tenant: &TenantId, wanted: &LogRequest) -> Vec<Value>;

    /// What is measured.
    fn page(&self) -> Page;

    /// The quarantine of this node.
    fn workbench(&self) -> &dyn Workbench;

    /// The rules that judge a tenant's events on this node, in the order in which they run.
    fn active_rules(&self, tenant: &TenantId) -> Vec<ActiveRule>;

    /// What the data plane says of itself: members of a JSON object for the node's status.
    fn status(&self) -> Map<String, Value>;
}

/// A rule of an active revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveRule {
    pub name: RuleName,
    pub component: Digest,
    /// The version of the contract that its component needs.
    pub contract: String,
}

/// A revision that is to run and cannot.
#[derive(Clone, Debug)]
pub struct FailingRevision {
    pub tenant: TenantId,
    pub digest: Digest,
    pub reason: String,
    pub since: UnixMillis,
    /// How often it was tried.
    pub tries: u32,
}

/// Which stored events a replay is about, and who judges them.
#[derive(Clone, Debug)]
pub struct ReplayRequest {
    pub candidate: StoredRevision,
    /// Received at or after.
    pub since: Option<UnixMillis>,
    /// Received before.
    pub until: Option<UnixMillis>,
    /// Empty for all.
    pub event_types: Vec<String>,
    /// At most so many events.
    pub limit: u64,
}

/// Which log lines are wanted.
#[derive(Clone, Debug, Default)]
pub struct LogRequest {
    pub component: Option<Digest>,
    pub rule: Option<RuleName>,
    /// This level and those above: `debug`, `info`, `warn` or `error`.
    pub level: String,
    /// Logged at or after.
    pub since: Option<UnixMillis>,
}

/// How large a reference table may be.
#[derive(Clone, Copy, Debug)]
pub struct ParquetLimits {
    pub rows: u64,
    pub columns: usize,
    pub cells: usize,
    /// Of all cells as text.
    pub bytes: u64,
}

/// How putting a component to the proof ended.
#[derive(Clone, Debug)]
pub struct Certified {
    pub verdict: Verdict,
    /// All steps, those that were skipped among them.
    pub steps: Vec<Value>,
    /// Where it was admitted.
    pub inspection: Option<Inspection>,
}

/// May a component judge events?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Admitted,
    /// Its steps say why.
    Failed,
    /// The data plane could not decide, for this reason.
    Undecided(String),
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
    /// What it declares: for the configuration `{}`, or for that of its first golden case.
    #[serde(default)]
    pub manifest: Option<Value>,
    /// What judging events costs: fuel, memory, times.
    #[serde(default)]
    pub cost: Option<Value>,
}

/// Where components can be pulled from. The binary implements it, where it is built with registries.
pub trait ComponentRegistry: Send + Sync + 'static {
    /// Pulls the component that a reference names by digest. Bounded in size and time.
    ///
    /// # Errors
    /// Where the reference is none or not allowed, and where the registry does not give what it
    /// names.
    fn pull(&self, reference: String) -> BoxFuture<'_, Result<Bytes, Problem>>;
}
