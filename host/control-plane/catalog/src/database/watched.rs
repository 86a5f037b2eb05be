//! A transaction that remembers whether it has changed anything.

use std::cell::Cell;

use tidegate_types::UnixMillis;

use super::migrations::Step;
use super::{Result, Row, Transaction, Value};

pub(crate) struct Watched<'a> {
    inner: Box<dyn Transaction + 'a>,
    has_changed: Cell<bool>,
}

impl<'a> Watched<'a> {
    pub(crate) fn new(inner: Box<dyn Transaction + 'a>) -> Self {
        Self { inner, has_changed: Cell::new(false) }
    }

    /// Has a statement touched a row?
    pub(crate) fn has_changed(&self) -> bool {
        self.has_changed.get()
    }

    fn note(&self, has_touched: bool) {
        self.has_changed.set(self.has_changed.get() || has_touched);
    }
}

impl Transaction for Watched<'_> {
    fn execute(&self, sql: &str, params: &[Value<'_>]) -> Result<u64> {
        let touched = self.inner.execute(sql, params)?;
        self.note(touched > 0);
        Ok(touched)
    }

    fn query(&self, sql: &str, params: &[Value<'_>]) -> Result<Vec<Row>> {
        let rows = self.inner.query(sql, params)?;
        // What is not a SELECT is a change with RETURNING.
        self.note(!rows.is_empty() && !sql.trim_start().starts_with("SELECT"));
        Ok(rows)
    }

    fn now(&self) -> Result<UnixMillis> {
        self.inner.now()
    }

    fn announce_change(&self) -> Result<()> {
        self.inner.announce_change()
    }

    fn commit(self: Box<Self>) -> Result<()> {
        self.inner.commit()
    }

    fn layout_version(&self) -> Result<i64> {
        self.inner.layout_version()
    }

    fn take_step(&self, step: &Step, number: i64) -> Result<()> {
        self.inner.take_step(step, number)
    }
}
