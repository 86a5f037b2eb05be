//! What a tenant asks of uploaded components: must they carry golden cases?

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tidegate_types::TenantId;

use crate::CatalogError;
use crate::catalog::{Catalog, tenants};
use crate::database::{self, DatabaseError, Transaction, columns, params};

/// Does a component without golden cases suffice?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CasePolicy {
    /// It does.
    #[default]
    NotRequired,
    /// It fails its self-test.
    Required,
}

impl CasePolicy {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotRequired => "not-required",
            Self::Required => "required",
        }
    }
}

impl fmt::Display for CasePolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for CasePolicy {
    type Err = CatalogError;

    fn from_str(text: &str) -> Result<Self, CatalogError> {
        let all = [Self::NotRequired, Self::Required];
        let found = all.into_iter().find(|policy| policy.as_str() == text);
        found.ok_or_else(|| {
            CatalogError::Invalid("golden cases are `required` or `not-required`".to_owned())
        })
    }
}

impl Catalog {
    /// What is asked of components that are uploaded for a tenant.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] for an unknown tenant.
    pub fn case_policy(&self, tenant: &TenantId) -> Result<CasePolicy, CatalogError> {
        self.tenant(tenant)?;
        self.read(|transaction| case_policy(transaction, tenant))
    }

    /// Sets what is asked of components that are uploaded from now on.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] for an unknown tenant.
    pub fn set_case_policy(
        &self,
        tenant: &TenantId,
        policy: CasePolicy,
    ) -> Result<(), CatalogError> {
        self.write(|transaction| {
            tenants::require(transaction, tenant)?;
            let sql = "INSERT INTO case_policies (tenant_id, policy) VALUES (?1, ?2) \
                       ON CONFLICT (tenant_id) DO UPDATE SET policy = excluded.policy";
            transaction.execute(sql, params![tenant.as_str(), policy.as_str()])?;
            Ok(())
        })
    }
}

pub(in crate::catalog) fn case_policy(
    transaction: &dyn Transaction,
    tenant: &TenantId,
) -> database::Result<CasePolicy> {
    let sql = "SELECT policy FROM case_policies WHERE tenant_id = ?1";
    let found = columns::first(transaction, sql, params![tenant.as_str()], |row| {
        let policy: String = row.get(0)?;
        policy.parse().map_err(|_| DatabaseError::damaged(0, "is no policy"))
    })?;
    Ok(found.unwrap_or_default())
}
