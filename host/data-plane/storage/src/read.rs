//! Reading stored events back, while the gateway stores more: one by its id, or many in order.
//!
//! # Order, and why no event is lost or doubled
//! Events come in the order of their positions in the log. Each position is, at any moment, in
//! exactly one entry of the manifest, or behind the last entry and then in the log; what stands at
//! a position never changes. A reader visits positions in ascending order, each once, and asks for
//! each stretch where it is: before the end of the manifest it reads the entry's files, after it the
//! log. The writer moves that end only after an entry is durable, and lets the log forget only what
//! stands before it. So a reader that finds its position truncated from the log need only look at
//! the end of the manifest again: the position is before it now. A cursor is a position, and stays
//! good however much is published between two pages.
//!
//! # Bounds
//! A page has a bound on events and bytes. Of an entry of the manifest, which is at most
//! `flush_bytes` of rows, the reader holds the positions of matching rows (16 bytes each), and of the
//! files that it reads (32 at once) one page of each column. Of files in a bucket all readers together
//! keep 64 MiB (see `place::s3::cache`). Of the log it holds one group. Entries are
//! skipped unread by the times of receipt in the manifest, files also by tenant, type and status.
//!
//! # What was released
//! An event that was released from quarantine is read as it came in, at its first position; what
//! became of it is told by [`Quarantine`](crate::Quarantine).
//!
//! # What comes back
//! Original, patches, findings and context as they were written to the log, byte for byte: patches
//! and findings are kept as readable JSON in Parquet, and encoded again. Files that the manifest names
//! and that are gone were removed by an operator: their events have expired.

pub(crate) mod file;
mod find;
pub(crate) mod plan;
mod scan;
pub mod table_file;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tidegate_types::{Digest, EventId, Finding, Lsn, UnixMillis};
use tidegate_wal::{Record, Stored, Wal};

use crate::manifest::index::{ALWAYS, Index, Times};
use crate::manifest::{FileEntry, ManifestError};
use crate::place::Place;
use crate::publish::partition::{self, DataSet};

pub use scan::{Cursor, Page, PageLimit, Scan};

/// Reads what a storage has stored; clones read the same.
#[derive(Clone)]
pub struct StoredEvents {
    pub(crate) place: Arc<dyn Place>,
    pub(crate) published: Arc<Index>,
    pub(crate) wal: Wal,
}

/// One stored event, as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    pub event_id: EventId,
    /// Its position in the log.
    pub lsn: Lsn,
    pub tenant: String,
    pub event_type: String,
    pub status: Stored,
    /// The revision that judged it.
    pub revision: Digest,
    /// The event's own time, where its route names one.
    pub event_time: Option<UnixMillis>,
    /// The event as the producer sent it.
    pub original: Vec<u8>,
    /// In the encoding of `tidegate_event::patch`; empty for none.
    pub patches: Vec<u8>,
    /// A JSON array; empty for none.
    pub findings: Vec<u8>,
    /// A JSON object; empty for none.
    pub context: Vec<u8>,
}

impl StoredEvent {
    /// When it was received.
    #[must_use]
    pub fn received_at(&self) -> UnixMillis {
        self.event_id.received_at()
    }

    /// The findings. `None` where they are none that this version knows.
    #[must_use]
    pub fn findings(&self) -> Option<Vec<Finding>> {
        if self.findings.is_empty() {
            return Some(Vec::new());
        }
        serde_json::from_slice(&self.findings).ok()
    }

    pub(crate) fn of(lsn: Lsn, record: &Record<'_>) -> Self {
        Self {
            event_id: record.event_id,
            lsn,
            tenant: record.tenant.to_owned(),
            event_type: record.event_type.to_owned(),
            status: record.status,
            revision: record.revision,
            event_time: record.event_time,
            original: record.original.to_vec(),
            patches: record.patches.to_vec(),
            findings: record.findings.to_vec(),
            context: record.context.to_vec(),
        }
    }

    /// About how much memory it takes.
    fn bytes(&self) -> usize {
        let parts = [&self.original, &self.patches, &self.findings, &self.context];
        parts.iter().map(|part| part.len()).sum::<usize>() + size_of::<Self>()
    }
}

