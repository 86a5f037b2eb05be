//! Access tokens of the admin API: `tg_access_ID_SECRET_CHECK`, made and kept as API keys are: the
//! text is shown once, its SHA-256 is kept.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tidegate_types::name::secret;
use tidegate_types::{Digest, TenantId, UnixMillis};

use super::super::{Catalog, tenants};
use crate::database::{self, Row, Transaction, columns, params};
use crate::{CatalogError, api_key};

const PREFIX: &str = "tg_access_";

/// A freshly made token. Its `Debug` form hides the secret.
pub struct AccessToken {
    id: String,
    text: String,
}

impl AccessToken {
    /// The whole token, to be shown to its owner once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// Has a text the form of a token? Whether it is one, the catalog tells.
    #[must_use]
    pub fn has_form(text: &str) -> bool {
        secret::is_whole(text, PREFIX)
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccessToken({PREFIX}{}_…)", self.id)
    }
}

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AccessScope {
    /// Upload versions of components, for one tenant.
    #[serde(rename = "plugins:upload")]
    PluginsUpload,
    /// Store schemas, reference tables and revisions.
    #[serde(rename = "revisions:write")]
    RevisionsWrite,
    /// Decide which revision judges events.
    #[serde(rename = "rollout:write")]
    RolloutWrite,
    /// Everything.
    #[serde(rename = "admin")]
    Admin,
}

impl AccessScope {
    pub const ALL: [Self; 4] =
        [Self::PluginsUpload, Self::RevisionsWrite, Self::RolloutWrite, Self::Admin];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PluginsUpload => "plugins:upload",
            Self::RevisionsWrite => "revisions:write",
            Self::RolloutWrite => "rollout:write",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for AccessScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no scope.
#[derive(Debug, thiserror::Error)]
#[error("a scope is plugins:upload, revisions:write, rollout:write or admin, not `{0}`")]
pub struct UnknownAccessScope(String);

impl FromStr for AccessScope {
    type Err = UnknownAccessScope;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|scope| scope.as_str() == text);
        found.ok_or_else(|| UnknownAccessScope(text.chars().take(80).collect()))
    }
}

/// What a new token is to be.
#[derive(Clone, Debug)]
pub struct NewAccessToken {
    /// For people: 1 to 100 bytes without control characters.
    pub name: String,
    /// The one tenant that it is for; `None` for all of them.
    pub tenant: Option<TenantId>,
    /// At least one.
    pub scopes: Vec<AccessScope>,
    pub expires_at: Option<UnixMillis>,
}

/// What the catalog knows of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessTokenRecord {
    pub id: String,
    pub name: String,
    pub tenant: Option<TenantId>,
    /// Sorted, each once.
    pub scopes: Vec<AccessScope>,
    pub created_by: String,
    pub created_at: UnixMillis,
    pub expires_at: Option<UnixMillis>,
    pub revoked_at: Option<UnixMillis>,
}

impl AccessTokenRecord {
    /// Does it open anything at this time?
    #[must_use]
    pub fn is_valid_at(&self, now: UnixMillis) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| now < at)
    }
}

const COLUMNS: &str = "id, name, tenant_id, scopes, created_by, created_at, expires_at, revoked_at";

impl Catalog {
    /// Makes a token. This is the one time that the token itself is known.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] for an unknown tenant, [`CatalogError::Invalid`] where `new`
    /// breaks its rules, [`CatalogError::Full`] at the limit.
    pub fn create_access_token(
        &self,
        mut new: NewAccessToken,
        by: &str,
    ) -> Result<(AccessToken, AccessTokenRecord), CatalogError> {
        new.scopes.sort_unstable();
        new.scopes.dedup();
        check(&new)?;
        let (id, text) = api_key::generate(PREFIX).map_err(CatalogError::Random)?;
        let record = AccessTokenRecord {
            id: id.clone(),
            name: new.name,
            tenant: new.tenant,
            scopes: new.scopes,
            created_by: by.to_owned(),
            created_at: UnixMillis::now(),
            expires_at: new.expires_at,
            revoked_at: None,
        };
        let hash = Digest::of(text.as_bytes());
        self.write(|transaction| self.insert_token(transaction, &record, &hash))?;
        Ok((AccessToken { id, text }, record))
    }

