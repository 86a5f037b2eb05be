//! Rollouts: candidates that are tried beside the active revision, one of a tenant at a time. Each
//! stage is an entry of its own; an entry that has ended stays as history.

use tidegate_types::rollout::{Stage, Thresholds};
use tidegate_types::{Digest, TenantId, UnixMillis};

use super::fleet::desired::Desired;
use super::revisions::{STORED, StoredRevision, stored};
use super::{Catalog, tenants};
use crate::database::{self, DatabaseError, Row, Transaction, columns, params};
use crate::{CatalogError, Page, Put, Selector};

/// How a rollout ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RolloutEnd {
    /// Its candidate went to another stage.
    Advanced,
    /// Its candidate became active.
    Promoted,
    /// Another revision became active, or was rolled out.
    Replaced,
    /// Somebody stopped it.
    Stopped,
    /// A threshold was passed.
    RolledBack,
}

impl RolloutEnd {
    const ALL: [Self; 5] =
        [Self::Advanced, Self::Promoted, Self::Replaced, Self::Stopped, Self::RolledBack];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Advanced => "advanced",
            Self::Promoted => "promoted",
            Self::Replaced => "replaced",
            Self::Stopped => "stopped",
            Self::RolledBack => "rolled-back",
        }
    }
}

/// One candidate in one stage.
#[derive(Clone, Debug, PartialEq)]
pub struct RolloutRecord {
    /// Counts up over all tenants.
    pub id: u64,
    pub number: u64,
    pub digest: Digest,
    pub stage: Stage,
    pub thresholds: Thresholds,
    /// Whose credentials asked for it.
    pub by: String,
    pub at: UnixMillis,
    /// `None` while it runs.
    pub ended: Option<Ended>,
}

/// The end of a rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    pub how: RolloutEnd,
    pub by: String,
    /// Empty where nobody gave one.
    pub reason: String,
    pub at: UnixMillis,
}

/// A rollout that runs, with its candidate.
#[derive(Clone, Debug, PartialEq)]
pub struct RunningRollout {
    pub tenant: TenantId,
    pub rollout: RolloutRecord,
    pub candidate: StoredRevision,
}

/// What an entry consists of, `o` being its row and `r` its candidate's.
const COLUMNS: &str = "o.id, r.number, o.digest, o.stage, o.thresholds, o.started_by, \
                       o.started_at, o.ended_how, o.ended_by, o.reason, o.ended_at";
const JOINED: &str = "FROM rollouts AS o \
                      JOIN revisions AS r ON r.tenant_id = o.tenant_id AND r.digest = o.digest";

impl Catalog {
    /// Puts a candidate into a stage. The same stage again changes nothing; one that runs ends.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] for an unknown tenant or revision; [`CatalogError::Invalid`] where
    /// the revision is the active one, or there is none to compare with.
    pub fn start_rollout(
        &self,
        tenant: &TenantId,
        digest: &Digest,
        stage: Stage,
        thresholds: Thresholds,
        by: &str,
    ) -> Result<Put<RolloutRecord>, CatalogError> {
        self.revision(tenant, &Selector::Digest(*digest))?;
        self.change(|transaction| {
            let invalid = |why: &str| CatalogError::Invalid(why.to_owned());
            match super::activations::find_active(transaction, tenant)? {
                None => {
                    let why =
                        "there is no active revision to compare a candidate with; activate one";
                    return Err(invalid(why));
                }
                Some(active) if active.digest == *digest => {
                    return Err(invalid("the revision is the active one already"));
                }
                Some(_) => {}
            }
            if let Some(running) = find_running(transaction, tenant)? {
                let same = running.digest == *digest;
                if same && running.stage == stage && running.thresholds == thresholds {
                    return Ok(Desired::Same(Put::Unchanged(running)));
                }
                let how = if same { RolloutEnd::Advanced } else { RolloutEnd::Replaced };
                end(transaction, tenant, how, by, "")?;
            }
            transaction.execute(
                "INSERT INTO rollouts \
                 (tenant_id, digest, stage, thresholds, started_by, started_at) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    tenant.as_str(),
                    digest.0,
                    json(&stage),
                    json(&thresholds),
                    by,
                    columns::signed(UnixMillis::now().0),
                ],
            )?;
            let made = find_running(transaction, tenant)?;
            let made = made.ok_or_else(|| CatalogError::not_found("rollout", tenant))?;
            Ok(Desired::Changed(Put::Created(made)))
        })
    }

    /// Ends the rollout that runs. With an id, only where it is that one: another may have begun.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] for an unknown tenant, or where none runs.
    pub fn end_rollout(
        &self,
        tenant: &TenantId,
        only: Option<u64>,
        how: RolloutEnd,
        by: &str,
        reason: &str,
    ) -> Result<RolloutRecord, CatalogError> {
        self.change(|transaction| {
            tenants::require(transaction, tenant)?;
            let running = find_running(transaction, tenant)?
                .filter(|running| only.is_none_or(|id| id == running.id))
                .ok_or_else(|| CatalogError::not_found("running rollout of tenant", tenant))?;
            end(transaction, tenant, how, by, reason)?;
            let sql = format!("SELECT {COLUMNS} {JOINED} WHERE o.id = ?1");
            let ended =
                columns::first(transaction, &sql, params![columns::signed(running.id)], record)?;
            Ok(Desired::Changed(ended.unwrap_or(running)))
        })
    }

    /// The rollout that runs, if one does.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn rollout(&self, tenant: &TenantId) -> Result<Option<RolloutRecord>, CatalogError> {
        self.read(|transaction| find_running(transaction, tenant))
    }

    /// The history, newest first; the page is by id.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] for an unknown tenant.
    pub fn rollouts(
        &self,
        tenant: &TenantId,
        page: Page,
    ) -> Result<Vec<RolloutRecord>, CatalogError> {
        self.tenant(tenant)?;
        let sql = format!(
            "SELECT {COLUMNS} {JOINED} WHERE o.tenant_id = ?1 AND o.id < ?2 ORDER BY o.id DESC LIMIT ?3"
        );
        let params = params![tenant.as_str(), page.bound(), page.limit];
        self.read(|transaction| columns::list(transaction, &sql, params, record))
    }

    /// Every rollout that runs, in the order of the tenants' ids.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn running_rollouts(&self) -> Result<Vec<RunningRollout>, CatalogError> {
        let sql = format!(
            "SELECT {STORED}, r.document, r.derived_from, r.tenant_id, {COLUMNS} {JOINED} \
             WHERE o.ended_at IS NULL ORDER BY o.tenant_id"
        );
        self.read(|transaction| {
            columns::list(transaction, &sql, params![], |row| {
                Ok(RunningRollout {
                    tenant: columns::parsed(row, 6)?,
                    rollout: record_at(row, 7)?,
                    candidate: stored(row)?,
                })
            })
        })
    }
}

