//! Activations: the history of which revision decided a tenant's events. The active one is the
//! newest that is not withdrawn.
//!
//! Each entry says where a rollback from it goes: an activation to the entry that it replaced, a
//! rollback to where its target would have gone. So rolling back twice goes two steps back.

use tidegate_types::revision::RevisionDocument;
use tidegate_types::rollout::Thresholds;
use tidegate_types::{Digest, TenantId, UnixMillis};

use super::fleet::desired::Desired;
use super::revisions::{self, STORED, StoredRevision, stored};
use super::rollouts::{self, RolloutEnd};
use super::{Catalog, tenants};
use crate::database::{self, Row, Transaction, columns, params};
use crate::{CatalogError, Page, Put, Selector};

/// How an activation came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivationKind {
    Activate,
    Rollback,
    /// A followed table has a new generation.
    Derived,
}

impl ActivationKind {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Activate => "activate",
            Self::Rollback => "rollback",
            Self::Derived => "derived",
        }
    }
}

/// One entry of the history.
#[derive(Clone, Debug, PartialEq)]
pub struct Activation {
    /// Counts up over all tenants.
    pub sequence: u64,
    pub number: u64,
    pub digest: Digest,
    pub kind: ActivationKind,
    /// Whose credentials asked for it.
    pub by: String,
    pub at: UnixMillis,
    /// It could not be put in force and was undone.
    pub withdrawn: bool,
    /// When it is taken back without being asked for.
    pub thresholds: Option<Thresholds>,
    /// Why it was made, where that was said.
    pub reason: String,
    returns_to: Option<u64>,
}

/// What decides a tenant's events.
#[derive(Clone, Debug, PartialEq)]
pub struct ActiveRevision {
    pub tenant: TenantId,
    pub revision: StoredRevision,
    pub activation: Activation,
}

/// What an entry consists of, `a` being its row and `r` its revision's.
const COLUMNS: &str = "a.sequence, r.number, a.digest, a.kind, a.activated_by, a.activated_at, \
                       a.withdrawn, a.returns_to, a.thresholds, a.reason, a.derived";
const JOINED: &str = "FROM activations AS a \
                      JOIN revisions AS r ON r.tenant_id = a.tenant_id AND r.digest = a.digest";

impl Catalog {
    /// Makes a revision the active one, and ends the rollout that runs. The active one stays as it is,
    /// save where a rollback made it active and it follows tables: it follows them again from here on.
    /// Without thresholds it has those of the rollout that promoted it, if one did.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] for an unknown tenant or revision.
    pub fn activate(
        &self,
        tenant: &TenantId,
        digest: &Digest,
        thresholds: Option<Thresholds>,
        by: &str,
    ) -> Result<Put<Activation>, CatalogError> {
        let revision = self.revision(tenant, &Selector::Digest(*digest))?;
        let follows = revision.document.followed().next().is_some();
        self.change(|transaction| {
            let returns_to = match find_active(transaction, tenant)? {
                Some(active) if active.digest == *digest => {
                    if !follows || active.kind != ActivationKind::Rollback {
                        return Ok(Desired::Same(Put::Unchanged(active)));
                    }
                    active.returns_to
                }
                active => active.map(|active| active.sequence),
            };
            let running = rollouts::find_running(transaction, tenant)?;
            let promoted = running.filter(|running| running.digest == *digest);
            let how = match promoted {
                Some(_) => RolloutEnd::Promoted,
                None => RolloutEnd::Replaced,
            };
            let at = UnixMillis::now();
            rollouts::end_at(transaction, tenant, how, by, "", at)?;
            let thresholds = thresholds.or(promoted.map(|promoted| promoted.thresholds));
            let kind = ActivationKind::Activate;
            let new = New { digest, kind, by, returns_to, thresholds, reason: "", at };
            Ok(Desired::Changed(Put::Created(insert(transaction, tenant, &new)?)))
        })
    }

