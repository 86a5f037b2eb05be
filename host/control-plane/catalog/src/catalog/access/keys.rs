//! API keys: who may send for a tenant. The keys themselves are not here, their SHA-256 is.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tidegate_types::name::secret;
use tidegate_types::quota::Quotas;
use tidegate_types::{Digest, EventType, TenantId, UnixMillis};

use super::super::fleet::desired::Desired;
use super::super::{Catalog, tenants};
use crate::database::{self, Row, columns, params};
use crate::{ApiKey, CatalogError, api_key};

/// What a key may do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Scope {
    /// Send events: `events:write`.
    EventsWrite,
    /// Send events of one type: `events:write:TYPE`. The type has no white space.
    EventsWriteType(EventType),
    /// Read receipts: `events:read`.
    EventsRead,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EventsWrite => f.write_str("events:write"),
            Self::EventsWriteType(event_type) => write!(f, "events:write:{event_type}"),
            Self::EventsRead => f.write_str("events:read"),
        }
    }
}

/// A text that is no scope.
#[derive(Debug, thiserror::Error)]
#[error("a scope is events:write, events:write:TYPE or events:read, not `{0}`")]
pub struct UnknownScope(String);

impl FromStr for Scope {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let event_type = text.strip_prefix("events:write:");
        let event_type = event_type.filter(|name| !name.contains(char::is_whitespace));
        match (text, event_type.map(EventType::new)) {
            ("events:write", _) => Ok(Self::EventsWrite),
            ("events:read", _) => Ok(Self::EventsRead),
            (_, Some(Ok(event_type))) => Ok(Self::EventsWriteType(event_type)),
            _ => Err(UnknownScope(text.chars().take(80).collect())),
        }
    }
}

impl TryFrom<String> for Scope {
    type Error = UnknownScope;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.to_string()
    }
}

/// What a new key is to be.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// For people: 1 to 100 bytes without control characters.
    pub name: String,
    /// 1 to 64.
    pub scopes: Vec<Scope>,
    /// Requests per minute, at least 1.
    pub rate_limit: u32,
    pub expires_at: Option<UnixMillis>,
}

/// A key that another system has made, of which its hash alone is known.
#[derive(Clone, Debug)]
pub struct ForeignKey {
    /// SHA-256 of the whole key.
    pub hash: Digest,
    /// Its name in the catalog, 1 to 64 of `0-9 A-Z a-z . _ -`; drawn where there is none.
    pub id: Option<String>,
    /// False for one that was revoked.
    pub is_active: bool,
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
    /// Besides `rate_limit`; `requests` in them stands in its place.
    pub quotas: Option<Quotas>,
}

/// Scopes of one key.
const MAX_SCOPES: usize = 64;

const COLUMNS: &str = "id, key_hash, tenant_id, name, scopes, rate_limit, is_active, created_at, \
                       expires_at, last_used_at, quotas";

impl Catalog {
    /// Makes a key for an environment (see `tidegate_types::name::secret`). This is the one time that the
    /// key itself is known.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] for an unknown tenant, [`CatalogError::Invalid`] where `new` or the
    /// environment breaks its rules, [`CatalogError::Full`] at the limit of keys.
    pub fn create_key(
        &self,
        tenant: &TenantId,
        environment: &str,
        new: NewKey,
    ) -> Result<(ApiKey, KeyRecord), CatalogError> {
        let prefix = secret::key_prefix(environment).ok_or_else(|| {
            let rule = "the environment of keys is 1 to 16 of 0-9 and a-z";
            CatalogError::Invalid(rule.to_owned())
        })?;
        let key = ApiKey::generate(&prefix).map_err(CatalogError::Random)?;
        let record = new.record(tenant, key.id().to_owned(), key.hash())?;
        let record = self.insert_key(&record)?;
        Ok((key, record))
    }

