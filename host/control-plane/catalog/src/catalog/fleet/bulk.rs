//! Jobs over a node's quarantine: what was asked for, how far it is, and how it ended. A job belongs
//! to the node that took it on; one of a tenant runs there at a time. After a crash the node goes on
//! where its last note is.

use serde_json::Value as Json;
use tidegate_types::{TenantId, UnixMillis};

use crate::catalog::{Catalog, tenants};
use crate::database::{self, DatabaseError, Row, Transaction, columns, params};
use crate::{CatalogError, Page, Put};

/// Jobs of one tenant that are remembered; those that ended first are forgotten first.
const KEPT_PER_TENANT: u32 = 1000;

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BulkEnd {
    /// It has come to its end.
    Done,
    Cancelled,
    /// It could not go on; its detail says why.
    Failed,
}

impl BulkEnd {
    const ALL: [Self; 3] = [Self::Done, Self::Cancelled, Self::Failed];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}

/// How many events a job has met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BulkCounts {
    pub released: u64,
    pub discarded: u64,
    /// Judged, not accepted, and left open.
    pub held_again: u64,
    /// Could not be settled, and left open.
    pub failed: u64,
}

/// A job that is about to begin.
#[derive(Clone, Debug, PartialEq)]
pub struct NewBulkJob {
    pub tenant: TenantId,
    pub node: String,
    /// What is to be done, as whoever does it reads it.
    pub request: Json,
    /// The position in the node's log where it ends.
    pub end: u64,
    pub by: String,
}

/// One job.
#[derive(Clone, Debug, PartialEq)]
pub struct BulkJob {
    /// Counts up over all tenants.
    pub id: u64,
    pub tenant: TenantId,
    pub node: String,
    pub request: Json,
    pub by: String,
    pub at: UnixMillis,
    /// The position in the node's log that was reached, and the one where it ends.
    pub position: u64,
    pub end: u64,
    pub counts: BulkCounts,
    /// What went wrong last; empty for nothing.
    pub detail: String,
    /// `None` while it runs.
    pub ended: Option<(BulkEnd, String, UnixMillis)>,
}

const COLUMNS: &str = "id, tenant_id, node, request, begun_by, begun_at, reached, goal, released, \
                       discarded, held_again, failed, detail, ended_how, ended_by, ended_at";

impl Catalog {
    /// Begins a job, where none of this tenant runs on this node; answers the one that runs then.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] for an unknown tenant.
    pub fn begin_bulk_job(&self, new: &NewBulkJob) -> Result<Put<BulkJob>, CatalogError> {
        self.write(|transaction| {
            tenants::require(transaction, &new.tenant)?;
            let running = |transaction: &dyn Transaction| {
                let sql = format!(
                    "SELECT {COLUMNS} FROM quarantine_jobs \
                     WHERE tenant_id = ?1 AND node = ?2 AND ended_at IS NULL"
                );
                columns::first(transaction, &sql, params![new.tenant.as_str(), &new.node], record)
            };
            if let Some(running) = running(transaction)? {
                return Ok(Put::Unchanged(running));
            }
            transaction.execute(
                "INSERT INTO quarantine_jobs \
                 (tenant_id, node, request, begun_by, begun_at, reached, goal) \
                 VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6)",
                params![
                    new.tenant.as_str(),
                    &new.node,
                    new.request.to_string(),
                    &new.by,
                    columns::signed(UnixMillis::now().0),
                    columns::signed(new.end),
                ],
            )?;
            transaction.execute(
                "DELETE FROM quarantine_jobs WHERE tenant_id = ?1 AND ended_at IS NOT NULL \
                 AND id NOT IN (SELECT id FROM quarantine_jobs WHERE tenant_id = ?1 \
                                ORDER BY id DESC LIMIT ?2)",
                params![new.tenant.as_str(), KEPT_PER_TENANT],
            )?;
            let made = running(transaction)?;
            Ok(Put::Created(made.ok_or_else(|| CatalogError::not_found("job of", &new.tenant))?))
        })
    }

