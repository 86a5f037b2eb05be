//! The step for who may administer, whose components are taken, and what was done.
//!
//! `audit_log` takes new rows alone. `entry` is JSON with sorted names and no spaces; `hash` is the
//! SHA-256 over the hash before it (32 zero bytes before the first), the sequence as 8 bytes, most
//! significant first, and the entry.

use super::Step;

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
