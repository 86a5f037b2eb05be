//! Whose a node's name is. What nodes have begun and hold (jobs, events in quarantine) is known by their
//! names, so that two of one name would take each other's for their own.
//!
//! A name belongs to an instance: to a data folder, whichever process serves it. It is taken by
//! joining, kept by reporting, and free when its node has left or is lost.

use std::time::Duration;

use tidegate_types::UnixMillis;

use super::nodes::{NodeReport, lost_before};
use crate::CatalogError;
use crate::catalog::Catalog;
use crate::database::{self, Transaction, columns, params};

/// Who holds a name.
pub(super) struct Holder {
    instance: String,
    place: String,
    seen_at: UnixMillis,
}

impl Holder {
    pub(super) fn taken(
        self,
        report: &NodeReport,
        now: UnixMillis,
        lost_after: Duration,
    ) -> CatalogError {
        let seen_ago = Duration::from_millis(now.0.saturating_sub(self.seen_at.0));
        let free_in = lost_after.saturating_sub(seen_ago);
        CatalogError::NodeNameTaken {
            name: report.name.clone(),
            place: self.place,
            seen_ago,
            free_in,
        }
    }
}

/// The holder of a name, where it is another instance. Those of before there were any do not count.
pub(super) fn held_by_another(
    transaction: &dyn Transaction,
    report: &NodeReport,
) -> database::Result<Option<Holder>> {
    let sql = "SELECT instance, place, seen_at FROM nodes WHERE name = ?1";
    let holder = columns::first(transaction, sql, params![&report.name], |row| {
        let seen_at = columns::time(row, 2)?;
        Ok(Holder { instance: row.get(0)?, place: row.get(1)?, seen_at })
    })?;
    Ok(holder.filter(|one| !one.instance.is_empty() && one.instance != report.instance))
}

impl Catalog {
    /// Takes a node's name, before anything is done under it. What an earlier process of the name has
    /// reported of revisions is over.
    ///
    /// # Errors
    /// [`CatalogError::NodeNameTaken`] where another instance has it and is not lost for `lost_after`;
    /// [`CatalogError::Full`] at the limit of nodes.
    pub fn join(&self, report: &NodeReport, lost_after: Duration) -> Result<(), CatalogError> {
        self.write(|transaction| {
            let now = transaction.now()?;
            let alive = lost_before(now, lost_after);
            let other = held_by_another(transaction, report)?;
            if let Some(other) = other.filter(|one| columns::signed(one.seen_at.0) >= alive) {
                return Err(other.taken(report, now, lost_after));
            }
            let sql = "DELETE FROM node_revisions WHERE node = ?1";
            transaction.execute(sql, params![&report.name])?;
            self.put_node(transaction, report, now, lost_after)
        })
    }

    /// Gives a node's name back: whoever wants it need not wait until it is lost.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn leave(&self, report: &NodeReport) -> Result<(), CatalogError> {
        self.write(|transaction| {
            let sql = "UPDATE nodes SET instance = '' WHERE name = ?1 AND instance = ?2";
            transaction.execute(sql, params![&report.name, &report.instance])?;
            Ok(())
        })
    }
}
