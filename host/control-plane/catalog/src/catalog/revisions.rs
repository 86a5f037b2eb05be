//! Revisions: what decides a tenant's events, numbered from 1 per tenant and named by digest. The
//! canonical bytes are stored as they were digested, with the version of the kernels in them.

use serde::Deserialize;
use tidegate_types::revision::{KERNELS, RevisionDocument};
use tidegate_types::{Digest, TenantId, UnixMillis};

use super::{Catalog, Limits, tenants};
use crate::database::{self, DatabaseError, Row, Transaction, Value, columns, params};
use crate::{CatalogError, Page, Put, Selector};

/// What has become of a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevisionState {
    /// Never was active.
    Draft,
    /// Judges copies.
    Shadow,
    /// Judges a share of the events.
    Canary,
    /// Decides the tenant's events.
    Active,
    /// Was active.
    Retired,
}

impl RevisionState {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Shadow => "shadow",
            Self::Canary => "canary",
            Self::Active => "active",
            Self::Retired => "retired",
        }
    }
}

/// A revision without its document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevisionSummary {
    pub number: u64,
    pub digest: Digest,
    pub state: RevisionState,
    pub created_at: UnixMillis,
}

/// A revision as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRevision {
    pub number: u64,
    /// Of the canonical bytes as they are stored: with `kernels`, not with this program's.
    pub digest: Digest,
    /// The version of the kernels that the revision was made for.
    pub kernels: String,
    pub document: RevisionDocument,
    pub state: RevisionState,
    pub created_at: UnixMillis,
    /// The revision that it has newer generations of followed tables than.
    pub derived_from: Option<Digest>,
}

/// A revision's number, digest, time, state and canonical bytes, `r` being its row.
pub(super) const STORED: &str = "r.number, r.digest, r.created_at, \
    CASE WHEN r.digest = (SELECT digest FROM activations WHERE tenant_id = r.tenant_id AND withdrawn = 0 \
                          ORDER BY sequence DESC LIMIT 1) THEN 2 \
         WHEN EXISTS (SELECT 1 FROM rollouts WHERE tenant_id = r.tenant_id AND digest = r.digest \
                      AND ended_at IS NULL AND stage LIKE '%canary%') THEN 4 \
         WHEN EXISTS (SELECT 1 FROM rollouts WHERE tenant_id = r.tenant_id AND digest = r.digest \
                      AND ended_at IS NULL) THEN 3 \
         WHEN EXISTS (SELECT 1 FROM activations WHERE tenant_id = r.tenant_id AND withdrawn = 0 \
                      AND digest = r.digest) THEN 1 \
         ELSE 0 END";

impl Catalog {
    /// Stores a revision that has been checked; one that is there already stays as it is.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] for an unknown tenant; [`CatalogError::TooLarge`] and
    /// [`CatalogError::Full`] at the limits.
    pub fn store_revision(
        &self,
        tenant: &TenantId,
        document: &RevisionDocument,
    ) -> Result<Put<StoredRevision>, CatalogError> {
        self.write(|transaction| put(transaction, tenant, document, None, &self.limits))
    }

    /// One revision, by number or digest.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`].
    pub fn revision(
        &self,
        tenant: &TenantId,
        which: &Selector,
    ) -> Result<StoredRevision, CatalogError> {
        let found = self.read(|transaction| find(transaction, tenant, which))?;
        found.ok_or_else(|| CatalogError::not_found("revision", which))
    }

    /// A tenant's revisions, newest first.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] for an unknown tenant.
    pub fn revisions(
        &self,
        tenant: &TenantId,
        page: Page,
    ) -> Result<Vec<RevisionSummary>, CatalogError> {
        self.tenant(tenant)?;
        let sql = format!(
            "SELECT {STORED} FROM revisions AS r WHERE r.tenant_id = ?1 AND r.number < ?2 \
             ORDER BY r.number DESC LIMIT ?3"
        );
        let params = params![tenant.as_str(), page.bound(), page.limit];
        self.read(|transaction| columns::list(transaction, &sql, params, summary))
    }