/// Which events of a tenant are wanted. The default wants all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Received at or after.
    pub since: Option<UnixMillis>,
    /// Received before.
    pub until: Option<UnixMillis>,
    /// Of these types; empty for all.
    pub event_types: Vec<String>,
    pub status: Option<Stored>,
    /// Judged by this revision.
    pub revision: Option<Digest>,
    /// With a finding of this rule.
    pub rule: Option<String>,
    /// With a finding of this code; with `rule`, in the same finding.
    pub code: Option<String>,
}

impl Filter {
    pub(crate) fn times(&self) -> Times {
        let [first, last] = ALWAYS;
        let until = self.until.map(|until| UnixMillis(until.0.saturating_sub(1)));
        [self.since.unwrap_or(first), until.unwrap_or(last)]
    }

    pub(crate) fn is_empty(&self) -> bool {
        let [first, last] = self.times();
        first > last || self.until == Some(UnixMillis(0))
    }

    pub(crate) fn wants_findings(&self) -> bool {
        self.rule.is_some() || self.code.is_some()
    }

    fn wants_type(&self, event_type: &str) -> bool {
        self.event_types.is_empty() || self.event_types.iter().any(|one| one == event_type)
    }

    pub(crate) fn wants_time(&self, at: UnixMillis) -> bool {
        let [first, last] = self.times();
        first <= at && at <= last
    }

    pub(crate) fn wants_finding(&self, rule: &str, code: &str) -> bool {
        self.rule.as_ref().is_none_or(|one| one == rule)
            && self.code.as_ref().is_none_or(|one| one == code)
    }

    pub(crate) fn wants_record(&self, record: &Record<'_>) -> bool {
        self.wants_time(record.event_id.received_at())
            && self.wants_type(record.event_type)
            && self.status.is_none_or(|status| status == record.status)
            && self.revision.is_none_or(|revision| revision == record.revision)
            && (!self.wants_findings() || self.wants_findings_of(record.findings))
    }

    fn wants_findings_of(&self, json: &[u8]) -> bool {
        let findings = serde_json::from_slice::<Vec<Finding>>(json).unwrap_or_default();
        findings.iter().any(|one| self.wants_finding(one.rule.as_str(), &one.code))
    }

    /// May a file hold such events, by what its name and the manifest say?
    pub(crate) fn wants_file(&self, tenant: &str, file: &FileEntry) -> bool {
        let types = &self.event_types;
        partition::parts(&file.path).is_some_and(|parts| {
            let as_it_came_in = match parts.set {
                DataSet::Accepted | DataSet::Quarantine => true,
                DataSet::Released | DataSet::Dispositions => false,
            };
            as_it_came_in
                && self.status.is_none_or(|status| status == parts.set.status())
                && parts.tenant == partition::encode(tenant)
                && (types.is_empty()
                    || types.iter().any(|one| partition::encode(one) == parts.event_type))
        }) && crate::manifest::index::meet(&self.times(), &file.times())
    }
}

/// What became of an event that somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    Found(Box<StoredEvent>),
    /// A file that may have held it was removed.
    Expired,
    /// It was rejected, or never seen, or belongs to another tenant.
    NotStored,
}

/// Why stored events cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("cannot read {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is not a file of this storage: {found}", path.display())]
    File { path: PathBuf, found: String },
    #[error("cannot read the log: {0}")]
    Log(#[from] tidegate_wal::ReadError),
}

impl StoredEvents {
    pub(crate) fn new(place: Arc<dyn Place>, published: Arc<Index>, wal: Wal) -> Self {
        Self { place, published, wal }
    }

    /// The events of a tenant that are durable now, in the order of the log; with a cursor, those
    /// after it. Reads nothing yet.
    #[must_use]
    pub fn scan(&self, tenant: &str, filter: Filter, after: Option<Cursor>) -> Scan {
        Scan::new(self.clone(), tenant.to_owned(), filter, after)
    }

    /// The event with this id. Reads files, so it blocks.
    ///
    /// # Errors
    /// [`ReadError`]
    pub fn find(&self, tenant: &str, event_id: EventId) -> Result<Lookup, ReadError> {
        find::find(self, tenant, event_id)
    }
}