    /// Stores a revision that differs from the active one, `from`, in the generations of followed tables
    /// alone, and makes it the active one, both or neither. It has the same thresholds, and a rollout goes
    /// on. Where another one has become active meanwhile, that one stays.
    ///
    /// # Errors
    /// As for [`Self::store_revision`].
    pub fn activate_derived(
        &self,
        tenant: &TenantId,
        document: &RevisionDocument,
        from: &Digest,
        by: &str,
    ) -> Result<Put<Activation>, CatalogError> {
        self.change(|transaction| {
            tenants::require(transaction, tenant)?;
            let active = find_active(transaction, tenant)?;
            let active = active.ok_or(CatalogError::NothingBefore)?;
            if active.digest != *from {
                return Ok(Desired::Same(Put::Unchanged(active)));
            }
            let made = revisions::put(transaction, tenant, document, Some(*from), &self.limits)?;
            let (digest, returns_to) = (&made.into_inner().digest, Some(active.sequence));
            let (kind, thresholds) = (ActivationKind::Derived, active.thresholds);
            let at = UnixMillis::now();
            let new = New { digest, kind, by, returns_to, thresholds, reason: "", at };
            Ok(Desired::Changed(Put::Created(insert(transaction, tenant, &new)?)))
        })
    }

    /// Makes the revision active that was before the active one, and ends the rollout that runs.
    /// With a sequence, only where that activation is still in force.
    ///
    /// # Errors
    /// [`CatalogError::NothingBefore`]; [`CatalogError::NotFound`] for an unknown tenant.
    pub fn roll_back(
        &self,
        tenant: &TenantId,
        only: Option<u64>,
        by: &str,
        reason: &str,
    ) -> Result<Activation, CatalogError> {
        self.change(|transaction| {
            tenants::require(transaction, tenant)?;
            let target = find_target(transaction, tenant)?.ok_or(CatalogError::NothingBefore)?;
            let active = find_active(transaction, tenant)?;
            if only.is_some() && active.map(|active| active.sequence) != only {
                return Err(CatalogError::NothingBefore);
            }
            let at = UnixMillis::now();
            rollouts::end_at(transaction, tenant, RolloutEnd::Replaced, by, reason, at)?;
            let (digest, returns_to) = (&target.digest, target.returns_to);
            let kind = ActivationKind::Rollback;
            let new = New { digest, kind, by, returns_to, thresholds: None, reason, at };
            Ok(Desired::Changed(insert(transaction, tenant, &new)?))
        })
    }

    /// Undoes an activation that could not be put in force: the one before it is active again.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn withdraw_activation(&self, sequence: u64) -> Result<(), CatalogError> {
        self.change(|transaction| {
            rollouts::resume(transaction, sequence)?;
            let sql = "UPDATE activations SET withdrawn = 1 WHERE sequence = ?1";
            transaction.execute(sql, params![columns::signed(sequence)])?;
            Ok(Desired::Changed(()))
        })
    }

    /// The activation in force, if there is one.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn active(&self, tenant: &TenantId) -> Result<Option<Activation>, CatalogError> {
        self.read(|transaction| find_active(transaction, tenant))
    }

    /// The entry that a rollback would go to, if there is one.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn rollback_target(&self, tenant: &TenantId) -> Result<Option<Activation>, CatalogError> {
        self.read(|transaction| find_target(transaction, tenant))
    }

    /// The history, newest first; the page is by sequence.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] for an unknown tenant.
    pub fn activations(
        &self,
        tenant: &TenantId,
        page: Page,
    ) -> Result<Vec<Activation>, CatalogError> {
        self.tenant(tenant)?;
        let sql = format!(
            "SELECT {COLUMNS} {JOINED} WHERE a.tenant_id = ?1 AND a.sequence < ?2 ORDER BY a.sequence DESC LIMIT ?3"
        );
        let params = params![tenant.as_str(), page.bound(), page.limit];
        self.read(|transaction| columns::list(transaction, &sql, params, activation))
    }

    /// The active revision of every tenant that has one, in the order of the tenants' ids.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn active_revisions(&self) -> Result<Vec<ActiveRevision>, CatalogError> {
        let sql = format!(
            "SELECT {STORED}, r.document, r.derived_from, r.tenant_id, {COLUMNS} {JOINED} WHERE a.sequence IN (SELECT max(sequence) FROM activations WHERE withdrawn = 0 \
             GROUP BY tenant_id) ORDER BY r.tenant_id"
        );
        self.read(|transaction| {
            columns::list(transaction, &sql, params![], |row| {
                Ok(ActiveRevision {
                    tenant: columns::parsed(row, 6)?,
                    revision: stored(row)?,
                    activation: activation_at(row, 7)?,
                })
            })
        })
    }
}

