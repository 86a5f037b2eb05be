//! Versions that are sent again: those that the gateway could not decide, and those that failed under
//! other settings of their tenant.

use serde_json::{Value as Json, json};
use tidegate_types::{Digest, TenantId};

use super::{Component, JobState, find};
use crate::CatalogError;
use crate::catalog::Catalog;
use crate::catalog::tenants::cases::{CasePolicy, case_policy};
use crate::database::{self, Transaction, columns, params};

impl Catalog {
    /// Has a job done again where that may come to something else.
    pub(super) fn try_again(
        &self,
        transaction: &dyn Transaction,
        tenant: &TenantId,
        version: &Component,
    ) -> Result<(), CatalogError> {
        let Some(number) = version.job else { return Ok(()) };
        let Some(job) = find(transaction, tenant, number)? else { return Ok(()) };
        let number = columns::signed(number);
        let has_failed = job.state == JobState::Failed;
        if has_failed {
            let sql = "SELECT settings FROM admission_jobs WHERE number = ?1";
            let then =
                columns::first(transaction, sql, params![number], |row| row.get::<String>(0))?;
            if then.unwrap_or_default() == settings(transaction, tenant, &version.digest)? {
                return Ok(());
            }
            self.check_turn(transaction, tenant)?;
        } else if job.state != JobState::Error {
            return Ok(());
        }
        let sql = "UPDATE admission_jobs SET state = 'pending', steps = '[]', trouble = NULL, \
                   attempts = 0, ended_at = NULL WHERE number = ?1";
        transaction.execute(sql, params![number])?;
        if has_failed {
            let sql = "UPDATE component_versions SET state = 'pending' \
                       WHERE tenant_id = ?1 AND name = ?2 AND version = ?3";
            let version = columns::signed(job.version);
            transaction.execute(sql, params![tenant.as_str(), &job.name, version])?;
        }
        Ok(())
    }
}

/// What a component's admission depends on besides its bytes: limits of the tenant and of the
/// component, and what is asked of golden cases. Empty where nothing was set.
pub(super) fn settings(
    transaction: &dyn Transaction,
    tenant: &TenantId,
    component: &Digest,
) -> database::Result<String> {
    let sql = "SELECT component, limits FROM own_limits WHERE tenant_id = ?1 \
               AND component IN ('', ?2) ORDER BY component";
    let limits = params![tenant.as_str(), component.to_string()];
    let limits: Vec<Json> = columns::list(transaction, sql, limits, |row| {
        Ok(json!([row.get::<String>(0)?, columns::json::<Json>(row, 1)?]))
    })?;
    let policy = case_policy(transaction, tenant)?;
    if limits.is_empty() && policy == CasePolicy::default() {
        return Ok(String::new());
    }
    Ok(json!({ "limits": limits, "golden_cases": policy }).to_string())
}
