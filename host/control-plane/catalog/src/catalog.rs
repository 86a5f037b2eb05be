//! The catalog itself: opening it, its limits, how its calls reach the database, and its content.
//!
//! One connection serves all calls of a node, one after the other. Content lies in files; where
//! several nodes share the database it is in there too, and the files are a cache of it.

pub mod tenants;

pub mod schemas;

pub mod tables;

pub mod components;

pub mod revisions;

pub mod rollouts;

pub mod activations;

pub mod fleet;

pub mod access;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use access::audit;
use fleet::watch::Nudge;
use tidegate_types::{Digest, TenantId};

use crate::CatalogError;
use crate::blobs::{self, Blobs};
use crate::database::{
    self, Access, Database, DatabaseOptions, Transaction, Watched, columns, params,
};
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
    /// Access tokens of the admin API, revoked ones too.
    pub access_tokens: u64,
    pub signing_keys_per_tenant: u64,
    /// Names of schemas, of tables and of uploaded components, each.
    pub names_per_tenant: u64,
    pub versions_per_name: u64,
    pub revisions_per_tenant: u64,
    pub schema_bytes: u64,
    pub table_bytes: u64,
    pub table_rows: u64,
    pub component_bytes: u64,
    /// Uploaded versions of all names.
    pub component_versions_per_tenant: u64,
    /// Bytes of all uploaded versions.
    pub component_bytes_per_tenant: u64,
    /// What admitting versions may take in any hour: compiling and testing.
    pub admission_ms_per_hour: u64,
    /// Of a revision's canonical document.
    pub document_bytes: u64,
    /// Nodes that share the catalog.
    pub nodes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            tenants: 10_000,
            keys_per_tenant: 1000,
            access_tokens: 10_000,
            signing_keys_per_tenant: 100,
            names_per_tenant: 1000,
            versions_per_name: 10_000,
            revisions_per_tenant: 100_000,
            schema_bytes: 256 << 10,
            table_bytes: 64 << 20,
            table_rows: 1_000_000,
            component_bytes: 64 << 20,
            component_versions_per_tenant: 1000,
            component_bytes_per_tenant: 1 << 30,
            admission_ms_per_hour: 600_000,
            document_bytes: 1 << 20,
            nodes: 1000,
        }
    }
}

/// The catalog of one node.
pub struct Catalog {
    database: Mutex<Box<dyn Database>>,
    /// Is the database shared with other nodes?
    is_shared: bool,
    blobs: Blobs,
    limits: Limits,
    /// To open the database once more, for a watch.
    folder: PathBuf,
    options: DatabaseOptions,
    watchers: Mutex<Vec<Nudge>>,
}

impl Catalog {
    /// Opens the catalog in a folder, in SQLite, and makes both where they are missing.
    ///
    /// # Errors
    /// As for [`Self::open_with`].
    pub fn open(folder: &Path, limits: Limits) -> Result<Self, CatalogError> {
        Self::open_with(folder, limits, &DatabaseOptions::default())
    }