    /// The number of a tenant's revisions.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn revision_count(&self, tenant: &TenantId) -> Result<u64, CatalogError> {
        let sql = "SELECT count(*) FROM revisions WHERE tenant_id = ?1";
        self.read(|transaction| columns::count(transaction, sql, params![tenant.as_str()]))
    }
}

/// Stores a revision; `derived_from` is the one that it has newer tables than.
pub(super) fn put(
    transaction: &dyn Transaction,
    tenant: &TenantId,
    document: &RevisionDocument,
    derived_from: Option<Digest>,
    limits: &Limits,
) -> Result<Put<StoredRevision>, CatalogError> {
    let canonical = document.canonical();
    let limit = limits.document_bytes;
    if canonical.len() as u64 > limit {
        return Err(CatalogError::TooLarge { what: "revision document", limit });
    }
    let digest = Digest::of(&canonical);
    tenants::require(transaction, tenant)?;
    if let Some(same) = find(transaction, tenant, &Selector::Digest(digest))? {
        return Ok(Put::Unchanged(same));
    }
    let sql = "SELECT coalesce(max(number), 0) FROM revisions WHERE tenant_id = ?1";
    let number = columns::count(transaction, sql, params![tenant.as_str()])? + 1;
    let limit = limits.revisions_per_tenant;
    if number > limit {
        return Err(CatalogError::Full { what: "revisions of a tenant", limit });
    }
    let created_at = UnixMillis::now();
    let (signed, at) = (columns::signed(number), columns::signed(created_at.0));
    let from = derived_from.map(|from| from.0.to_vec());
    transaction.execute(
        "INSERT INTO revisions (tenant_id, number, digest, document, created_at, derived_from) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![tenant.as_str(), signed, digest.0, canonical, at, from],
    )?;
    let (kernels, document) = (KERNELS.to_owned(), document.clone());
    let state = RevisionState::Draft;
    Ok(Put::Created(StoredRevision {
        number,
        digest,
        kernels,
        document,
        state,
        created_at,
        derived_from,
    }))
}

fn summary(row: &Row) -> database::Result<RevisionSummary> {
    let state = match columns::number(row, 3)? {
        0 => RevisionState::Draft,
        1 => RevisionState::Retired,
        3 => RevisionState::Shadow,
        4 => RevisionState::Canary,
        _ => RevisionState::Active,
    };
    Ok(RevisionSummary {
        number: columns::number(row, 0)?,
        digest: columns::digest(row, 1)?,
        created_at: columns::time(row, 2)?,
        state,
    })
}

/// Reads the columns of [`STORED`], the canonical bytes and `derived_from` after them.
pub(super) fn stored(row: &Row) -> database::Result<StoredRevision> {
    #[derive(Deserialize)]
    struct Canonical {
        kernels: String,
        revision: RevisionDocument,
    }
    let RevisionSummary { number, digest, state, created_at } = summary(row)?;
    let canonical: Vec<u8> = row.get(4)?;
    if Digest::of(&canonical) != digest {
        return Err(DatabaseError::damaged(4, "the revision's bytes have another digest"));
    }
    let canonical =
        serde_json::from_slice(&canonical).map_err(|error| DatabaseError::damaged(4, error))?;
    let Canonical { kernels, revision: document } = canonical;
    let derived_from: Option<Vec<u8>> = row.get(5)?;
    let derived_from = derived_from.map(|_| columns::digest(row, 5)).transpose()?;
    Ok(StoredRevision { number, digest, kernels, document, state, created_at, derived_from })
}

fn find(
    transaction: &dyn Transaction,
    tenant: &TenantId,
    which: &Selector,
) -> database::Result<Option<StoredRevision>> {
    let (condition, value) = match which {
        Selector::Latest => ("CAST(?2 AS TEXT) IS NULL", Value::Null),
        Selector::Version(number) => ("r.number = ?2", Selector::number(number).into()),
        Selector::Digest(digest) => ("r.digest = ?2", digest.0.into()),
    };
    let sql = format!(
        "SELECT {STORED}, r.document, r.derived_from FROM revisions AS r WHERE r.tenant_id = ?1 AND {condition} \
         ORDER BY r.number DESC LIMIT 1"
    );
    columns::first(transaction, &sql, params![tenant.as_str(), value], stored)
}