    /// Notes how far a job is, and what it has counted since the last note. Answers the job: it may
    /// have been cancelled.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] where it is not remembered.
    pub fn note_bulk_job(
        &self,
        id: u64,
        position: u64,
        more: &BulkCounts,
        detail: Option<&str>,
    ) -> Result<BulkJob, CatalogError> {
        self.write(|transaction| {
            transaction.execute(
                "UPDATE quarantine_jobs SET reached = ?2, released = released + ?3, \
                 discarded = discarded + ?4, held_again = held_again + ?5, failed = failed + ?6, \
                 detail = coalesce(CAST(?7 AS TEXT), detail) WHERE id = ?1",
                params![
                    columns::signed(id),
                    columns::signed(position),
                    columns::signed(more.released),
                    columns::signed(more.discarded),
                    columns::signed(more.held_again),
                    columns::signed(more.failed),
                    detail,
                ],
            )?;
            require(transaction, id)
        })
    }

    /// Ends a job, where it runs; answers it as it is then.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] where it is not remembered.
    pub fn end_bulk_job(
        &self,
        id: u64,
        how: BulkEnd,
        by: &str,
        detail: Option<&str>,
    ) -> Result<BulkJob, CatalogError> {
        self.write(|transaction| {
            transaction.execute(
                "UPDATE quarantine_jobs SET ended_how = ?2, ended_by = ?3, ended_at = ?4, \
                 detail = coalesce(CAST(?5 AS TEXT), detail) WHERE id = ?1 AND ended_at IS NULL",
                params![
                    columns::signed(id),
                    how.as_str(),
                    by,
                    columns::signed(UnixMillis::now().0),
                    detail,
                ],
            )?;
            require(transaction, id)
        })
    }

    /// One job of a tenant.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] where there is none.
    pub fn bulk_job(&self, tenant: &TenantId, id: u64) -> Result<BulkJob, CatalogError> {
        let job = self.transact(database::Access::Read, |transaction| require(transaction, id))?;
        if job.tenant == *tenant { Ok(job) } else { Err(CatalogError::not_found("job", id)) }
    }

    /// A tenant's jobs on all nodes, newest first; the page is by id.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] for an unknown tenant.
    pub fn bulk_jobs(&self, tenant: &TenantId, page: Page) -> Result<Vec<BulkJob>, CatalogError> {
        self.tenant(tenant)?;
        let sql = format!(
            "SELECT {COLUMNS} FROM quarantine_jobs \
             WHERE tenant_id = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3"
        );
        let params = params![tenant.as_str(), page.bound(), page.limit];
        self.read(|transaction| columns::list(transaction, &sql, params, record))
    }

    /// The jobs that run on a node, in the order in which they began.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn running_bulk_jobs(&self, node: &str) -> Result<Vec<BulkJob>, CatalogError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM quarantine_jobs WHERE node = ?1 AND ended_at IS NULL ORDER BY id"
        );
        self.read(|transaction| columns::list(transaction, &sql, params![node], record))
    }
}

fn require(transaction: &dyn Transaction, id: u64) -> Result<BulkJob, CatalogError> {
    let sql = format!("SELECT {COLUMNS} FROM quarantine_jobs WHERE id = ?1");
    let found = columns::first(transaction, &sql, params![columns::signed(id)], record)?;
    found.ok_or_else(|| CatalogError::not_found("job", id))
}

fn record(row: &Row) -> database::Result<BulkJob> {
    let how: Option<String> = row.get(13)?;
    let ended = match how {
        None => None,
        Some(how) => {
            let end = BulkEnd::ALL.into_iter().find(|end| end.as_str() == how);
            let end = end.ok_or_else(|| DatabaseError::damaged(13, "is no end of a job"))?;
            Some((end, row.get(14)?, columns::time(row, 15)?))
        }
    };
    Ok(BulkJob {
        id: columns::number(row, 0)?,
        tenant: columns::parsed(row, 1)?,
        node: row.get(2)?,
        request: columns::json(row, 3)?,
        by: row.get(4)?,
        at: columns::time(row, 5)?,
        position: columns::number(row, 6)?,
        end: columns::number(row, 7)?,
        counts: BulkCounts {
            released: columns::number(row, 8)?,
            discarded: columns::number(row, 9)?,
            held_again: columns::number(row, 10)?,
            failed: columns::number(row, 11)?,
        },
        detail: row.get(12)?,
        ended,
    })
}
