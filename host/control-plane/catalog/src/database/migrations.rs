//! The database's layout, step by step. The database counts the steps that were taken: SQLite in
//! `PRAGMA user_version`, PostgreSQL in the table `catalog_layout`. A step that was released never
//! changes; a new layout is a new step.
//!
//! Steps are written for SQLite. For PostgreSQL these words are exchanged: `INTEGER` for `BIGINT`,
//! `BLOB` for `BYTEA`, `TEXT` for text in the order of its bytes, `INTEGER PRIMARY KEY
//! AUTOINCREMENT` for an identity column; `STRICT` and `WITHOUT ROWID` are left out.
//!
//! Times are milliseconds since 1970 UTC, digests and hashes 32 bytes. `api_keys` has the columns
//! that existing key tables have, so that their rows can be taken over.

mod access;

use super::{Access, Database};
use crate::CatalogError;

/// One step.
pub(crate) struct Step {
    pub(super) every: &'static str,
    /// What PostgreSQL has besides, in its own words.
    #[cfg_attr(not(feature = "postgres"), expect(dead_code, reason = "its driver is left out"))]
    pub(super) postgres: &'static str,
    /// What SQLite has besides.
    pub(super) sqlite: &'static str,
}

const STEPS: &[Step] = &[
    Step { every: FIRST, postgres: CONTENT, sqlite: "" },
    Step { every: FLEET, postgres: "", sqlite: "" },
    Step { every: ROLLOUTS, postgres: "", sqlite: "" },
    Step { every: DERIVED, postgres: "", sqlite: "" },
    access::STEP,
    Step { every: ADMISSION, postgres: "", sqlite: "" },
    Step { every: LIMITS, postgres: "", sqlite: "" },
    Step { every: QUARANTINE_JOBS, postgres: "", sqlite: "" },
    Step { every: PREPARATIONS, postgres: "", sqlite: "" },
    Step { every: CASES, postgres: "", sqlite: "" },
    Step { every: INSTANCES, postgres: "", sqlite: "" },
    access::KEYS,
];

/// The content that lies in files where a node keeps its catalog alone. It is compressed where it
/// comes from, or not worth it.
const CONTENT: &str = "
CREATE TABLE blobs (
    digest BYTEA PRIMARY KEY CHECK (length(digest) = 32),
    content BYTEA NOT NULL
);
";

const FIRST: &str = "
CREATE TABLE tenants (
    id TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE api_keys (
    id TEXT PRIMARY KEY,
    key_hash BLOB NOT NULL UNIQUE CHECK (length(key_hash) = 32),
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    rate_limit INTEGER NOT NULL DEFAULT 10000 CHECK (rate_limit > 0),
    is_active INTEGER NOT NULL DEFAULT 1 CHECK (is_active IN (0, 1)),
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    last_used_at INTEGER
) STRICT;
CREATE INDEX api_keys_by_tenant ON api_keys (tenant_id, created_at);

CREATE TABLE schemas (
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    name TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    bytes INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, name, version)
) STRICT, WITHOUT ROWID;
CREATE INDEX schemas_by_digest ON schemas (tenant_id, digest);

CREATE TABLE reference_tables (
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    name TEXT NOT NULL,
    generation INTEGER NOT NULL CHECK (generation > 0),
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    bytes INTEGER NOT NULL,
    row_count INTEGER NOT NULL,
    column_names TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, name, generation)
) STRICT, WITHOUT ROWID;