    fn insert_token(
        &self,
        transaction: &dyn Transaction,
        record: &AccessTokenRecord,
        hash: &Digest,
    ) -> Result<(), CatalogError> {
        if let Some(tenant) = &record.tenant {
            tenants::require(transaction, tenant)?;
        }
        let limit = self.limits.access_tokens;
        if columns::count(transaction, "SELECT count(*) FROM access_tokens", params![])? >= limit {
            return Err(CatalogError::Full { what: "access tokens", limit });
        }
        let scopes: Vec<&str> = record.scopes.iter().map(|scope| scope.as_str()).collect();
        transaction.execute(
            &format!(
                "INSERT INTO access_tokens ({COLUMNS}, token_hash) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, NULL, ?8)"
            ),
            params![
                &record.id,
                &record.name,
                record.tenant.as_ref().map(|tenant| tenant.as_str().to_owned()),
                scopes.join(" "),
                &record.created_by,
                columns::signed(record.created_at.0),
                record.expires_at.map(|at| columns::signed(at.0)),
                hash.0,
            ],
        )?;
        Ok(())
    }

    /// The token with this text, also where it opens nothing any more.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn find_access_token(&self, text: &str) -> Result<Option<AccessTokenRecord>, CatalogError> {
        let hash = Digest::of(text.as_bytes());
        let sql = format!("SELECT {COLUMNS} FROM access_tokens WHERE token_hash = ?1");
        self.read(|transaction| columns::first(transaction, &sql, params![hash.0], record))
    }

    /// Tokens in the order of their ids, revoked ones too: those after one, or from the first.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn access_tokens(
        &self,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<AccessTokenRecord>, CatalogError> {
        let sql = format!("SELECT {COLUMNS} FROM access_tokens WHERE id > ?1 ORDER BY id LIMIT ?2");
        let params = params![after.unwrap_or(""), limit];
        self.read(|transaction| columns::list(transaction, &sql, params, record))
    }

    /// Revokes a token, for good. Revoking it again changes nothing.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`].
    pub fn revoke_access_token(&self, id: &str) -> Result<AccessTokenRecord, CatalogError> {
        self.write(|transaction| {
            let sql =
                "UPDATE access_tokens SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL";
            transaction.execute(sql, params![id, columns::signed(UnixMillis::now().0)])?;
            let sql = format!("SELECT {COLUMNS} FROM access_tokens WHERE id = ?1");
            let found = columns::first(transaction, &sql, params![id], record)?;
            found.ok_or_else(|| CatalogError::not_found("token", id))
        })
    }
}

fn check(new: &NewAccessToken) -> Result<(), CatalogError> {
    let name_fits = (1..=100).contains(&new.name.len()) && !new.name.chars().any(char::is_control);
    let problem = if !name_fits {
        "a token's name is 1 to 100 bytes without control characters"
    } else if new.scopes.is_empty() {
        "a token has at least one scope"
    } else if new.tenant.is_none() && new.scopes.contains(&AccessScope::PluginsUpload) {
        "a token with the scope plugins:upload is for one tenant: name it"
    } else {
        return Ok(());
    };
    Err(CatalogError::Invalid(problem.to_owned()))
}

fn record(row: &Row) -> database::Result<AccessTokenRecord> {
    let scopes: String = row.get(3)?;
    // A scope that this program does not know gives no right here.
    let mut scopes: Vec<AccessScope> =
        scopes.split(' ').filter_map(|scope| scope.parse().ok()).collect();
    scopes.sort_unstable();
    let is_bound = row.get::<Option<String>>(2)?.is_some();
    Ok(AccessTokenRecord {
        id: row.get(0)?,
        name: row.get(1)?,
        tenant: if is_bound { Some(columns::parsed(row, 2)?) } else { None },
        scopes,
        created_by: row.get(4)?,
        created_at: columns::time(row, 5)?,
        expires_at: columns::optional_time(row, 6)?,
        revoked_at: columns::optional_time(row, 7)?,
    })
}
