//! What nodes report: that they are there, and how far they are with each revision. Times are the
//! database's, so that nodes whose clocks differ are compared by one.
//!
//! A node that has not been seen for some time is lost: it is still shown, and makes room once there
//! are too many. A node keeps its newest reports for each tenant.

use std::time::Duration;

use tidegate_types::{Digest, TenantId, UnixMillis};

use super::names;
use crate::CatalogError;
use crate::catalog::{Catalog, tenants};
use crate::database::{self, Row, Transaction, columns, params};

/// How many revisions of a tenant a node reports on.
const REVISIONS_KEPT: u32 = 16;

/// Failures of all nodes that are listed.
const FAILED_LISTED: u32 = 1000;

/// Characters of a report's detail.
const DETAIL_CHARS: usize = 1000;

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeReport {
    /// Other nodes of the catalog have other names.
    pub name: String,
    /// Which node it is, however often it is started: no other has the same.
    pub instance: String,
    /// Where it lives, for people.
    pub place: String,
    /// The version of its program.
    pub release: String,
    pub started_at: UnixMillis,
    /// The version of the desired state that it has put in force.
    pub version_applied: u64,
}

/// What is known of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRecord {
    pub report: NodeReport,
    pub seen_at: UnixMillis,
    /// It has not been seen for longer than was asked.
    pub is_lost: bool,
}

/// How far a node is with a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeRevisionState {
    Fetching,
    /// It could judge events at once.
    Compiled,
    /// It judges the tenant's events.
    Active,
    /// It cannot be run there; the detail says why.
    Failed,
}

impl NodeRevisionState {
    const ALL: [Self; 4] = [Self::Fetching, Self::Compiled, Self::Active, Self::Failed];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fetching => "fetching",
            Self::Compiled => "compiled",
            Self::Active => "active",
            Self::Failed => "failed",
        }
    }
}

/// How far one node is with one revision of a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRevision {
    pub node: String,
    pub digest: Digest,
    pub state: NodeRevisionState,
    pub detail: String,
    pub at: UnixMillis,
    /// The node has not been seen for longer than was asked.
    pub is_lost: bool,
}

const NODES: &str = "n.name, n.program_release, n.started_at, n.version_applied, n.seen_at, \
                     n.instance, n.place";

impl Catalog {
    /// Notes that a node is there.
    ///
    /// # Errors
    /// [`CatalogError::Full`] at the limit of nodes, none of which is lost for `lost_after`;
    /// [`CatalogError::NodeNameTaken`] where another node has taken the name.
    pub fn report_node(
        &self,
        report: &NodeReport,
        lost_after: Duration,
    ) -> Result<(), CatalogError> {
        self.write(|transaction| {
            let now = transaction.now()?;
            if let Some(other) = names::held_by_another(transaction, report)? {
                return Err(other.taken(report, now, lost_after));
            }
            self.put_node(transaction, report, now, lost_after)
        })
    }

    /// The row of a node, as it is now.
    pub(super) fn put_node(
        &self,
        transaction: &dyn Transaction,
        report: &NodeReport,
        now: UnixMillis,
        lost_after: Duration,
    ) -> Result<(), CatalogError> {
        self.make_room(transaction, &report.name, lost_before(now, lost_after))?;
        transaction.execute(
            "INSERT INTO nodes (name, program_release, started_at, version_applied, seen_at, \
             instance, place) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
             ON CONFLICT (name) DO UPDATE SET program_release = excluded.program_release, \
             started_at = excluded.started_at, version_applied = excluded.version_applied, \
             seen_at = excluded.seen_at, instance = excluded.instance, place = excluded.place",
            params![
                &report.name,
                &report.release,
                columns::signed(report.started_at.0),
                columns::signed(report.version_applied),
                columns::signed(now.0),
                &report.instance,
                &report.place,
            ],
        )?;
        Ok(())
    }

    /// A place for a node: those that are lost go, the longest lost first.
    fn make_room(
        &self,
        transaction: &dyn Transaction,
        name: &str,
        lost_before: i64,
    ) -> Result<(), CatalogError> {
        let sql = "SELECT count(*) FROM nodes WHERE name <> ?1";
        let limit = self.limits.nodes;
        if columns::count(transaction, sql, params![name])? < limit {
            return Ok(());
        }
        let gone = transaction.execute(
            "DELETE FROM nodes WHERE name = (SELECT name FROM nodes WHERE seen_at < ?1 \
             AND name <> ?2 ORDER BY seen_at LIMIT 1)",
            params![lost_before, name],
        )?;
        if gone == 0 { Err(CatalogError::Full { what: "nodes", limit }) } else { Ok(()) }
    }

