//! Tenants.

pub mod cases;

pub mod limits;

pub mod quotas;

use tidegate_types::{TenantId, UnixMillis};

use super::Catalog;
use crate::database::{self, Row, Transaction, columns, params};
use crate::{CatalogError, Put};

/// One tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    pub id: TenantId,
    pub created_at: UnixMillis,
}

impl Catalog {
    /// Makes a tenant, where it is not there yet.
    ///
    /// # Errors
    /// [`CatalogError::Full`] at the limit of tenants.
    pub fn create_tenant(&self, id: &TenantId) -> Result<Put<Tenant>, CatalogError> {
        self.write(|transaction| {
            if let Some(tenant) = find(transaction, id)? {
                return Ok(Put::Unchanged(tenant));
            }
            let limit = self.limits.tenants;
            if columns::count(transaction, "SELECT count(*) FROM tenants", params![])? >= limit {
                return Err(CatalogError::Full { what: "tenants", limit });
            }
            let tenant = Tenant { id: id.clone(), created_at: UnixMillis::now() };
            transaction.execute(
                "INSERT INTO tenants (id, created_at) VALUES (?1, ?2)",
                params![id.as_str(), columns::signed(tenant.created_at.0)],
            )?;
            Ok(Put::Created(tenant))
        })
    }

    /// One tenant.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`].
    pub fn tenant(&self, id: &TenantId) -> Result<Tenant, CatalogError> {
        let found = self.read(|transaction| find(transaction, id))?;
        found.ok_or_else(|| CatalogError::not_found("tenant", id))
    }

    /// Tenants in the order of their ids: those after one, or from the first, at most `limit`.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn tenants(&self, after: Option<&str>, limit: u32) -> Result<Vec<Tenant>, CatalogError> {
        let sql = "SELECT id, created_at FROM tenants WHERE id > ?1 ORDER BY id LIMIT ?2";
        self.read(|transaction| {
            columns::list(transaction, sql, params![after.unwrap_or(""), limit], tenant)
        })
    }

    /// The number of tenants.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn tenant_count(&self) -> Result<u64, CatalogError> {
        self.read(|transaction| {
            columns::count(transaction, "SELECT count(*) FROM tenants", params![])
        })
    }
}

fn tenant(row: &Row) -> database::Result<Tenant> {
    Ok(Tenant { id: columns::parsed(row, 0)?, created_at: columns::time(row, 1)? })
}

fn find(transaction: &dyn Transaction, id: &TenantId) -> database::Result<Option<Tenant>> {
    let sql = "SELECT id, created_at FROM tenants WHERE id = ?1";
    columns::first(transaction, sql, params![id.as_str()], tenant)
}

/// Fails with [`CatalogError::NotFound`] where the tenant is not there.
pub(super) fn require(transaction: &dyn Transaction, id: &TenantId) -> Result<(), CatalogError> {
    match find(transaction, id)? {
        Some(_) => Ok(()),
        None => Err(CatalogError::not_found("tenant", id)),
    }
}
