//! Rule components: those that ship with the program, for every tenant, and those that tenants
//! upload, in versions that count up from 1 per name. A component's bytes are stored once, whoever
//! names them.

pub mod jobs;

use bytes::Bytes;
use tidegate_types::{Digest, TenantId, UnixMillis};

use super::Catalog;
use crate::database::{self, DatabaseError, Row, Transaction, Value, columns, params};

use crate::{ArtifactName, CatalogError, Page, Selector};
use jobs::Admission;

/// A component that ships with the program.
#[derive(Clone, Debug)]
pub struct BuiltinComponent {
    pub name: ArtifactName,
    /// As its author numbers it, such as `1.0.0`.
    pub version: String,
    /// Must be that of `bytes`.
    pub digest: Digest,
    pub bytes: Bytes,
}

/// Where a component comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComponentSource {
    Builtin,
    Uploaded,
}

/// One version of a component; [`Catalog::content`] has its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    pub name: String,
    /// A number for uploaded ones.
    pub version: String,
    pub digest: Digest,
    pub bytes: u64,
    pub source: ComponentSource,
    pub created_at: UnixMillis,
    /// Built-in components are admitted by definition.
    pub admission: Admission,
    /// The job that admits it; none for built-in components.
    pub job: Option<u64>,
}

const UPLOADED: &str = "SELECT v.name, CAST(v.version AS TEXT), v.digest, c.bytes, 0, v.created_at, \
                        v.state, (SELECT j.number FROM admission_jobs AS j WHERE \
                        j.tenant_id = v.tenant_id AND j.name = v.name AND j.version = v.version) \
                        FROM component_versions AS v JOIN components AS c USING (digest)";
const BUILTIN: &str = "SELECT b.name, b.version, b.digest, c.bytes, 1, b.created_at, \
                       'admitted', CAST(NULL AS BIGINT) \
                       FROM builtin_components AS b JOIN components AS c USING (digest)";

impl Catalog {
    /// Makes these the built-in components. Earlier ones stay for the revisions that cite them, and
    /// can still be named by version or digest.
    ///
    /// # Errors
    /// [`CatalogError::Invalid`] where a digest is not that of its bytes.
    pub fn register_builtins(&self, builtins: &[BuiltinComponent]) -> Result<(), CatalogError> {
        for builtin in builtins {
            if self.put_content(&builtin.bytes)? != builtin.digest {
                let name = &builtin.name;
                let text = format!("the built-in component {name} does not have the digest given");
                return Err(CatalogError::Invalid(text));
            }
        }
        self.write(|transaction| {
            transaction.execute("UPDATE builtin_components SET is_current = 0", params![])?;
            for builtin in builtins {
                insert_component(transaction, &builtin.digest, builtin.bytes.len() as u64, None)?;
                transaction.execute(
                    "INSERT INTO builtin_components (name, version, digest, is_current, created_at) \
                     VALUES (?1, ?2, ?3, 1, ?4) \
                     ON CONFLICT (name, digest) DO UPDATE SET is_current = 1, version = excluded.version",
                    params![
                        builtin.name.as_str(),
                        &builtin.version,
                        builtin.digest.0,
                        columns::signed(UnixMillis::now().0),
                    ],
                )?;
            }
            Ok(())
        })
    }

    fn insert_version(
        &self,
        transaction: &dyn Transaction,
        tenant: &TenantId,
        name: &ArtifactName,
        digest: &Digest,
    ) -> Result<u64, CatalogError> {
        let sql = "SELECT coalesce(max(version), 0) FROM component_versions WHERE tenant_id = ?1 AND name = ?2";
        let version =
            columns::count(transaction, sql, params![tenant.as_str(), name.as_str()])? + 1;
        self.check_versions(transaction, "component_versions", tenant, version)?;
        transaction.execute(
            "INSERT INTO component_versions (tenant_id, name, version, digest, created_at, state) \
             VALUES (?1, ?2, ?3, ?4, ?5, 'pending')",
            params![
                tenant.as_str(),
                name.as_str(),
                columns::signed(version),
                digest.0,
                columns::signed(UnixMillis::now().0),
            ],
        )?;
        Ok(version)
    }

