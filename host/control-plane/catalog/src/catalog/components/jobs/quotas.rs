//! What a tenant may upload: versions, their bytes, and what admitting them may take.

use tidegate_types::{TenantId, UnixMillis};

use crate::CatalogError;
use crate::catalog::Catalog;
use crate::database::{Transaction, columns, params};

/// Jobs of one tenant that wait or run.
const MAX_WAITING: u64 = 16;
const HOUR_MS: u64 = 3_600_000;

impl Catalog {
    /// May a tenant store a version of this size and have it admitted?
    pub(super) fn check_quotas(
        &self,
        transaction: &dyn Transaction,
        tenant: &TenantId,
        bytes: u64,
    ) -> Result<(), CatalogError> {
        let id = tenant.as_str();
        let full = |what, limit| Err(CatalogError::Quota { what, limit, frees_at: None });
        let limit = self.limits.component_versions_per_tenant;
        let sql = "SELECT count(*) FROM component_versions WHERE tenant_id = ?1";
        if columns::count(transaction, sql, params![id])? >= limit {
            return full("plugin versions", limit);
        }
        let limit = self.limits.component_bytes_per_tenant;
        let sql = "SELECT CAST(coalesce(sum(c.bytes), 0) AS BIGINT) FROM component_versions AS v \
                   JOIN components AS c ON c.digest = v.digest WHERE v.tenant_id = ?1";
        if columns::count(transaction, sql, params![id])?.saturating_add(bytes) > limit {
            return full("bytes of plugin versions", limit);
        }
        self.check_turn(transaction, tenant)
    }

    /// May a tenant have one more version admitted?
    pub(super) fn check_turn(
        &self,
        transaction: &dyn Transaction,
        tenant: &TenantId,
    ) -> Result<(), CatalogError> {
        let quota = |what, limit, frees_at| Err(CatalogError::Quota { what, limit, frees_at });
        let sql = "SELECT count(*) FROM admission_jobs WHERE tenant_id = ?1 \
                   AND state IN ('pending', 'running')";
        if columns::count(transaction, sql, params![tenant.as_str()])? >= MAX_WAITING {
            let soon = UnixMillis(UnixMillis::now().0 + 1000);
            return quota("plugin versions that wait to be admitted", MAX_WAITING, Some(soon));
        }
        let limit = self.limits.admission_ms_per_hour;
        match self.admission_frees_at(transaction, tenant, limit)? {
            Some(frees_at) => {
                quota("milliseconds of compiling and testing in an hour", limit, Some(frees_at))
            }
            None => Ok(()),
        }
    }

    /// When the tenant may have versions compiled again; `None` where it may now.
    fn admission_frees_at(
        &self,
        transaction: &dyn Transaction,
        tenant: &TenantId,
        limit: u64,
    ) -> Result<Option<UnixMillis>, CatalogError> {
        let since = UnixMillis::now().0.saturating_sub(HOUR_MS);
        let sql = "SELECT ended_at, took_ms FROM admission_jobs WHERE tenant_id = ?1 \
                   AND ended_at > ?2 ORDER BY ended_at";
        let params = params![tenant.as_str(), columns::signed(since)];
        let ended = columns::list(transaction, sql, params, |row| {
            Ok((columns::time(row, 0)?, columns::number(row, 1)?))
        })?;
        let mut used: u64 = ended.iter().map(|(_, took)| took).sum();
        let mut frees_at = None;
        for (at, took) in ended {
            if used < limit {
                break;
            }
            used = used.saturating_sub(took);
            frees_at = Some(UnixMillis(at.0 + HOUR_MS));
        }
        Ok(frees_at)
    }
}