/// An entry that is about to be made.
struct New<'a> {
    digest: &'a Digest,
    kind: ActivationKind,
    by: &'a str,
    returns_to: Option<u64>,
    thresholds: Option<Thresholds>,
    reason: &'a str,
    at: UnixMillis,
}

fn insert(
    transaction: &dyn Transaction,
    tenant: &TenantId,
    new: &New<'_>,
) -> Result<Activation, CatalogError> {
    let sql = "INSERT INTO activations (tenant_id, digest, kind, activated_by, activated_at, \
               returns_to, thresholds, reason, derived) \
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    transaction.execute(
        sql,
        params![
            tenant.as_str(),
            new.digest.0,
            // The layout's first words; `derived` tells what an activation came from.
            if new.kind == ActivationKind::Rollback { "rollback" } else { "activate" },
            new.by,
            columns::signed(new.at.0),
            new.returns_to.map(columns::signed),
            new.thresholds.as_ref().map(rollouts::json),
            new.reason,
            i64::from(new.kind == ActivationKind::Derived),
        ],
    )?;
    let made = find_active(transaction, tenant)?;
    made.ok_or_else(|| CatalogError::not_found("revision", new.digest))
}

fn activation(row: &Row) -> database::Result<Activation> {
    activation_at(row, 0)
}

/// Reads an entry whose columns begin at an index.
fn activation_at(row: &Row, first: usize) -> database::Result<Activation> {
    let kind: String = row.get(first + 3)?;
    let returns_to: Option<i64> = row.get(first + 7)?;
    let thresholds: Option<String> = row.get(first + 8)?;
    let derived: i64 = row.get(first + 10)?;
    Ok(Activation {
        sequence: columns::number(row, first)?,
        number: columns::number(row, first + 1)?,
        digest: columns::digest(row, first + 2)?,
        // The database takes these two words alone.
        kind: match kind.as_str() {
            "rollback" => ActivationKind::Rollback,
            _ if derived == 1 => ActivationKind::Derived,
            _ => ActivationKind::Activate,
        },
        by: row.get(first + 4)?,
        at: columns::time(row, first + 5)?,
        withdrawn: row.get(first + 6)?,
        returns_to: returns_to.map(|_| columns::number(row, first + 7)).transpose()?,
        thresholds: thresholds.map(|_| columns::json(row, first + 8)).transpose()?,
        reason: row.get(first + 9)?,
    })
}

pub(super) fn find_active(
    transaction: &dyn Transaction,
    tenant: &TenantId,
) -> database::Result<Option<Activation>> {
    let sql = format!(
        "SELECT {COLUMNS} {JOINED} WHERE a.tenant_id = ?1 AND a.withdrawn = 0 ORDER BY a.sequence DESC LIMIT 1"
    );
    columns::first(transaction, &sql, params![tenant.as_str()], activation)
}

fn find_target(
    transaction: &dyn Transaction,
    tenant: &TenantId,
) -> database::Result<Option<Activation>> {
    let active = find_active(transaction, tenant)?;
    let Some(sequence) = active.and_then(|active| active.returns_to) else { return Ok(None) };
    let sql = format!("SELECT {COLUMNS} {JOINED} WHERE a.sequence = ?1");
    columns::first(transaction, &sql, params![columns::signed(sequence)], activation)
}