    /// Opens the catalog in the database that the options name; files of content are in the folder.
    ///
    /// # Errors
    /// Where the folder or the database cannot be used, or comes from a newer program.
    pub fn open_with(
        folder: &Path,
        limits: Limits,
        options: &DatabaseOptions,
    ) -> Result<Self, CatalogError> {
        blobs::create_folder(folder)?;
        let blobs = Blobs::open(folder)?;
        let database = database::open(folder, options)?;
        blobs::sync_folder(folder)?;
        if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            blobs::sync_folder(parent)?;
        }
        let is_shared = database.is_shared();
        Ok(Self {
            database: Mutex::new(database),
            is_shared,
            blobs,
            limits,
            folder: folder.to_owned(),
            options: options.clone(),
            watchers: Mutex::default(),
        })
    }

    /// Do other nodes share the catalog?
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.is_shared
    }

    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The content of a schema, component or table, verified against its digest. Where several
    /// nodes share the catalog, a file that is missing or damaged is fetched anew.
    ///
    /// # Errors
    /// [`CatalogError::DamagedBlob`] where it is nowhere, or differs.
    pub fn content(&self, digest: &Digest) -> Result<Vec<u8>, CatalogError> {
        match self.blobs.get(digest, MAX_CONTENT_BYTES) {
            Err(CatalogError::DamagedBlob { .. }) if self.is_shared => self.fetch(digest),
            found => found,
        }
    }

    fn fetch(&self, digest: &Digest) -> Result<Vec<u8>, CatalogError> {
        let sql = "SELECT content FROM blobs WHERE digest = ?1";
        let found = self.read(|transaction| {
            columns::first(transaction, sql, params![digest.0], |row| row.get::<Vec<u8>>(0))
        })?;
        let damaged = |reason| CatalogError::DamagedBlob { digest: *digest, reason };
        let content = found.ok_or_else(|| damaged("it is not in the database"))?;
        if Digest::of(&content) != *digest {
            return Err(damaged("the database has other bytes"));
        }
        self.blobs.put(&content)?;
        Ok(content)
    }

    /// Makes content durable, before something names it.
    fn put_content(&self, content: &[u8]) -> Result<Digest, CatalogError> {
        let digest = self.blobs.put(content)?;
        if self.is_shared {
            self.share(&digest, content)?;
        }
        Ok(digest)
    }

    /// Not one of the transactions that run one after the other: content is large, and whoever
    /// stores it stores the same.
    fn share(&self, digest: &Digest, content: &[u8]) -> Result<(), CatalogError> {
        self.transact(Access::Content, |transaction| {
            let sql = "SELECT count(*) FROM blobs WHERE digest = ?1 AND sha256(content) = ?1";
            if columns::count(transaction, sql, params![digest.0])? == 0 {
                let sql = "INSERT INTO blobs (digest, content) VALUES (?1, ?2) \
                           ON CONFLICT (digest) DO UPDATE SET content = excluded.content";
                transaction.execute(sql, params![digest.0, content])?;
            }
            Ok(())
        })
    }

    /// The content of a reference table.
    ///
    /// # Errors
    /// As for [`Self::content`]; [`CatalogError::Table`] where the digest is not a table's.
    pub fn table_content(&self, digest: &Digest) -> Result<TableContent, CatalogError> {
        Ok(TableContent::read_canonical(&self.content(digest)?)?)
    }

    /// The limits of names and of versions per name, for a version about to be made.
    fn check_versions(
        &self,
        transaction: &dyn Transaction,
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
        if version == 1 && columns::count(transaction, &sql, params![tenant.as_str()])? >= limit {
            return Err(CatalogError::Full { what: "names of one kind", limit });
        }
        Ok(())
    }

    fn watchers(&self) -> MutexGuard<'_, Vec<Nudge>> {
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Box<dyn Database>> {
        // A call that panicked has rolled its transaction back: the database is sound.
        self.database.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(
        &self,
        work: impl FnOnce(&dyn Transaction) -> database::Result<T>,
    ) -> Result<T, CatalogError> {
        self.transact(Access::Read, |transaction| Ok(work(transaction)?))
    }

    fn write<T>(
        &self,
        work: impl FnOnce(&dyn Transaction) -> Result<T, CatalogError>,
    ) -> Result<T, CatalogError> {
        self.transact(Access::Write, work)
    }

    /// Runs a transaction; when this returns `Ok`, it is on the disk, and so is the audit log's entry
    /// where somebody acts and something has changed.
    fn transact<T>(
        &self,
        access: Access,
        work: impl FnOnce(&dyn Transaction) -> Result<T, CatalogError>,
    ) -> Result<T, CatalogError> {
        let mut database = self.lock();
        let transaction = Box::new(Watched::new(database.begin(access)?));
        let done = work(transaction.as_ref())?;
        if access == Access::Write && transaction.has_changed() {
            audit::note_change(transaction.as_ref())?;
        }
        transaction.commit()?;
        Ok(done)
    }
}
