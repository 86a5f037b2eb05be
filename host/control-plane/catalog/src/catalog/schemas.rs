//! JSON Schemas of tenants, in versions that count up from 1 per name.

use tidegate_types::{Digest, TenantId, UnixMillis};

use super::{Catalog, tenants};
use crate::database::{self, Row, Transaction, columns, params};
use crate::{ArtifactName, CatalogError, Page, Put, Selector};

/// One version of a schema; [`Catalog::content`] has its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schema {
    pub name: String,
    pub version: u64,
    pub digest: Digest,
    pub bytes: u64,
    pub created_at: UnixMillis,
}

const COLUMNS: &str = "name, version, digest, bytes, created_at";

impl Catalog {
    /// Stores a schema that has been checked. The bytes of the latest version are that version;
    /// others become the next one, also where an older version had them.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] for an unknown tenant; [`CatalogError::TooLarge`] and
    /// [`CatalogError::Full`] at the limits.
    pub fn put_schema(
        &self,
        tenant: &TenantId,
        name: &ArtifactName,
        text: &[u8],
    ) -> Result<Put<Schema>, CatalogError> {
        if text.len() as u64 > self.limits.schema_bytes {
            return Err(CatalogError::TooLarge { what: "schema", limit: self.limits.schema_bytes });
        }
        self.tenant(tenant)?;
        let digest = self.put_content(text)?;
        self.write(|transaction| {
            tenants::require(transaction, tenant)?;
            let latest = find(transaction, tenant, name, &Selector::Latest)?;
            match latest {
                Some(latest) if latest.digest == digest => return Ok(Put::Unchanged(latest)),
                _ => {}
            }
            let version = latest.map_or(0, |latest| latest.version) + 1;
            self.check_versions(transaction, "schemas", tenant, version)?;
            let bytes = text.len() as u64;
            let created_at = UnixMillis::now();
            transaction.execute(
                &format!(
                    "INSERT INTO schemas (tenant_id, {COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
                ),
                params![
                    tenant.as_str(),
                    name.as_str(),
                    columns::signed(version),
                    digest.0,
                    columns::signed(bytes),
                    columns::signed(created_at.0),
                ],
            )?;
            let name = name.as_str().to_owned();
            Ok(Put::Created(Schema { name, version, digest, bytes, created_at }))
        })
    }

    /// One version of a schema.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`].
    pub fn schema(
        &self,
        tenant: &TenantId,
        name: &ArtifactName,
        which: &Selector,
    ) -> Result<Schema, CatalogError> {
        let found = self.read(|transaction| find(transaction, tenant, name, which))?;
        found.ok_or_else(|| CatalogError::not_found("schema", format_args!("{name}@{which}")))
    }

    /// Does any schema of the tenant have this digest?
    ///
    /// # Errors
    /// Where the database fails.
    pub fn has_schema(&self, tenant: &TenantId, digest: &Digest) -> Result<bool, CatalogError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM schemas WHERE tenant_id = ?1 AND digest = ?2)";
        let params = params![tenant.as_str(), digest.0];
        self.read(|transaction| Ok(columns::count(transaction, sql, params)? == 1))
    }

    /// The latest version of each schema, by name.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] for an unknown tenant.
    pub fn schemas(&self, tenant: &TenantId) -> Result<Vec<Schema>, CatalogError> {
        self.tenant(tenant)?;
        let sql = format!(
            "SELECT {COLUMNS} FROM schemas AS one WHERE tenant_id = ?1 AND version = (SELECT max(version) \
             FROM schemas WHERE tenant_id = one.tenant_id AND name = one.name) ORDER BY name"
        );
        self.read(|transaction| columns::list(transaction, &sql, params![tenant.as_str()], schema))
    }

    /// The versions of one schema, newest first; none where there is no such schema.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] for an unknown tenant.
    pub fn schema_versions(
        &self,
        tenant: &TenantId,
        name: &ArtifactName,
        page: Page,
    ) -> Result<Vec<Schema>, CatalogError> {
        self.tenant(tenant)?;
        let sql = format!(
            "SELECT {COLUMNS} FROM schemas WHERE tenant_id = ?1 AND name = ?2 AND version < ?3 \
             ORDER BY version DESC LIMIT ?4"
        );
        let params = params![tenant.as_str(), name.as_str(), page.bound(), page.limit];
        self.read(|transaction| columns::list(transaction, &sql, params, schema))
    }
}

fn schema(row: &Row) -> database::Result<Schema> {
    Ok(Schema {
        name: row.get(0)?,
        version: columns::number(row, 1)?,
        digest: columns::digest(row, 2)?,
        bytes: columns::number(row, 3)?,
        created_at: columns::time(row, 4)?,
    })
}

fn find(
    transaction: &dyn Transaction,
    tenant: &TenantId,
    name: &ArtifactName,
    which: &Selector,
) -> database::Result<Option<Schema>> {
    let (condition, value) = columns::selected(which, "version");
    let sql = format!(
        "SELECT {COLUMNS} FROM schemas WHERE tenant_id = ?1 AND name = ?2 AND {condition} \
         ORDER BY version DESC LIMIT 1"
    );
    columns::first(transaction, &sql, params![tenant.as_str(), name.as_str(), value], schema)
}
