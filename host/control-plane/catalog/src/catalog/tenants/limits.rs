//! Limits that tenants, and components of a tenant, have in place of the gateway's. What they mean
//! is the data plane's business: here they are JSON.

use serde_json::Value;
use tidegate_types::{Digest, TenantId};

use crate::CatalogError;
use crate::catalog::fleet::desired::Desired;
use crate::catalog::{Catalog, tenants};
use crate::database::{columns, params};

/// Limits of a tenant, or of one of its components.
#[derive(Clone, Debug, PartialEq)]
pub struct OwnLimits {
    pub tenant: TenantId,
    /// `None` for the tenant as a whole.
    pub component: Option<Digest>,
    pub limits: Value,
}

/// Stands for the tenant as a whole, where a digest would be.
const WHOLE: &str = "";

impl Catalog {
    /// Sets limits in place of those there were; an empty object takes them away.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] for an unknown tenant.
    pub fn set_limits(
        &self,
        tenant: &TenantId,
        component: Option<&Digest>,
        limits: &Value,
    ) -> Result<(), CatalogError> {
        let component = component.map_or_else(|| WHOLE.to_owned(), ToString::to_string);
        self.change(|transaction| {
            tenants::require(transaction, tenant)?;
            let sql = "DELETE FROM own_limits WHERE tenant_id = ?1 AND component = ?2";
            transaction.execute(sql, params![tenant.as_str(), &component])?;
            if limits.as_object().is_some_and(|limits| !limits.is_empty()) {
                transaction.execute(
                    "INSERT INTO own_limits (tenant_id, component, limits) VALUES (?1, ?2, ?3)",
                    params![tenant.as_str(), &component, limits.to_string()],
                )?;
            }
            Ok(Desired::Changed(()))
        })
    }

    /// All limits of all tenants, in the order of the tenants' ids.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn own_limits(&self) -> Result<Vec<OwnLimits>, CatalogError> {
        let sql =
            "SELECT tenant_id, component, limits FROM own_limits ORDER BY tenant_id, component";
        self.read(|transaction| {
            columns::list(transaction, sql, params![], |row| {
                let component: String = row.get(1)?;
                let component = match component.as_str() {
                    WHOLE => None,
                    _ => Some(columns::parsed(row, 1)?),
                };
                let (tenant, limits) = (columns::parsed(row, 0)?, columns::json(row, 2)?);
                Ok(OwnLimits { tenant, component, limits })
            })
        })
    }
}