pub(super) fn find_running(
    transaction: &dyn Transaction,
    tenant: &TenantId,
) -> database::Result<Option<RolloutRecord>> {
    let sql = format!("SELECT {COLUMNS} {JOINED} WHERE o.tenant_id = ?1 AND o.ended_at IS NULL");
    columns::first(transaction, &sql, params![tenant.as_str()], record)
}

/// Ends what runs, if anything does.
pub(super) fn end(
    transaction: &dyn Transaction,
    tenant: &TenantId,
    how: RolloutEnd,
    by: &str,
    reason: &str,
) -> database::Result<()> {
    end_at(transaction, tenant, how, by, reason, UnixMillis::now())
}

/// The same at a moment that an activation has as well.
pub(super) fn end_at(
    transaction: &dyn Transaction,
    tenant: &TenantId,
    how: RolloutEnd,
    by: &str,
    reason: &str,
    at: UnixMillis,
) -> database::Result<()> {
    transaction.execute(
        "UPDATE rollouts SET ended_how = ?2, ended_by = ?3, reason = ?4, ended_at = ?5 \
         WHERE tenant_id = ?1 AND ended_at IS NULL",
        params![tenant.as_str(), how.as_str(), by, reason, columns::signed(at.0)],
    )?;
    Ok(())
}

/// Lets the rollout go on that an activation has ended which is now withdrawn.
pub(super) fn resume(transaction: &dyn Transaction, sequence: u64) -> database::Result<()> {
    transaction.execute(
        "UPDATE rollouts SET ended_how = NULL, ended_by = NULL, reason = NULL, ended_at = NULL \
         WHERE ended_how IN ('promoted', 'replaced') AND EXISTS (SELECT 1 FROM activations AS a \
         WHERE a.sequence = ?1 AND a.tenant_id = rollouts.tenant_id \
         AND a.activated_at = rollouts.ended_at)",
        params![columns::signed(sequence)],
    )?;
    Ok(())
}

/// Plain data, which is always JSON.
pub(super) fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("plain data is JSON")
}

fn record(row: &Row) -> database::Result<RolloutRecord> {
    record_at(row, 0)
}

/// Reads an entry whose columns begin at an index.
fn record_at(row: &Row, first: usize) -> database::Result<RolloutRecord> {
    let how: Option<String> = row.get(first + 7)?;
    let known = |how: String| {
        let found = RolloutEnd::ALL.into_iter().find(|known| known.as_str() == how);
        found.ok_or_else(|| DatabaseError::damaged(first + 7, "is no end of a rollout"))
    };
    let ended = match how {
        None => None,
        Some(how) => Some(Ended {
            how: known(how)?,
            by: row.get(first + 8)?,
            reason: row.get(first + 9)?,
            at: columns::time(row, first + 10)?,
        }),
    };
    Ok(RolloutRecord {
        id: columns::number(row, first)?,
        number: columns::number(row, first + 1)?,
        digest: columns::digest(row, first + 2)?,
        stage: columns::json(row, first + 3)?,
        thresholds: columns::json(row, first + 4)?,
        by: row.get(first + 5)?,
        at: columns::time(row, first + 6)?,
        ended,
    })
}