    /// May a tenant upload a component under this name?
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] for an unknown tenant, [`CatalogError::Taken`] for the name of a
    /// built-in component that is not the tenant's own already.
    pub fn check_component_name(
        &self,
        tenant: &TenantId,
        name: &ArtifactName,
    ) -> Result<(), CatalogError> {
        self.tenant(tenant)?;
        let (uploaded, builtin) = self.read(|transaction| {
            let uploaded = find_uploaded(transaction, tenant, name, &Selector::Latest)?;
            Ok((uploaded, find_builtin(transaction, name, &Selector::Latest)?))
        })?;
        if uploaded.is_none() && builtin.is_some() {
            return Err(CatalogError::Taken { what: "built-in plugin", name: name.to_string() });
        }
        Ok(())
    }

    /// One version of a component that a tenant may use: its own, otherwise a built-in one.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`].
    pub fn component(
        &self,
        tenant: &TenantId,
        name: &ArtifactName,
        which: &Selector,
    ) -> Result<Component, CatalogError> {
        let found =
            self.read(|transaction| match find_uploaded(transaction, tenant, name, which)? {
                Some(own) => Ok(Some(own)),
                None => find_builtin(transaction, name, which),
            })?;
        found.ok_or_else(|| CatalogError::not_found("plugin", format_args!("{name}@{which}")))
    }

    /// Does a component ship with the program, or did it with an earlier release?
    ///
    /// # Errors
    /// Where the database fails.
    pub fn is_builtin(&self, digest: &Digest) -> Result<bool, CatalogError> {
        let sql = "SELECT count(*) FROM builtin_components WHERE digest = ?1";
        let count = self.read(|transaction| columns::count(transaction, sql, params![digest.0]))?;
        Ok(count > 0)
    }

    /// The component with this digest that the tenant may use: a version of its own, an admitted one
    /// where it has several, otherwise a built-in one.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`].
    pub fn component_of(
        &self,
        tenant: &TenantId,
        digest: &Digest,
    ) -> Result<Component, CatalogError> {
        let own = format!(
            "{UPLOADED} WHERE v.tenant_id = ?1 AND v.digest = ?2 \
             ORDER BY CASE v.state WHEN 'admitted' THEN 0 ELSE 1 END, v.created_at LIMIT 1"
        );
        let builtin = format!("{BUILTIN} WHERE b.digest = ?1 ORDER BY b.name LIMIT 1");
        let found = self.read(|transaction| {
            let params = params![tenant.as_str(), digest.0];
            let own = columns::first(transaction, &own, params, component)?;
            match own {
                Some(own) if own.admission == Admission::Admitted => Ok(Some(own)),
                own => {
                    Ok(columns::first(transaction, &builtin, params![digest.0], component)?.or(own))
                }
            }
        })?;
        found.ok_or_else(|| CatalogError::not_found("plugin", digest))
    }

    /// The built-in components of this program, then the latest version of each uploaded one.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] for an unknown tenant.
    pub fn components(&self, tenant: &TenantId) -> Result<Vec<Component>, CatalogError> {
        self.tenant(tenant)?;
        let builtin = format!("{BUILTIN} WHERE b.is_current = 1 ORDER BY b.name");
        let uploaded = format!(
            "{UPLOADED} WHERE v.tenant_id = ?1 AND v.version = (SELECT max(version) FROM \
             component_versions WHERE tenant_id = v.tenant_id AND name = v.name) ORDER BY v.name"
        );
        self.read(|transaction| {
            let mut all = columns::list(transaction, &builtin, params![], component)?;
            all.extend(columns::list(transaction, &uploaded, params![tenant.as_str()], component)?);
            Ok(all)
        })
    }

    /// The versions of one name, newest first: the tenant's own, or, where it has none, those of a
    /// built-in component (all of them, whatever the page).
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] for an unknown tenant.
    pub fn component_versions(
        &self,
        tenant: &TenantId,
        name: &ArtifactName,
        page: Page,
    ) -> Result<Vec<Component>, CatalogError> {
        self.tenant(tenant)?;
        let uploaded = format!(
            "{UPLOADED} WHERE v.tenant_id = ?1 AND v.name = ?2 AND v.version < ?3 \
             ORDER BY v.version DESC LIMIT ?4"
        );
        let builtin = format!(
            "{BUILTIN} WHERE b.name = ?1 ORDER BY b.is_current DESC, b.created_at DESC LIMIT ?2"
        );
        self.read(|transaction| {
            if find_uploaded(transaction, tenant, name, &Selector::Latest)?.is_none() {
                let params = params![name.as_str(), page.limit];
                return columns::list(transaction, &builtin, params, component);
            }
            let params = params![tenant.as_str(), name.as_str(), page.bound(), page.limit];
            columns::list(transaction, &uploaded, params, component)
        })
    }

    /// What inspecting a component found, where it has been inspected.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn inspection(&self, digest: &Digest) -> Result<Option<serde_json::Value>, CatalogError> {
        let sql = "SELECT inspection FROM components WHERE digest = ?1 AND inspection IS NOT NULL";
        self.read(|transaction| {
            columns::first(transaction, sql, params![digest.0], |row| columns::json(row, 0))
        })
    }

    /// Notes what inspecting a component found.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn note_inspection(
        &self,
        digest: &Digest,
        inspection: &serde_json::Value,
    ) -> Result<(), CatalogError> {
        self.write(|transaction| {
            let sql = "UPDATE components SET inspection = ?2 WHERE digest = ?1";
            transaction.execute(sql, params![digest.0, inspection.to_string()])?;
            Ok(())
        })
    }
}

