//! Activations: the history of which revision decided a tenant's events. The active one is the
//! newest that is not withdrawn.
//!
//! Each entry says where a rollback from it goes: an activation to the entry that it replaced, a
//! rollback to where its target would have gone. So rolling back twice goes two steps back.

use tidegate_types::{Digest, TenantId, UnixMillis};

use super::fleet::desired::Desired;
use super::revisions::{STORED, StoredRevision, stored};
use super::{Catalog, tenants};
use crate::database::{self, Row, Transaction, columns, params};
use crate::{CatalogError, Page, Put, Selector};

/// How an activation came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivationKind {
    Activate,
    Rollback,
}

impl ActivationKind {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Activate => "activate",
            Self::Rollback => "rollback",
        }
    }
}

/// One entry of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
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
    returns_to: Option<u64>,
}

/// What decides a tenant's events.
#[derive(Clone, Debug, PartialEq)]
pub struct ActiveRevision {
    pub tenant: TenantId,
    pub revision: StoredRevision,
}

const ENTRY: &str = "SELECT a.sequence, r.number, a.digest, a.kind, a.activated_by, a.activated_at, \
                     a.withdrawn, a.returns_to FROM activations AS a \
                     JOIN revisions AS r ON r.tenant_id = a.tenant_id AND r.digest = a.digest";

impl Catalog {
    /// Makes a revision the active one. The active one stays as it is.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] for an unknown tenant or revision.
    pub fn activate(
        &self,
        tenant: &TenantId,
        digest: &Digest,
        by: &str,
    ) -> Result<Put<Activation>, CatalogError> {
        self.revision(tenant, &Selector::Digest(*digest))?;
        self.change(|transaction| {
            let active = find_active(transaction, tenant)?;
            match active {
                Some(active) if active.digest == *digest => {
                    return Ok(Desired::Same(Put::Unchanged(active)));
                }
                _ => {}
            }
            let returns_to = active.map(|active| active.sequence);
            let kind = ActivationKind::Activate;
            let made = insert(transaction, tenant, digest, kind, by, returns_to)?;
            Ok(Desired::Changed(Put::Created(made)))
        })
    }

    /// Makes the revision active that was before the active one.
    ///
    /// # Errors
    /// [`CatalogError::NothingBefore`]; [`CatalogError::NotFound`] for an unknown tenant.
    pub fn roll_back(&self, tenant: &TenantId, by: &str) -> Result<Activation, CatalogError> {
        self.change(|transaction| {
            tenants::require(transaction, tenant)?;
            let target = find_target(transaction, tenant)?.ok_or(CatalogError::NothingBefore)?;
            let kind = ActivationKind::Rollback;
            let made = insert(transaction, tenant, &target.digest, kind, by, target.returns_to)?;
            Ok(Desired::Changed(made))
        })
    }

    /// Undoes an activation that could not be put in force: the one before it is active again.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn withdraw_activation(&self, sequence: u64) -> Result<(), CatalogError> {
        self.change(|transaction| {
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
            "{ENTRY} WHERE a.tenant_id = ?1 AND a.sequence < ?2 ORDER BY a.sequence DESC LIMIT ?3"
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
            "SELECT {STORED}, r.document, r.tenant_id FROM activations AS a \
             JOIN revisions AS r ON r.tenant_id = a.tenant_id AND r.digest = a.digest \
             WHERE a.sequence IN (SELECT max(sequence) FROM activations WHERE withdrawn = 0 \
             GROUP BY tenant_id) ORDER BY r.tenant_id"
        );
        self.read(|transaction| {
            columns::list(transaction, &sql, params![], |row| {
                Ok(ActiveRevision { tenant: columns::parsed(row, 5)?, revision: stored(row)? })
            })
        })
    }
}

fn insert(
    transaction: &dyn Transaction,
    tenant: &TenantId,
    digest: &Digest,
    kind: ActivationKind,
    by: &str,
    returns_to: Option<u64>,
) -> Result<Activation, CatalogError> {
    let made = columns::first(
        transaction,
        "INSERT INTO activations (tenant_id, digest, kind, activated_by, activated_at, returns_to) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) RETURNING sequence",
        params![
            tenant.as_str(),
            digest.0,
            kind.as_str(),
            by,
            columns::signed(UnixMillis::now().0),
            returns_to.map(columns::signed),
        ],
        |row| row.get::<i64>(0),
    )?;
    let sql = format!("{ENTRY} WHERE a.sequence = ?1");
    let made = columns::first(transaction, &sql, params![made], activation)?;
    made.ok_or_else(|| CatalogError::not_found("revision", digest))
}

fn activation(row: &Row) -> database::Result<Activation> {
    let kind: String = row.get(3)?;
    let returns_to: Option<i64> = row.get(7)?;
    Ok(Activation {
        sequence: columns::number(row, 0)?,
        number: columns::number(row, 1)?,
        digest: columns::digest(row, 2)?,
        // The database takes these two words alone.
        kind: if kind == "rollback" { ActivationKind::Rollback } else { ActivationKind::Activate },
        by: row.get(4)?,
        at: columns::time(row, 5)?,
        withdrawn: row.get(6)?,
        returns_to: returns_to.map(|_| columns::number(row, 7)).transpose()?,
    })
}

fn find_active(
    transaction: &dyn Transaction,
    tenant: &TenantId,
) -> database::Result<Option<Activation>> {
    let sql = format!(
        "{ENTRY} WHERE a.tenant_id = ?1 AND a.withdrawn = 0 ORDER BY a.sequence DESC LIMIT 1"
    );
    columns::first(transaction, &sql, params![tenant.as_str()], activation)
}

fn find_target(
    transaction: &dyn Transaction,
    tenant: &TenantId,
) -> database::Result<Option<Activation>> {
    let active = find_active(transaction, tenant)?;
    let Some(sequence) = active.and_then(|active| active.returns_to) else { return Ok(None) };
    let sql = format!("{ENTRY} WHERE a.sequence = ?1");
    columns::first(transaction, &sql, params![columns::signed(sequence)], activation)
}
