//! The audit log: every act of administration, who did it, and what came of it. It takes new entries
//! alone; each has a hash over the one before it, so that a change or a gap shows.
//!
//! An act that changes the catalog leaves an entry of kind `change` for every transaction, within
//! that transaction: there is no change without its entry. When it is answered, an entry of kind
//! `answer` follows, which names the status; so does every act that was refused. What the gateway does by
//! itself leaves its `change`, with the reason.

use std::cell::RefCell;

use serde::{Deserialize, Serialize};
use tidegate_types::{Digest, UnixMillis};

use super::super::Catalog;
use crate::database::{self, Access, Row, Transaction, columns, params};
use crate::{CatalogError, Page};

/// What an entry tells of its act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuditKind {
    /// Something has changed in the catalog.
    Change,
    /// The act is over.
    Answer,
}

/// One entry. Its members are in the order of their names, which is how it is written and hashed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditEntry {
    /// Connects the entries of one act.
    pub act: String,
    /// When, RFC 3339.
    pub at: String,
    /// Of the request's body, where it had one that was read whole.
    pub body: Option<Digest>,
    pub kind: AuditKind,
    pub method: String,
    /// What the problem was: the last part of its type.
    pub problem: Option<String>,
    /// Why the gateway did it by itself; left out where somebody asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The address that the request came from.
    pub remote: String,
    /// The route as the API's reference names it; the path, where there is no such route.
    pub route: String,
    /// Refusals since the entry before that were too many to be told one by one.
    pub skipped: u64,
    /// Of the answer.
    pub status: Option<u16>,
    /// The path: what was acted on.
    pub subject: String,
    /// The tenant that it was about.
    pub tenant: Option<String>,
    /// The token's id: `admin` for the one in the data folder, `unknown` for none.
    pub token: String,
    /// The token's name.
    pub who: String,
}

/// An entry with its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    pub entry: AuditEntry,
    pub hash: Digest,
    /// From 1, without a gap.
    pub sequence: u64,
}

/// What is before the first entry.
pub const START: Digest = Digest([0; 32]);

impl AuditEntry {
    /// As it is written and hashed: JSON with sorted names and no spaces.
    ///
    /// # Panics
    /// Never: every member is JSON.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("an entry is JSON")
    }
}

/// The hash of an entry after one with the hash `previous`.
#[must_use]
pub fn link(previous: &Digest, sequence: u64, text: &str) -> Digest {
    Digest::of(&[&previous.0[..], &sequence.to_be_bytes(), text.as_bytes()].concat())
}

thread_local! {
    /// The act on whose behalf this thread calls the catalog.
    static ACTING: RefCell<Option<AuditEntry>> = const { RefCell::new(None) };
}

/// Calls the catalog on behalf of an act: what is changed meanwhile, on this thread, is noted as its
/// doing. `act` has kind, time and place in the chain filled in by each change.
pub fn acting<T>(act: AuditEntry, work: impl FnOnce() -> T) -> T {
    struct Before(Option<AuditEntry>);
    impl Drop for Before {
        fn drop(&mut self) {
            ACTING.set(self.0.take());
        }
    }
    let _before = Before(ACTING.replace(Some(act)));
    work()
}

/// Within a transaction that has changed something: notes it, where somebody acts.
pub(crate) fn note_change(transaction: &dyn Transaction) -> Result<(), CatalogError> {
    let Some(mut entry) = ACTING.with_borrow(Clone::clone) else { return Ok(()) };
    entry.kind = AuditKind::Change;
    entry.at = UnixMillis::now().to_rfc3339();
    append(transaction, &entry)
}

fn append(transaction: &dyn Transaction, entry: &AuditEntry) -> Result<(), CatalogError> {
    let last = "SELECT sequence, hash FROM audit_log ORDER BY sequence DESC LIMIT 1";
    let last = columns::first(transaction, last, params![], |row| {
        Ok((columns::number(row, 0)?, columns::digest(row, 1)?))
    })?;
    let (sequence, previous) = last.unwrap_or((0, START));
    let (sequence, text) = (sequence + 1, entry.text());
    let hash = link(&previous, sequence, &text);
    transaction.execute(
        "INSERT INTO audit_log (sequence, tenant_id, entry, hash) VALUES (?1, ?2, ?3, ?4)",
        params![columns::signed(sequence), entry.tenant.clone(), text, hash.0],
    )?;
    Ok(())
}

impl Catalog {
    /// Adds an entry.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn append_audit(&self, entry: &AuditEntry) -> Result<(), CatalogError> {
        self.transact(Access::Write, |transaction| append(transaction, entry))
    }

    /// Entries, newest first, of one tenant or of all; the page is by sequence.
    ///
    /// # Errors
    /// Where the database fails, or an entry is none any more.
    pub fn audit(
        &self,
        tenant: Option<&str>,
        page: Page,
    ) -> Result<Vec<AuditRecord>, CatalogError> {
        let columns = "SELECT sequence, hash, entry FROM audit_log WHERE sequence < ?1";
        let rest = "ORDER BY sequence DESC LIMIT ?2";
        self.read(|transaction| match tenant {
            None => {
                let sql = format!("{columns} {rest}");
                columns::list(transaction, &sql, params![page.bound(), page.limit], record)
            }
            Some(tenant) => {
                let sql = format!("{columns} AND tenant_id = ?3 {rest}");
                let params = params![page.bound(), page.limit, tenant];
                columns::list(transaction, &sql, params, record)
            }
        })
    }
}

fn record(row: &Row) -> database::Result<AuditRecord> {
    Ok(AuditRecord {
        entry: columns::json(row, 2)?,
        hash: columns::digest(row, 1)?,
        sequence: columns::number(row, 0)?,
    })
}