CREATE TABLE components (
    digest BLOB PRIMARY KEY CHECK (length(digest) = 32),
    bytes INTEGER NOT NULL,
    inspection TEXT,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE component_versions (
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    name TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
    digest BLOB NOT NULL REFERENCES components (digest),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, name, version),
    UNIQUE (tenant_id, name, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX component_versions_by_digest ON component_versions (tenant_id, digest);

CREATE TABLE builtin_components (
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    digest BLOB NOT NULL REFERENCES components (digest),
    is_current INTEGER NOT NULL CHECK (is_current IN (0, 1)),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (name, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE revisions (
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    number INTEGER NOT NULL CHECK (number > 0),
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    document BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, number),
    UNIQUE (tenant_id, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE activations (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant_id TEXT NOT NULL,
    digest BLOB NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('activate', 'rollback')),
    activated_by TEXT NOT NULL,
    activated_at INTEGER NOT NULL,
    returns_to INTEGER REFERENCES activations (sequence),
    withdrawn INTEGER NOT NULL DEFAULT 0 CHECK (withdrawn IN (0, 1)),
    FOREIGN KEY (tenant_id, digest) REFERENCES revisions (tenant_id, digest)
) STRICT;
CREATE INDEX activations_by_tenant ON activations (tenant_id, withdrawn, sequence);
";

/// Candidates beside the active revision; why an activation was made, and when it is taken back.
const ROLLOUTS: &str = "
ALTER TABLE activations ADD COLUMN thresholds TEXT;
ALTER TABLE activations ADD COLUMN reason TEXT NOT NULL DEFAULT '';

CREATE TABLE rollouts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant_id TEXT NOT NULL,
    digest BLOB NOT NULL,
    stage TEXT NOT NULL,
    thresholds TEXT NOT NULL,
    started_by TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    ended_how TEXT,
    ended_by TEXT,
    reason TEXT,
    ended_at INTEGER,
    FOREIGN KEY (tenant_id, digest) REFERENCES revisions (tenant_id, digest)
) STRICT;
CREATE UNIQUE INDEX rollouts_running ON rollouts (tenant_id) WHERE ended_at IS NULL;
CREATE INDEX rollouts_by_tenant ON rollouts (tenant_id, id);
";

/// What nodes are to run, as a number, and what they report.
const FLEET: &str = "
CREATE TABLE desired_state (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    version INTEGER NOT NULL CHECK (version >= 0)
) STRICT;
INSERT INTO desired_state (id, version) VALUES (1, 0);

CREATE TABLE nodes (
    name TEXT PRIMARY KEY,
    program_release TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    version_applied INTEGER NOT NULL,
    seen_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE node_revisions (
    node TEXT NOT NULL REFERENCES nodes (name) ON DELETE CASCADE,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    state TEXT NOT NULL CHECK (state IN ('fetching', 'compiled', 'active', 'failed')),
    detail TEXT NOT NULL,
    reported_at INTEGER NOT NULL,
    PRIMARY KEY (node, tenant_id, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX node_revisions_by_tenant ON node_revisions (tenant_id, node);
";

/// Revisions that are made because a followed table has a new generation.
const DERIVED: &str = "
ALTER TABLE revisions ADD COLUMN derived_from BLOB CHECK (length(derived_from) = 32);
ALTER TABLE activations ADD COLUMN derived INTEGER NOT NULL DEFAULT 0 CHECK (derived IN (0, 1));
";

/// Versions that were stored before there were jobs had been compiled and linked first.
const ADMISSION: &str = "
ALTER TABLE component_versions ADD COLUMN state TEXT NOT NULL DEFAULT 'admitted'
    CHECK (state IN ('pending', 'admitted', 'failed'));

CREATE TABLE admission_jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant_id TEXT NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'running', 'admitted', 'failed', 'error')),
    steps TEXT NOT NULL,
    trouble TEXT,
    node TEXT,
    lease_until INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    took_ms INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    ended_at INTEGER,
    UNIQUE (tenant_id, name, version),
    FOREIGN KEY (tenant_id, name, version)
        REFERENCES component_versions (tenant_id, name, version)
) STRICT;
CREATE INDEX admission_jobs_by_state ON admission_jobs (state, tenant_id);
CREATE INDEX admission_jobs_by_end ON admission_jobs (tenant_id, ended_at);
";

/// Limits in place of the gateway's; `component` is empty for a tenant as a whole.
const LIMITS: &str = "
CREATE TABLE own_limits (
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    component TEXT NOT NULL,
    limits TEXT NOT NULL,
    PRIMARY KEY (tenant_id, component)
) STRICT, WITHOUT ROWID;
";

/// Jobs over the quarantines of nodes.
const QUARANTINE_JOBS: &str = "
CREATE TABLE quarantine_jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    node TEXT NOT NULL,
    request TEXT NOT NULL,
    begun_by TEXT NOT NULL,
    begun_at INTEGER NOT NULL,
    reached INTEGER NOT NULL,
    goal INTEGER NOT NULL,
    released INTEGER NOT NULL DEFAULT 0,
    discarded INTEGER NOT NULL DEFAULT 0,
    held_again INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    detail TEXT NOT NULL DEFAULT '',
    ended_how TEXT,
    ended_by TEXT,
    ended_at INTEGER
) STRICT;
CREATE UNIQUE INDEX quarantine_jobs_running ON quarantine_jobs (tenant_id, node)
    WHERE ended_at IS NULL;
CREATE INDEX quarantine_jobs_by_tenant ON quarantine_jobs (tenant_id, id);
";

/// Revisions that nodes are to make ready.
const PREPARATIONS: &str = "
CREATE TABLE preparations (
    tenant_id TEXT PRIMARY KEY,
    digest BLOB NOT NULL,
    asked_at INTEGER NOT NULL,
    FOREIGN KEY (tenant_id, digest) REFERENCES revisions (tenant_id, digest)
) STRICT, WITHOUT ROWID;
";

/// What is asked of golden cases; `settings` is what a job's outcome depends on besides the component.
const CASES: &str = "
CREATE TABLE case_policies (
    tenant_id TEXT PRIMARY KEY REFERENCES tenants (id),
    policy TEXT NOT NULL CHECK (policy IN ('not-required', 'required'))
) STRICT, WITHOUT ROWID;

ALTER TABLE admission_jobs ADD COLUMN settings TEXT NOT NULL DEFAULT '';
";

/// Whose a node's name is; empty for nobody's. And where that one lives.
const INSTANCES: &str = "
ALTER TABLE nodes ADD COLUMN instance TEXT NOT NULL DEFAULT '';
ALTER TABLE nodes ADD COLUMN place TEXT NOT NULL DEFAULT '';
";

/// Takes the steps that are missing, each in a transaction of its own.
pub(super) fn run(database: &mut dyn Database) -> Result<(), CatalogError> {
    let known = STEPS.len() as i64;
    loop {
        // Another node may be taking the same steps: only within the transaction is it sure.
        let transaction = database.begin(Access::Write)?;
        let taken = transaction.layout_version()?;
        if taken > known {
            return Err(CatalogError::NewerVersion { found: taken, known });
        }
        let next = usize::try_from(taken).ok().and_then(|taken| STEPS.get(taken));
        let Some(step) = next else { return Ok(()) };
        transaction.take_step(step, taken + 1)?;
        transaction.commit()?;
    }
}
