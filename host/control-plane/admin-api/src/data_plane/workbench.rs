//! What the quarantine workbench asks of the data plane: events that rules hold are found, looked
//! at, and settled, one by one or page by page.

use std::any::Any;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tidegate_types::{Digest, EventId, EventType, Problem, TenantId, UnixMillis};

use super::BoxFuture;

/// The quarantine of this node.
pub trait Workbench: Send + Sync {
    /// The name of the node whose quarantine it is. It stays the same across restarts.
    fn node(&self) -> &str;

    /// The position after everything that is durable now.
    fn durable_end(&self) -> u64;

    /// A page of open events, as `events` and, where more may come, `next`: a cursor.
    ///
    /// # Errors
    /// Where the cursor is none of this tenant and node, or stored events cannot be read.
    fn open_events<'a>(
        &'a self,
        tenant: &'a TenantId,
        filter: &'a HeldFilter,
        after: Option<&'a str>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Value, Problem>>;

    /// Open events, counted in groups.
    ///
    /// # Errors
    /// Where stored events cannot be read.
    fn groups<'a>(
        &'a self,
        tenant: &'a TenantId,
        filter: &'a HeldFilter,
        by: HeldGroup,
    ) -> BoxFuture<'a, Result<Value, Problem>>;

    /// One event that is or was held, with what was decided about it: JSON text, the event in it as
    /// it came in, byte for byte.
    ///
    /// # Errors
    /// `not-found` where it is not held here.
    fn held<'a>(
        &'a self,
        tenant: &'a TenantId,
        event_id: EventId,
    ) -> BoxFuture<'a, Result<String, Problem>>;

    /// Settles one event. What has begun runs to its end.
    ///
    /// # Errors
    /// [`NotSettled`]; nothing was decided then, or not by this call.
    fn settle<'a>(
        &'a self,
        tenant: &'a TenantId,
        event_id: EventId,
        verdict: &'a HeldDecision,
        by: &'a str,
    ) -> BoxFuture<'a, Result<Value, NotSettled>>;

    /// Settles the open events of one page, from a position on; `rest` is what the page before has
    /// left, where there is one. When it has returned, all that it tells is durable.
    ///
    /// # Errors
    /// Where no further event can be settled now.
    fn settle_page<'a>(
        &'a self,
        page: SettlePage<'a>,
        rest: Option<Rest>,
    ) -> BoxFuture<'a, Result<Settled, Problem>>;

    /// How many events were settled under this name from a position on, on this node; looks no
    /// further than a page could have come.
    ///
    /// # Errors
    /// Where stored events cannot be read.
    fn settled_by<'a>(&'a self, page: SettlePage<'a>) -> BoxFuture<'a, Result<Settled, Problem>>;
}

/// Which open events are meant; what is left out makes no difference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldFilter {
    /// With a finding of this rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// With a finding of this code; with `rule`, in the same finding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub event_type: Option<EventType>,
    /// Judged by this revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<Digest>,
    /// Received at or after, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// Received before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

impl HeldFilter {
    #[must_use]
    pub fn times(&self) -> [Option<UnixMillis>; 2] {
        [self.since.map(UnixMillis), self.until.map(UnixMillis)]
    }
}

/// What open events are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HeldGroup {
    Rule,
    Code,
    /// The digest of the component whose rule found something.
    Plugin,
    /// The digest of the schema that the revision that judged has for the event's type.
    Schema,
    Type,
    Revision,
    Hour,
    Day,
}

/// What is to become of an event in quarantine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "lowercase")]
pub enum HeldDecision {
    /// Judge it under the active revision, and take it where that accepts it.
    Release {
        reason: String,
        /// Done first, in order.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        patch: Vec<HeldPatch>,
        /// Take it whatever is found.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        force: bool,
    },
    Discard {
        reason: String,
    },
}

/// One change to an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
pub enum HeldPatch {
    Set { pointer: String, value: Value },
    Remove { pointer: String },
}

/// Why an event was not settled.
#[derive(Clone, Debug, PartialEq)]
pub struct NotSettled {
    pub problem: Problem,
    /// Members of the answer besides the problem's own.
    pub about: Map<String, Value>,
}

impl From<Problem> for NotSettled {
    fn from(problem: Problem) -> Self {
        Self { problem, about: Map::new() }
    }
}

/// Which events one page is about.
#[derive(Clone, Copy, Debug)]
pub struct SettlePage<'a> {
    pub tenant: &'a TenantId,
    pub filter: &'a HeldFilter,
    pub decision: &'a HeldDecision,
    /// Who settles; at most 255 bytes.
    pub by: &'a str,
    /// Positions in the log: from the first, before the second.
    pub range: [u64; 2],
    /// At most so many events.
    pub events: usize,
}

/// What the data plane keeps from one page for the next, so that it need not look for it again.
pub type Rest = Box<dyn Any + Send>;

/// What one page came to.
#[derive(Debug, Default)]
pub struct Settled {
    /// Where the next page begins.
    pub next: u64,
    pub is_last: bool,
    pub released: u64,
    pub discarded: u64,
    /// Judged, not accepted, and left open.
    pub held_again: u64,
    /// Could not be settled, and left open.
    pub failed: u64,
    /// What was wrong with the last of these.
    pub failure: Option<String>,
    pub rest: Option<Rest>,
}
