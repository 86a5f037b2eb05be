//! Keys whose signatures a tenant's components may have, what is asked of signatures, and which
//! components were signed by which key. What keys and policies mean is their users' business: here
//! they are bytes and JSON.

use tidegate_types::{Digest, TenantId, UnixMillis};

use super::super::{Catalog, tenants};
use crate::database::{self, Row, columns, params};
use crate::{CatalogError, Put};

/// A public key that is registered for a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKey {
    pub id: String,
    pub public_key: [u8; 32],
    /// For people: 1 to 100 bytes without control characters.
    pub name: String,
    pub created_at: UnixMillis,
}

const COLUMNS: &str = "id, public_key, name, created_at";

impl Catalog {
    /// Registers a key. One that is there keeps its time and gets the name.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] for an unknown tenant, [`CatalogError::Invalid`] for a name that
    /// breaks its rule, [`CatalogError::Full`] at the limit.
    pub fn put_signing_key(
        &self,
        tenant: &TenantId,
        id: &str,
        public_key: &[u8; 32],
        name: &str,
    ) -> Result<Put<SigningKey>, CatalogError> {
        if !(1..=100).contains(&name.len()) || name.chars().any(char::is_control) {
            let text = "a key's name is 1 to 100 bytes without control characters";
            return Err(CatalogError::Invalid(text.to_owned()));
        }
        let limit = self.limits.signing_keys_per_tenant;
        self.write(|transaction| {
            tenants::require(transaction, tenant)?;
            let find =
                format!("SELECT {COLUMNS} FROM signing_keys WHERE tenant_id = ?1 AND id = ?2");
            let whose = params![tenant.as_str(), id];
            if let Some(mut known) = columns::first(transaction, &find, whose, signing_key)? {
                if known.name != name {
                    let sql = "UPDATE signing_keys SET name = ?3 WHERE tenant_id = ?1 AND id = ?2";
                    transaction.execute(sql, params![tenant.as_str(), id, name])?;
                    name.clone_into(&mut known.name);
                }
                return Ok(Put::Unchanged(known));
            }
            let sql = "SELECT count(*) FROM signing_keys WHERE tenant_id = ?1";
            if columns::count(transaction, sql, params![tenant.as_str()])? >= limit {
                return Err(CatalogError::Full { what: "signing keys of a tenant", limit });
            }
            let created_at = UnixMillis::now();
            transaction.execute(
                &format!(
                    "INSERT INTO signing_keys (tenant_id, {COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5)"
                ),
                params![tenant.as_str(), id, *public_key, name, columns::signed(created_at.0)],
            )?;
            let made = SigningKey {
                id: id.to_owned(),
                public_key: *public_key,
                name: name.to_owned(),
                created_at,
            };
            Ok(Put::Created(made))
        })
    }

    /// A tenant's keys in the order of their ids.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] for an unknown tenant.
    pub fn signing_keys(&self, tenant: &TenantId) -> Result<Vec<SigningKey>, CatalogError> {
        self.tenant(tenant)?;
        let sql = format!("SELECT {COLUMNS} FROM signing_keys WHERE tenant_id = ?1 ORDER BY id");
        let params = params![tenant.as_str()];
        self.read(|transaction| columns::list(transaction, &sql, params, signing_key))
    }

    /// Takes a key away. What it has signed stays.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`]; [`CatalogError::Invalid`] where the tenant's policy names it.
    pub fn remove_signing_key(&self, tenant: &TenantId, id: &str) -> Result<(), CatalogError> {
        self.write(|transaction| {
            let sql = "SELECT policy FROM signature_policies WHERE tenant_id = ?1";
            let policy = columns::first(transaction, sql, params![tenant.as_str()], |row| {
                columns::json::<serde_json::Value>(row, 0)
            })?;
            if policy.is_some_and(|policy| policy.get("key").is_some_and(|key| key == id)) {
                let text = "the tenant's signature policy names this key; set another policy first";
                return Err(CatalogError::Invalid(text.to_owned()));
            }
            let sql = "DELETE FROM signing_keys WHERE tenant_id = ?1 AND id = ?2";
            match transaction.execute(sql, params![tenant.as_str(), id])? {
                0 => Err(CatalogError::not_found("signing key", id)),
                _ => Ok(()),
            }
        })
    }

    /// What the tenant asks of signatures; `None` where nothing was set.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] for an unknown tenant.
    pub fn signature_policy(
        &self,
        tenant: &TenantId,
    ) -> Result<Option<serde_json::Value>, CatalogError> {
        self.tenant(tenant)?;
        let sql = "SELECT policy FROM signature_policies WHERE tenant_id = ?1";
        let params = params![tenant.as_str()];
        self.read(|transaction| {
            columns::first(transaction, sql, params, |row| columns::json(row, 0))
        })
    }

    /// Sets what the tenant asks of signatures. A key that the policy names as `key` must be
    /// registered.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] for an unknown tenant, [`CatalogError::Invalid`] for a key that is
    /// not registered.
    pub fn set_signature_policy(
        &self,
        tenant: &TenantId,
        policy: &serde_json::Value,
    ) -> Result<(), CatalogError> {
        self.write(|transaction| {
            tenants::require(transaction, tenant)?;
            if let Some(key) = policy.get("key").and_then(serde_json::Value::as_str) {
                let sql = "SELECT count(*) FROM signing_keys WHERE tenant_id = ?1 AND id = ?2";
                if columns::count(transaction, sql, params![tenant.as_str(), key])? == 0 {
                    let text = format!("the key {key} is not registered; register it first");
                    return Err(CatalogError::Invalid(text));
                }
            }
            let sql = "INSERT INTO signature_policies (tenant_id, policy) VALUES (?1, ?2) \
                       ON CONFLICT (tenant_id) DO UPDATE SET policy = excluded.policy";
            transaction.execute(sql, params![tenant.as_str(), policy.to_string()])?;
            Ok(())
        })
    }

    /// Notes that a key has signed a component.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] for an unknown tenant.
    pub fn note_signature(
        &self,
        tenant: &TenantId,
        component: &Digest,
        key: &str,
        signature: &str,
    ) -> Result<(), CatalogError> {
        self.write(|transaction| {
            tenants::require(transaction, tenant)?;
            let sql = "INSERT INTO component_signatures (tenant_id, digest, key_id, signature, noted_at) \
                       VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (tenant_id, digest, key_id) DO NOTHING";
            let now = columns::signed(UnixMillis::now().0);
            transaction
                .execute(sql, params![tenant.as_str(), component.0, key, signature, now])?;
            Ok(())
        })
    }

    /// The ids of the keys that have signed a component for a tenant, sorted.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn signers(
        &self,
        tenant: &TenantId,
        component: &Digest,
    ) -> Result<Vec<String>, CatalogError> {
        let sql = "SELECT key_id FROM component_signatures WHERE tenant_id = ?1 AND digest = ?2 \
                   ORDER BY key_id";
        let params = params![tenant.as_str(), component.0];
        self.read(|transaction| columns::list(transaction, sql, params, |row| row.get(0)))
    }
}

fn signing_key(row: &Row) -> database::Result<SigningKey> {
    Ok(SigningKey {
        id: row.get(0)?,
        public_key: row.get(1)?,
        name: row.get(2)?,
        created_at: columns::time(row, 3)?,
    })
}