    /// Takes over a key that another system has made. The same one again changes nothing.
    ///
    /// # Errors
    /// As [`Catalog::create_key`], and [`CatalogError::Taken`] where the hash or the id is another
    /// key's.
    pub fn adopt_key(
        &self,
        tenant: &TenantId,
        new: NewKey,
        foreign: ForeignKey,
    ) -> Result<KeyRecord, CatalogError> {
        let id = match foreign.id {
            Some(id) if is_id(&id) => id,
            Some(_) => {
                let rule = "a key's id is 1 to 64 of 0-9, A-Z, a-z, ., _ and -";
                return Err(CatalogError::Invalid(rule.to_owned()));
            }
            None => api_key::draw_id().map_err(CatalogError::Random)?,
        };
        let mut record = new.record(tenant, id, foreign.hash)?;
        record.is_active = foreign.is_active;
        self.insert_key(&record)
    }

    /// Inserts a key, or answers the one that is there with its hash.
    fn insert_key(&self, record: &KeyRecord) -> Result<KeyRecord, CatalogError> {
        let tenant = &record.tenant;
        let limit = self.limits.keys_per_tenant;
        let scopes: Vec<String> = record.scopes.iter().map(Scope::to_string).collect();
        self.change(|transaction| {
            tenants::require(transaction, tenant)?;
            let sql = format!("SELECT {COLUMNS} FROM api_keys WHERE key_hash = ?1 OR id = ?2");
            let params = params![record.hash.0, &record.id];
            match columns::list(transaction, &sql, params, self::record)?.as_slice() {
                [] => {}
                [same] if same.hash == record.hash && same.tenant == record.tenant => {
                    return Ok(Desired::Same(same.clone()));
                }
                _ => return Err(CatalogError::Taken { what: "key", name: record.id.clone() }),
            }
            let sql = "SELECT count(*) FROM api_keys WHERE tenant_id = ?1";
            if columns::count(transaction, sql, params![tenant.as_str()])? >= limit {
                return Err(CatalogError::Full { what: "keys of a tenant", limit });
            }
            transaction.execute(
                &format!("INSERT INTO api_keys ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?9, ?7, ?8, NULL, NULL)"),
                params![
                    &record.id,
                    record.hash.0,
                    tenant.as_str(),
                    &record.name,
                    scopes.join(" "),
                    record.rate_limit,
                    columns::signed(record.created_at.0),
                    record.expires_at.map(|at| columns::signed(at.0)),
                    i64::from(record.is_active),
                ],
            )?;
            Ok(Desired::Changed(record.clone()))
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

    /// Notes when keys were used last. A time before the one that is known changes nothing.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn note_key_use(&self, uses: &[(String, UnixMillis)]) -> Result<(), CatalogError> {
        let sql = "UPDATE api_keys SET last_used_at = ?2 WHERE id = ?1 \
                   AND (last_used_at IS NULL OR last_used_at < ?2)";
        self.write(|transaction| {
            for (id, at) in uses {
                transaction.execute(sql, params![id, columns::signed(at.0)])?;
            }
            Ok(())
        })
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

impl NewKey {
    fn record(
        mut self,
        tenant: &TenantId,
        id: String,
        hash: Digest,
    ) -> Result<KeyRecord, CatalogError> {
        self.scopes.sort_unstable();
        self.scopes.dedup();
        check(&self)?;
        Ok(KeyRecord {
            id,
            hash,
            tenant: tenant.clone(),
            name: self.name,
            scopes: self.scopes,
            rate_limit: self.rate_limit,
            is_active: true,
            created_at: UnixMillis::now(),
            expires_at: self.expires_at,
            last_used_at: None,
            quotas: None,
        })
    }
}

fn is_id(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    (1..=64).contains(&text.len()) && text.bytes().all(fits)
}

fn check(new: &NewKey) -> Result<(), CatalogError> {
    let name_fits = (1..=100).contains(&new.name.len()) && !new.name.chars().any(char::is_control);
    let problem = if !name_fits {
        "a key's name is 1 to 100 bytes without control characters"
    } else if !(1..=MAX_SCOPES).contains(&new.scopes.len()) {
        "a key has 1 to 64 scopes"
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
        quotas: columns::optional_json(row, 10)?,
    })
}
