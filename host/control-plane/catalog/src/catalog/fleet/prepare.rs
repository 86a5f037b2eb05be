//! Revisions that nodes are to make ready before one of them becomes active: at most one of a
//! tenant at a time.

use tidegate_types::{Digest, TenantId, UnixMillis};

use super::desired::Desired;
use crate::catalog::Catalog;
use crate::catalog::revisions::{STORED, StoredRevision, stored};
use crate::database::{columns, params};
use crate::{CatalogError, Selector};

impl Catalog {
    /// Has all nodes fetch and compile a revision. Where it failed before, they try it anew. Asking
    /// again meanwhile changes nothing.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] for an unknown tenant or revision.
    pub fn prepare(&self, tenant: &TenantId, digest: &Digest) -> Result<(), CatalogError> {
        self.revision(tenant, &Selector::Digest(*digest))?;
        self.change(|transaction| {
            let sql = "SELECT digest FROM preparations WHERE tenant_id = ?1";
            let owner = params![tenant.as_str()];
            let known = columns::first(transaction, sql, owner, |row| columns::digest(row, 0))?;
            if known == Some(*digest) {
                return Ok(Desired::Same(()));
            }
            transaction.execute(
                "DELETE FROM node_revisions \
                 WHERE tenant_id = ?1 AND digest = ?2 AND state = 'failed'",
                params![tenant.as_str(), digest.0],
            )?;
            transaction.execute(
                "INSERT INTO preparations (tenant_id, digest, asked_at) VALUES (?1, ?2, ?3) \
                 ON CONFLICT (tenant_id) DO UPDATE SET digest = excluded.digest, \
                 asked_at = excluded.asked_at",
                params![tenant.as_str(), digest.0, columns::signed(UnixMillis::now().0)],
            )?;
            Ok(Desired::Changed(()))
        })
    }

    /// The revision need not be made ready any more. Nobody has to hear of it.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn end_preparation(&self, tenant: &TenantId, digest: &Digest) -> Result<(), CatalogError> {
        self.write(|transaction| {
            let sql = "DELETE FROM preparations WHERE tenant_id = ?1 AND digest = ?2";
            transaction.execute(sql, params![tenant.as_str(), digest.0])?;
            Ok(())
        })
    }

    /// What is to be made ready, in the order of the tenants' ids.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn preparations(&self) -> Result<Vec<(TenantId, StoredRevision)>, CatalogError> {
        let sql = format!(
            "SELECT {STORED}, r.document, r.derived_from, r.tenant_id FROM preparations AS p \
             JOIN revisions AS r ON r.tenant_id = p.tenant_id AND r.digest = p.digest \
             ORDER BY p.tenant_id"
        );
        self.read(|transaction| {
            columns::list(transaction, &sql, params![], |row| {
                Ok((columns::parsed(row, 6)?, stored(row)?))
            })
        })
    }
}
