//! API keys: who may send for a tenant. The keys themselves are not here, their SHA-256 is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tidegate_types::{Digest, TenantId, UnixMillis};

use super::super::fleet::desired::Desired;
use super::super::{Catalog, tenants};
use crate::database::{self, Row, columns, params};
use crate::{ApiKey, CatalogError};

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// Send events.
    #[serde(rename = "events:write")]
    EventsWrite,
    /// Read receipts.
    #[serde(rename = "events:read")]
    EventsRead,
}

impl Scope {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EventsWrite => "events:write",
            Self::EventsRead => "events:read",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no scope.
#[derive(Debug, thiserror::Error)]
#[error("a scope is events:write or events:read, not `{0}`")]
pub struct UnknownScope(String);

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::EventsWrite, Self::EventsRead];
        let found = all.into_iter().find(|scope| scope.as_str() == text);
        found.ok_or_else(|| UnknownScope(text.chars().take(80).collect()))
    }
}

/// What a new key is to be.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// For people: 1 to 100 bytes without control characters.
    pub name: String,
    /// At least one.
    pub scopes: Vec<Scope>,
    /// Requests per minute, at least 1.
    pub rate_limit: u32,
    pub expires_at: Option<UnixMillis>,
}

/// Requests per minute where nothing else is asked for.
pub const DEFAULT_RATE_LIMIT: u32 = 10_000;

/// What the catalog knows of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    pub id: String,
    /// SHA-256 of the whole key.
    pub hash: Digest,
    pub tenant: TenantId,
    pub name: String,
    /// Sorted, each once.
    pub scopes: Vec<Scope>,
    /// Requests per minute.
    pub rate_limit: u32,
    /// False once it is revoked.
    pub is_active: bool,
    pub created_at: UnixMillis,
    pub expires_at: Option<UnixMillis>,
    pub last_used_at: Option<UnixMillis>,
}

const COLUMNS: &str = "id, key_hash, tenant_id, name, scopes, rate_limit, is_active, created_at, \
                       expires_at, last_used_at";

impl Catalog {
    /// Makes a key. This is the one time that the key itself is known.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] for an unknown tenant, [`CatalogError::Invalid`] where `new`
    /// breaks its rules, [`CatalogError::Full`] at the limit of keys.
    pub fn create_key(
        &self,
        tenant: &TenantId,
        mut new: NewKey,
    ) -> Result<(ApiKey, KeyRecord), CatalogError> {
        new.scopes.sort_unstable();
        new.scopes.dedup();
        check(&new)?;
        let key = ApiKey::generate().map_err(CatalogError::Random)?;
        let record = KeyRecord {
            id: key.id().to_owned(),
            hash: key.hash(),
            tenant: tenant.clone(),
            name: new.name,
            scopes: new.scopes,
            rate_limit: new.rate_limit,
            is_active: true,
            created_at: UnixMillis::now(),
            expires_at: new.expires_at,
            last_used_at: None,
        };
        self.insert_key(&record)?;
        Ok((key, record))
    }

    fn insert_key(&self, record: &KeyRecord) -> Result<(), CatalogError> {
        let tenant = &record.tenant;
        let limit = self.limits.keys_per_tenant;
        let scopes: Vec<&str> = record.scopes.iter().map(|scope| scope.as_str()).collect();
        self.change(|transaction| {
            tenants::require(transaction, tenant)?;
            let sql = "SELECT count(*) FROM api_keys WHERE tenant_id = ?1";
            if columns::count(transaction, sql, params![tenant.as_str()])? >= limit {
                return Err(CatalogError::Full { what: "keys of a tenant", limit });
            }
            transaction.execute(
                &format!("INSERT INTO api_keys ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7, ?8, NULL)"),
                params![
                    &record.id,
                    record.hash.0,
                    tenant.as_str(),
                    &record.name,
                    scopes.join(" "),
                    record.rate_limit,
                    columns::signed(record.created_at.0),
                    record.expires_at.map(|at| columns::signed(at.0)),
                ],
            )?;
            Ok(Desired::Changed(()))
        })
    }

    /// Forgets a key that nobody has seen: where it could not be put in force.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn discard_key(&self, tenant: &TenantId, id: &str) -> Result<(), CatalogError> {
        self.change(|transaction| {
            let sql = "DELETE FROM api_keys WHERE tenant_id = ?1 AND id = ?2";
            transaction.execute(sql, params![tenant.as_str(), id])?;
            Ok(Desired::Changed(()))
        })
    }

    /// Revokes a key, for good. Revoking it again changes nothing.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`].
    pub fn revoke_key(&self, tenant: &TenantId, id: &str) -> Result<KeyRecord, CatalogError> {
        self.change(|transaction| {
            let sql = format!(
                "UPDATE api_keys SET is_active = 0 WHERE tenant_id = ?1 AND id = ?2 RETURNING {COLUMNS}"
            );
            let found = columns::first(transaction, &sql, params![tenant.as_str(), id], record)?;
            let found = found.ok_or_else(|| CatalogError::not_found("key", id))?;
            Ok(Desired::Changed(found))
        })
    }

    /// A tenant's keys, revoked ones too, newest first.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] for an unknown tenant.
    pub fn keys(&self, tenant: &TenantId) -> Result<Vec<KeyRecord>, CatalogError> {
        self.tenant(tenant)?;
        let sql = format!(
            "SELECT {COLUMNS} FROM api_keys WHERE tenant_id = ?1 ORDER BY created_at DESC, id"
        );
        self.read(|transaction| columns::list(transaction, &sql, params![tenant.as_str()], record))
    }

    /// All keys of all tenants, revoked and expired ones too: the data plane tells revoked keys
    /// from unknown ones.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn all_keys(&self) -> Result<Vec<KeyRecord>, CatalogError> {
        let sql = format!("SELECT {COLUMNS} FROM api_keys");
        self.read(|transaction| columns::list(transaction, &sql, params![], record))
    }
}

fn check(new: &NewKey) -> Result<(), CatalogError> {
    let name_fits = (1..=100).contains(&new.name.len()) && !new.name.chars().any(char::is_control);
    let problem = if !name_fits {
        "a key's name is 1 to 100 bytes without control characters"
    } else if new.scopes.is_empty() {
        "a key has at least one scope"
    } else if new.rate_limit == 0 {
        "a key's rate limit is at least 1; to block a key, revoke it"
    } else {
        return Ok(());
    };
    Err(CatalogError::Invalid(problem.to_owned()))
}

fn record(row: &Row) -> database::Result<KeyRecord> {
    let scopes: String = row.get(4)?;
    // A scope that this program does not know gives no right here.
    let mut scopes: Vec<Scope> = scopes.split(' ').filter_map(|scope| scope.parse().ok()).collect();
    scopes.sort_unstable();
    Ok(KeyRecord {
        id: row.get(0)?,
        hash: columns::digest(row, 1)?,
        tenant: columns::parsed(row, 2)?,
        name: row.get(3)?,
        scopes,
        rate_limit: row.get(5)?,
        is_active: row.get(6)?,
        created_at: columns::time(row, 7)?,
        expires_at: columns::optional_time(row, 8)?,
        last_used_at: columns::optional_time(row, 9)?,
    })
}
