//! Where a catalog of a test is kept, and what every case needs.

use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::TempDir;
use tidegate_catalog::{ArtifactName, Catalog, CatalogError, DatabaseOptions, Limits, Page};
use tidegate_types::TenantId;
use tidegate_types::revision::RevisionDocument;

pub(crate) const PAGE: Page = Page { before: None, limit: 100 };

/// A database that is empty at first, and the folders of the nodes that use it.
pub(crate) struct Place {
    folder: TempDir,
    url: String,
}

impl Place {
    pub(crate) fn sqlite() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder"), url: String::new() }
    }

    #[cfg(feature = "postgres")]
    pub(crate) fn postgres() -> Self {
        Self { url: tidegate_testkit::postgres::shared().create_database(), ..Self::sqlite() }
    }

    pub(crate) fn is_postgres(&self) -> bool {
        !self.url.is_empty()
    }

    pub(crate) fn options(&self) -> DatabaseOptions {
        DatabaseOptions { url: self.url.clone(), ..DatabaseOptions::default() }
    }

    /// The folder of a node. Nodes share the database: SQLite's is one folder.
    pub(crate) fn node_folder(&self, node: &str) -> PathBuf {
        self.folder.path().join(if self.is_postgres() { node } else { "catalog" })
    }

    pub(crate) fn node(&self, node: &str) -> Catalog {
        self.try_node(node, Limits::default()).expect("the catalog opens")
    }

    pub(crate) fn try_node(&self, node: &str, limits: Limits) -> Result<Catalog, CatalogError> {
        Catalog::open_with(&self.node_folder(node), limits, &self.options())
    }

    pub(crate) fn open(&self) -> Catalog {
        self.node("catalog")
    }

    pub(crate) fn blobs(&self) -> PathBuf {
        self.node_folder("catalog").join("blobs")
    }

    /// Runs a statement behind the catalog's back.
    pub(crate) fn sql(&self, sqlite: &str, postgres: &str) {
        #[cfg(feature = "postgres")]
        if self.is_postgres() {
            drop(tidegate_testkit::postgres::shared().sql(&self.url, postgres));
            return;
        }
        let _ = postgres;
        let file = self.node_folder("catalog").join("catalog.sqlite");
        rusqlite::Connection::open(file).unwrap().execute_batch(sqlite).unwrap();
    }

    /// The same with a statement that may fail; answers whether it went well.
    pub(crate) fn try_sql(&self, statement: &str) -> bool {
        #[cfg(feature = "postgres")]
        if self.is_postgres() {
            return tidegate_testkit::postgres::shared().try_sql(&self.url, statement);
        }
        let file = self.node_folder("catalog").join("catalog.sqlite");
        rusqlite::Connection::open(file).unwrap().execute_batch(statement).is_ok()
    }

    /// All that is stored, bytes and hexadecimal text alike.
    pub(crate) fn everything(&self) -> Vec<u8> {
        let mut all = Vec::new();
        #[cfg(feature = "postgres")]
        if self.is_postgres() {
            all.extend(tidegate_testkit::postgres::shared().dump(&self.url).into_bytes());
        }
        append_files(&self.node_folder("catalog"), &mut all);
        all
    }
}

fn append_files(folder: &Path, all: &mut Vec<u8>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            append_files(&path, all);
        } else {
            all.extend(std::fs::read(&path).unwrap());
        }
    }
}

pub(crate) fn tenant(catalog: &Catalog, id: &str) -> TenantId {
    let id = TenantId::new(id).expect("a tenant's id");
    catalog.create_tenant(&id).expect("a tenant");
    id
}

pub(crate) fn name(text: &str) -> ArtifactName {
    ArtifactName::new(text).expect("a name")
}

pub(crate) fn document(default_type: &str) -> RevisionDocument {
    serde_json::from_value(
        json!({ "default_type": default_type, "event_types": { default_type: {} } }),
    )
    .expect("a document")
}
