//! The words of Tidegate as types: names, ids, digests, statuses, findings, receipts, problems and
//! the revision document. Plain data, no I/O; every other crate speaks in these.

pub mod finding;
pub mod id;
pub mod name;
pub mod problem;
pub mod quota;
pub mod receipt;
pub mod revision;
pub mod time;

pub use finding::{Finding, Severity};
pub use id::digest::Digest;
pub use id::event_id::{self, EventId};
pub use name::pointer::is_json_pointer;
pub use name::{EventType, RuleName, SinkName, TableName, TenantId};
pub use problem::{Problem, ProblemType};
pub use receipt::{Receipt, Status};
pub use revision::rollout;
pub use time::UnixMillis;

/// Position of a record in the log: 0 for the first record ever, then one more each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Lsn(pub u64);

impl std::fmt::Display for Lsn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
