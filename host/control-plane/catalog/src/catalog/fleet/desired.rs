//! The desired state's version: one number that every change to what nodes run raises, in the same
//! transaction. What it is that nodes run is in the other tables.

use super::watch::Nudge;
use crate::CatalogError;
use crate::catalog::Catalog;
use crate::database::{self, Access, Transaction, columns, params};

/// What a transaction came to.
pub(in crate::catalog) enum Desired<T> {
    /// Nodes are to run something else than before.
    Changed(T),
    Same(T),
}

impl Catalog {
    /// The version of what nodes are to run. It only grows.
    ///
    /// # Errors
    /// Where the database fails.
    pub fn version(&self) -> Result<u64, CatalogError> {
        self.read(version)
    }

    /// Runs a transaction that may change what nodes run. All of them hear of it.
    pub(in crate::catalog) fn change<T>(
        &self,
        work: impl FnOnce(&dyn Transaction) -> Result<Desired<T>, CatalogError>,
    ) -> Result<T, CatalogError> {
        let (done, is_changed) = self.transact(Access::Write, |transaction| {
            Ok(match work(transaction)? {
                Desired::Changed(done) => {
                    let sql = "UPDATE desired_state SET version = version + 1";
                    transaction.execute(sql, params![])?;
                    transaction.announce_change()?;
                    (done, true)
                }
                Desired::Same(done) => (done, false),
            })
        })?;
        if is_changed {
            self.watchers().retain(Nudge::give);
        }
        Ok(done)
    }
}

pub(super) fn version(transaction: &dyn Transaction) -> database::Result<u64> {
    columns::count(transaction, "SELECT version FROM desired_state", params![])
}