fn insert_component(
    transaction: &dyn Transaction,
    digest: &Digest,
    bytes: u64,
    inspection: Option<&serde_json::Value>,
) -> database::Result<()> {
    transaction.execute(
        "INSERT INTO components (digest, bytes, inspection, created_at) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (digest) DO UPDATE \
         SET inspection = coalesce(excluded.inspection, components.inspection)",
        params![
            digest.0,
            columns::signed(bytes),
            inspection.map(ToString::to_string),
            columns::signed(UnixMillis::now().0),
        ],
    )?;
    Ok(())
}

fn component(row: &Row) -> database::Result<Component> {
    let builtin: bool = row.get(4)?;
    let (state, job): (String, Option<i64>) = (row.get(6)?, row.get(7)?);
    let admission = Admission::parse(&state);
    Ok(Component {
        name: row.get(0)?,
        version: row.get(1)?,
        digest: columns::digest(row, 2)?,
        bytes: columns::number(row, 3)?,
        source: if builtin { ComponentSource::Builtin } else { ComponentSource::Uploaded },
        created_at: columns::time(row, 5)?,
        admission: admission.ok_or_else(|| DatabaseError::damaged(6, "is no state"))?,
        job: job.map(|_| columns::number(row, 7)).transpose()?,
    })
}

fn find_uploaded(
    transaction: &dyn Transaction,
    tenant: &TenantId,
    name: &ArtifactName,
    which: &Selector,
) -> database::Result<Option<Component>> {
    let (condition, value) = columns::selected(which, "v.version");
    let sql = format!(
        "{UPLOADED} WHERE v.tenant_id = ?1 AND v.name = ?2 AND {condition} \
         ORDER BY v.version DESC LIMIT 1"
    );
    columns::first(transaction, &sql, params![tenant.as_str(), name.as_str(), value], component)
}

fn find_builtin(
    transaction: &dyn Transaction,
    name: &ArtifactName,
    which: &Selector,
) -> database::Result<Option<Component>> {
    let (condition, value) = match which {
        Selector::Latest => ("b.is_current = 1 AND CAST(?2 AS TEXT) IS NULL", Value::Null),
        Selector::Version(version) => ("b.version = ?2", Value::from(version)),
        Selector::Digest(digest) => ("b.digest = ?2", Value::from(digest.0)),
    };
    let sql = format!(
        "{BUILTIN} WHERE b.name = ?1 AND {condition} \
         ORDER BY b.is_current DESC, b.created_at DESC LIMIT 1"
    );
    columns::first(transaction, &sql, params![name.as_str(), value], component)
}
