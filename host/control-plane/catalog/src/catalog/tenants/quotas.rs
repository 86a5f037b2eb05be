//! What tenants, and keys of theirs, may send.

use tidegate_types::TenantId;
use tidegate_types::quota::Quotas;

use crate::CatalogError;
use crate::catalog::fleet::desired::Desired;
use crate::catalog::{Catalog, tenants};
use crate::database::{columns, params};

impl Catalog {
    /// Sets the quotas of a tenant as a whole; `None` gives it the gateway's.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] for an unknown tenant.
    pub fn set_quotas(
        &self,
        tenant: &TenantId,
        quotas: Option<&Quotas>,
    ) -> Result<(), CatalogError> {
        self.change(|transaction| {
            tenants::require(transaction, tenant)?;
            let sql = "DELETE FROM tenant_quotas WHERE tenant_id = ?1";
            transaction.execute(sql, params![tenant.as_str()])?;
            if let Some(quotas) = quotas {
                let sql = "INSERT INTO tenant_quotas (tenant_id, quotas) VALUES (?1, ?2)";
                transaction.execute(sql, params![tenant.as_str(), written(quotas)])?;
            }
            Ok(Desired::Changed(()))
        })
    }

    /// Sets the quotas of a key besides its requests per minute; `requests` in them stands in place of
    /// those.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] for an unknown key.
    pub fn set_key_quotas(
        &self,
        tenant: &TenantId,
        id: &str,
        quotas: Option<&Quotas>,
    ) -> Result<(), CatalogError> {
        self.change(|transaction| {
            let sql = "UPDATE api_keys SET quotas = ?3 WHERE tenant_id = ?1 AND id = ?2";
            let params = params![tenant.as_str(), id, quotas.map(written)];
            if transaction.execute(sql, params)? == 0 {
                return Err(CatalogError::not_found("key", id));
            }
            Ok(Desired::Changed(()))
        })
    }

    /// The tenants that have quotas of their own.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn all_quotas(&self) -> Result<Vec<(TenantId, Quotas)>, CatalogError> {
        let sql = "SELECT tenant_id, quotas FROM tenant_quotas ORDER BY tenant_id";
        self.read(|transaction| {
            columns::list(transaction, sql, params![], |row| {
                Ok((columns::parsed(row, 0)?, columns::json(row, 1)?))
            })
        })
    }
}

fn written(quotas: &Quotas) -> String {
    serde_json::to_string(quotas).expect("quotas are JSON")
}