    /// Notes how far a node is with a revision. One that becomes active there takes the place of the
    /// one before it.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] for an unknown tenant, and for a node that has not reported itself.
    pub fn report_revision(
        &self,
        node: &str,
        tenant: &TenantId,
        digest: &Digest,
        state: NodeRevisionState,
        detail: &str,
    ) -> Result<(), CatalogError> {
        let detail: String =
            detail.chars().map(|c| if c == '\0' { ' ' } else { c }).take(DETAIL_CHARS).collect();
        self.write(|transaction| {
            tenants::require(transaction, tenant)?;
            let sql = "SELECT count(*) FROM nodes WHERE name = ?1";
            if columns::count(transaction, sql, params![node])? == 0 {
                return Err(CatalogError::not_found("node", node));
            }
            if state == NodeRevisionState::Active {
                transaction.execute(
                    "UPDATE node_revisions SET state = 'compiled' \
                     WHERE node = ?1 AND tenant_id = ?2 AND state = 'active'",
                    params![node, tenant.as_str()],
                )?;
            }
            let now = columns::signed(transaction.now()?.0);
            transaction.execute(
                "INSERT INTO node_revisions (node, tenant_id, digest, state, detail, reported_at) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
                 ON CONFLICT (node, tenant_id, digest) DO UPDATE SET state = excluded.state, \
                 detail = excluded.detail, reported_at = excluded.reported_at",
                params![node, tenant.as_str(), digest.0, state.as_str(), detail, now],
            )?;
            transaction.execute(
                "DELETE FROM node_revisions WHERE node = ?1 AND tenant_id = ?2 \
                 AND state <> 'active' AND digest <> ?3 AND digest NOT IN (SELECT digest \
                 FROM node_revisions WHERE node = ?1 AND tenant_id = ?2 \
                 ORDER BY reported_at DESC, digest LIMIT ?4)",
                params![node, tenant.as_str(), digest.0, REVISIONS_KEPT],
            )?;
            Ok(())
        })
    }

    /// All nodes by name; those that were not seen for `lost_after` are lost.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn nodes(&self, lost_after: Duration) -> Result<Vec<NodeRecord>, CatalogError> {
        let sql = format!("SELECT {NODES} FROM nodes AS n ORDER BY n.name");
        self.read(|transaction| {
            let lost_before = lost_before(transaction.now()?, lost_after);
            columns::list(transaction, &sql, params![], |row| node(row, lost_before))
        })
    }

    /// How far the nodes are with a tenant's revisions: by node, newest report first.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] for an unknown tenant.
    pub fn node_revisions(
        &self,
        tenant: &TenantId,
        lost_after: Duration,
    ) -> Result<Vec<NodeRevision>, CatalogError> {
        self.tenant(tenant)?;
        let sql = "SELECT r.node, r.digest, r.state, r.detail, r.reported_at, n.seen_at \
                   FROM node_revisions AS r JOIN nodes AS n ON n.name = r.node \
                   WHERE r.tenant_id = ?1 ORDER BY r.node, r.reported_at DESC, r.digest";
        self.read(|transaction| {
            let lost_before = lost_before(transaction.now()?, lost_after);
            columns::list(transaction, sql, params![tenant.as_str()], |row| {
                let is_lost = row.get::<i64>(5)? < lost_before;
                revision(row, is_lost)
            })
        })
    }
}

impl Catalog {
    /// Revisions that cannot be run on a node, of all tenants: by node, newest report first.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn failed_revisions(&self) -> Result<Vec<(TenantId, NodeRevision)>, CatalogError> {
        let sql = "SELECT r.node, r.digest, r.state, r.detail, r.reported_at, r.tenant_id \
                   FROM node_revisions AS r WHERE r.state = 'failed' \
                   ORDER BY r.node, r.reported_at DESC, r.tenant_id, r.digest LIMIT ?1";
        self.read(|transaction| {
            columns::list(transaction, sql, params![FAILED_LISTED], |row| {
                Ok((columns::parsed(row, 5)?, revision(row, false)?))
            })
        })
    }
}

pub(super) fn lost_before(now: UnixMillis, lost_after: Duration) -> i64 {
    let lost_after = u64::try_from(lost_after.as_millis()).unwrap_or(u64::MAX);
    columns::signed(now.0.saturating_sub(lost_after))
}

fn revision(row: &Row, is_lost: bool) -> database::Result<NodeRevision> {
    Ok(NodeRevision {
        node: row.get(0)?,
        digest: columns::digest(row, 1)?,
        state: state(row, 2)?,
        detail: row.get(3)?,
        at: columns::time(row, 4)?,
        is_lost,
    })
}

fn node(row: &Row, lost_before: i64) -> database::Result<NodeRecord> {
    let report = NodeReport {
        name: row.get(0)?,
        release: row.get(1)?,
        started_at: columns::time(row, 2)?,
        version_applied: columns::number(row, 3)?,
        instance: row.get(5)?,
        place: row.get(6)?,
    };
    let seen_at = columns::time(row, 4)?;
    Ok(NodeRecord { report, seen_at, is_lost: columns::signed(seen_at.0) < lost_before })
}

fn state(row: &Row, index: usize) -> database::Result<NodeRevisionState> {
    let text: String = row.get(index)?;
    let found = NodeRevisionState::ALL.into_iter().find(|state| state.as_str() == text);
    found.ok_or_else(|| database::DatabaseError::damaged(index, "is no state of a revision"))
}
