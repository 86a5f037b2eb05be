//! Reference tables of tenants, in generations that count up from 1 per name.

use tidegate_types::{Digest, TableName, TenantId, UnixMillis};

use super::{Catalog, tenants};
use crate::database::{self, Row, Transaction, columns, params};
use crate::table_content::TableBounds;
use crate::{CatalogError, Page, Put, Selector, TableContent, TableSource};

/// One generation of a reference table; [`Catalog::table_content`] has its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    pub name: TableName,
    pub generation: u64,
    pub digest: Digest,
    /// Of the canonical content.
    pub bytes: u64,
    pub rows: u64,
    /// The key's first.
    pub columns: Vec<String>,
    pub created_at: UnixMillis,
}

/// Content that has been checked and is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagedTable {
    digest: Digest,
    bytes: u64,
    rows: u64,
    columns: Vec<String>,
}

const COLUMNS: &str = "name, generation, digest, bytes, row_count, column_names, created_at";

impl Catalog {
    /// Checks an upload and makes its content durable, which takes as long as it is large; nothing
    /// names it yet. `key` names the key's column, which is the first one otherwise.
    ///
    /// # Errors
    /// [`CatalogError::Table`] by line or row; [`CatalogError::TooLarge`];
    /// [`CatalogError::NotFound`] for an unknown tenant.
    pub fn stage_table(
        &self,
        tenant: &TenantId,
        source: TableSource<'_>,
        key: Option<&str>,
    ) -> Result<StagedTable, CatalogError> {
        self.tenant(tenant)?;
        let limit = self.limits.table_bytes;
        let too_large = CatalogError::TooLarge { what: "table", limit };
        match source {
            TableSource::Csv(bytes) | TableSource::Ndjson(bytes) if bytes.len() as u64 > limit => {
                return Err(too_large);
            }
            _ => {}
        }
        let bounds = TableBounds { rows: self.limits.table_rows, bytes: limit };
        let content = TableContent::read(source, key, bounds)?;
        let canonical = content.canonical();
        // The last line may have come without its end.
        if canonical.len() as u64 > limit.saturating_add(1) {
            return Err(too_large);
        }
        Ok(StagedTable {
            digest: self.put_content(&canonical)?,
            bytes: canonical.len() as u64,
            rows: content.len() as u64,
            columns: content.columns().to_vec(),
        })
    }

    /// Makes staged content a generation of a tenant's table. The content of the latest generation is
    /// that generation; other content becomes the next one.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] for an unknown tenant; [`CatalogError::Full`] at the limits.
    pub fn put_table(
        &self,
        tenant: &TenantId,
        name: &TableName,
        staged: StagedTable,
    ) -> Result<Put<Table>, CatalogError> {
        let StagedTable { digest, bytes, rows, columns } = staged;
        let mut table = Table {
            name: name.clone(),
            generation: 0,
            digest,
            bytes,
            rows,
            columns,
            created_at: UnixMillis::now(),
        };
        self.write(|transaction| {
            tenants::require(transaction, tenant)?;
            let latest = find(transaction, tenant, name, &Selector::Latest)?;
            match latest {
                Some(latest) if latest.digest == table.digest => return Ok(Put::Unchanged(latest)),
                _ => {}
            }
            table.generation = latest.map_or(0, |latest| latest.generation) + 1;
            self.check_versions(transaction, "reference_tables", tenant, table.generation)?;
            insert(transaction, tenant, &table)?;
            Ok(Put::Created(table))
        })
    }

    /// One generation of a table.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`].
    pub fn table(
        &self,
        tenant: &TenantId,
        name: &TableName,
        which: &Selector,
    ) -> Result<Table, CatalogError> {
        let found = self.read(|transaction| find(transaction, tenant, name, which))?;
        found.ok_or_else(|| CatalogError::not_found("table", format_args!("{name}@{which}")))
    }

    /// The latest generation of each table, by name.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] for an unknown tenant.
    pub fn tables(&self, tenant: &TenantId) -> Result<Vec<Table>, CatalogError> {
        self.tenant(tenant)?;
        let sql = format!(
            "SELECT {COLUMNS} FROM reference_tables AS one WHERE tenant_id = ?1 AND generation = \
             (SELECT max(generation) FROM reference_tables WHERE tenant_id = one.tenant_id \
             AND name = one.name) ORDER BY name"
        );
        self.read(|transaction| columns::list(transaction, &sql, params![tenant.as_str()], table))
    }

    /// The generations of one table, newest first; none where there is no such table.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] for an unknown tenant.
    pub fn table_generations(
        &self,
        tenant: &TenantId,
        name: &TableName,
        page: Page,
    ) -> Result<Vec<Table>, CatalogError> {
        self.tenant(tenant)?;
        let sql = format!(
            "SELECT {COLUMNS} FROM reference_tables WHERE tenant_id = ?1 AND name = ?2 \
             AND generation < ?3 ORDER BY generation DESC LIMIT ?4"
        );
        let params = params![tenant.as_str(), name.as_str(), page.bound(), page.limit];
        self.read(|transaction| columns::list(transaction, &sql, params, table))
    }
}

fn insert(transaction: &dyn Transaction, tenant: &TenantId, table: &Table) -> database::Result<()> {
    transaction.execute(
        &format!("INSERT INTO reference_tables (tenant_id, {COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"),
        params![
            tenant.as_str(),
            table.name.as_str(),
            columns::signed(table.generation),
            table.digest.0,
            columns::signed(table.bytes),
            columns::signed(table.rows),
            serde_json::json!(table.columns).to_string(),
            columns::signed(table.created_at.0),
        ],
    )?;
    Ok(())
}

fn table(row: &Row) -> database::Result<Table> {
    Ok(Table {
        name: columns::parsed(row, 0)?,
        generation: columns::number(row, 1)?,
        digest: columns::digest(row, 2)?,
        bytes: columns::number(row, 3)?,
        rows: columns::number(row, 4)?,
        columns: columns::json(row, 5)?,
        created_at: columns::time(row, 6)?,
    })
}

fn find(
    transaction: &dyn Transaction,
    tenant: &TenantId,
    name: &TableName,
    which: &Selector,
) -> database::Result<Option<Table>> {
    let (condition, value) = columns::selected(which, "generation");
    let sql = format!(
        "SELECT {COLUMNS} FROM reference_tables WHERE tenant_id = ?1 AND name = ?2 AND {condition} \
         ORDER BY generation DESC LIMIT 1"
    );
    columns::first(transaction, &sql, params![tenant.as_str(), name.as_str(), value], table)
}
