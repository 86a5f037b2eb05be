//! The step for who may administer, whose components are taken, and what was done.
//!
//! `audit_log` takes new rows alone. `entry` is JSON with sorted names and no spaces; `hash` is the
//! SHA-256 over the hash before it (32 zero bytes before the first), the sequence as 8 bytes, most
//! significant first, and the entry.

use super::Step;

/// Quotas; and rows of `api_keys` that other programs write are in force as those of administrators are.
pub(super) const KEYS: Step = Step { every: KEYS_EVERY, postgres: KEYS_POSTGRES, sqlite: "" };

const KEYS_EVERY: &str = "
ALTER TABLE api_keys ADD COLUMN quotas TEXT;

CREATE TABLE tenant_quotas (
    tenant_id TEXT PRIMARY KEY REFERENCES tenants (id),
    quotas TEXT NOT NULL
) STRICT, WITHOUT ROWID;
";

const KEYS_POSTGRES: &str = "
CREATE FUNCTION api_keys_changed() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN
    UPDATE desired_state SET version = version + 1;
    NOTIFY tidegate_catalog;
    RETURN NULL;
END $$;
CREATE TRIGGER api_keys_are_in_force AFTER INSERT OR DELETE OR UPDATE OF
    key_hash, tenant_id, scopes, rate_limit, is_active, expires_at, quotas ON api_keys
FOR EACH STATEMENT EXECUTE FUNCTION api_keys_changed();
";

pub(super) const STEP: Step = Step { every: EVERY, postgres: POSTGRES, sqlite: SQLITE };

const EVERY: &str = "
CREATE TABLE access_tokens (
    id TEXT PRIMARY KEY,
    token_hash BLOB NOT NULL UNIQUE CHECK (length(token_hash) = 32),
    tenant_id TEXT REFERENCES tenants (id),
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE signing_keys (
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    id TEXT NOT NULL,
    public_key BLOB NOT NULL CHECK (length(public_key) = 32),
    name TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE signature_policies (
    tenant_id TEXT PRIMARY KEY REFERENCES tenants (id),
    policy TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE component_signatures (
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    key_id TEXT NOT NULL,
    signature TEXT NOT NULL,
    noted_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, digest, key_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit_log (
    sequence INTEGER PRIMARY KEY CHECK (sequence > 0),
    tenant_id TEXT,
    entry TEXT NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT;
CREATE INDEX audit_log_by_tenant ON audit_log (tenant_id, sequence);
";

const SQLITE: &str = "
CREATE TRIGGER audit_log_keeps_entries BEFORE UPDATE ON audit_log
BEGIN SELECT RAISE(ABORT, 'the audit log takes new entries alone'); END;
CREATE TRIGGER audit_log_loses_none BEFORE DELETE ON audit_log
BEGIN SELECT RAISE(ABORT, 'the audit log takes new entries alone'); END;
";

const POSTGRES: &str = "
CREATE FUNCTION audit_log_refuses() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'the audit log takes new entries alone'; END $$;
CREATE TRIGGER audit_log_keeps_entries BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
FOR EACH STATEMENT EXECUTE FUNCTION audit_log_refuses();
";
