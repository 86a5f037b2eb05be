//! The catalog itself: opening it, its limits, and how its calls reach the database.
//!
//! `FOLDER/catalog.sqlite` is in WAL mode with `synchronous=FULL`: a transaction that has returned
//! is on the disk. One connection serves all calls, one after the other.

pub mod tenants;

pub mod keys;

pub mod schemas;

pub mod tables;

pub mod components;

pub mod revisions;

pub mod activations;

mod columns;
mod migrations;

use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};
use tidegate_types::{Digest, TenantId};

use crate::CatalogError;
use crate::blobs::{self, Blobs};
use crate::table_content::TableContent;

/// No content is read beyond this, whatever lies in its file. Above every sensible limit, so that
/// content stays readable when limits are lowered.
const MAX_CONTENT_BYTES: u64 = 1 << 30;

/// How much a catalog takes. What is full is refused with [`CatalogError::Full`], what is too large
/// with [`CatalogError::TooLarge`].
#[derive(Clone, Debug)]
pub struct Limits {
    pub tenants: u64,
    pub keys_per_tenant: u64,
    /// Names of schemas, of tables and of uploaded components, each.
    pub names_per_tenant: u64,
    pub versions_per_name: u64,
    pub revisions_per_tenant: u64,
    pub schema_bytes: u64,
    pub table_bytes: u64,
    pub table_rows: u64,
    pub component_bytes: u64,
    /// Of a revision's canonical document.
    pub document_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tenants: 10_000,
            keys_per_tenant: 1000,
            names_per_tenant: 1000,
            versions_per_name: 10_000,
            revisions_per_tenant: 100_000,
            schema_bytes: 256 << 10,
            table_bytes: 64 << 20,
            table_rows: 1_000_000,
            component_bytes: 64 << 20,
            document_bytes: 1 << 20,
        }
    }
}

/// The catalog of one node.
pub struct Catalog {
    connection: Mutex<Connection>,
    blobs: Blobs,
    limits: Limits,
}

impl Catalog {
    /// Opens the catalog in a folder, and makes both where they are missing.
    ///
    /// # Errors
    /// Where the folder or the database cannot be used, or comes from a newer program.
    pub fn open(folder: &Path, limits: Limits) -> Result<Self, CatalogError> {
        blobs::create_folder(folder)?;
        let blobs = Blobs::open(folder)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(folder.join("catalog.sqlite"), flags)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        migrations::run(&mut connection)?;
        blobs::sync_folder(folder)?;
        if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            blobs::sync_folder(parent)?;
        }
        Ok(Self { connection: Mutex::new(connection), blobs, limits })
    }

    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The content of a schema, component or table, verified against its digest.
    ///
    /// # Errors
    /// [`CatalogError::DamagedBlob`] where it is missing or differs.
    pub fn content(&self, digest: &Digest) -> Result<Vec<u8>, CatalogError> {
        self.blobs.get(digest, MAX_CONTENT_BYTES)
    }

    /// The content of a reference table.
    ///
    /// # Errors
    /// As for [`Self::content`]; [`CatalogError::Table`] where the digest is not a table's.
    pub fn table_content(&self, digest: &Digest) -> Result<TableContent, CatalogError> {
        Ok(TableContent::parse(&self.content(digest)?, None, u64::MAX)?)
    }

    /// The limits of names and of versions per name, for a version about to be made.
    fn check_versions(
        &self,
        connection: &Connection,
        table: &'static str,
        tenant: &TenantId,
        version: u64,
    ) -> Result<(), CatalogError> {
        let limit = self.limits.versions_per_name;
        if version > limit {
            return Err(CatalogError::Full { what: "versions of one name", limit });
        }
        let limit = self.limits.names_per_tenant;
        let sql = format!("SELECT count(DISTINCT name) FROM {table} WHERE tenant_id = ?1");
        if version == 1 && columns::count(connection, &sql, [tenant.as_str()])? >= limit {
            return Err(CatalogError::Full { what: "names of one kind", limit });
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        // A call that panicked has rolled its transaction back: the connection is sound.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, CatalogError> {
        Ok(work(&self.lock())?)
    }

    /// Runs a transaction; when this returns `Ok`, it is on the disk.
    fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, CatalogError>,
    ) -> Result<T, CatalogError> {
        let mut connection = self.lock();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = work(&transaction)?;
        transaction.commit()?;
        Ok(done)
    }
}
