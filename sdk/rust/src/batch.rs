//! The batch that is being judged, and one row of it. Fields are pulled from the host in one call
//! when the batch begins; checks, lookups and lazy fields are asked for once, when a row first
//! needs them, and then answer for every row.

use std::cell::OnceCell;

use crate::boundary::{CellType, Column, host};
use crate::rule::manifest::{Check, Source, Table, TableColumn};

mod cell;
mod view;

use cell::PRESENT;
pub use cell::{Boolean, Cell, Integer, Json, Kind, Number, Numeric, Presence, Text};
pub(crate) use view::View;

/// What an instance pulls from the host, settled when it is configured.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// How each field that the manifest reads is laid out.
    pub(crate) reads: Vec<CellType>,
    /// Those of them that are pulled as soon as a batch begins.
    pub(crate) eager: Vec<u32>,
    pub(crate) checks: Vec<CheckKind>,
    pub(crate) keys: Vec<MadeKey>,
    pub(crate) lookups: Vec<LookupKind>,
}

/// A check that the host runs over a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum CheckKind {
    Matches {
        field: u32,
        pattern: u32,
    },
    Conforms {
        field: u32,
        schema: u32,
    },
    InRange {
        field: u32,
        low: f64,
        high: f64,
    },
    Contains {
        table: u32,
        field: u32,
    },
    /// `key` is an index into the plan's makers of keys.
    ContainsKey {
        table: u32,
        field: u32,
        key: u32,
    },
}

/// Adds the key of a text to an empty text.
type MakeKey = dyn Fn(&str, &mut String);

/// A key that is made of a field's text.
pub(crate) struct MadeKey {
    pub(crate) make: Box<MakeKey>,
    /// The host's function, named where keys are declared: so a component without such keys does
    /// not import it, and runs in hosts that lack it.
    pub(crate) contains: fn(u32, Column) -> Vec<u8>,
}

impl std::fmt::Debug for MadeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MadeKey")
    }
}

/// A column that the host looks up in a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LookupKind {
    pub(crate) table: u32,
    pub(crate) column: u32,
    pub(crate) field: u32,
}

/// The batch of the call that is running.
#[derive(Debug)]
pub struct Batch<'a> {
    plan: &'a Plan,
    rows: usize,
    fields: Vec<OnceCell<View>>,
    checks: Vec<OnceCell<Vec<u8>>>,
    lookups: Vec<OnceCell<View>>,
}

impl<'a> Batch<'a> {
    pub(crate) fn pull(plan: &'a Plan) -> Self {
        let pulled = if plan.eager.is_empty() { Vec::new() } else { pull(plan, &plan.eager) };
        let rows = pulled.first().map_or_else(host::rows, View::rows);
        let mut fields = empty_cells(plan.reads.len());
        for (index, column) in plan.eager.iter().zip(pulled) {
            if let Some(slot) = fields.get_mut(*index as usize) {
                *slot = OnceCell::from(column);
            }
        }
        let (checks, lookups) = (empty_cells(plan.checks.len()), empty_cells(plan.lookups.len()));
        Self { plan, rows, fields, checks, lookups }
    }

    /// The rows, in order.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        (0..self.rows).map(|index| Row { batch: self, index })
    }

    /// Does every row hold a value there? A whole column costs little more than one row, so a rule
    /// may pass over what holds for the batch, and look at rows only for the rest.
    #[must_use]
    pub fn all_present<S: Source>(&self, source: S) -> bool {
        let present = |column| (0..self.rows).all(|row| S::Kind::state(column, row).is_present());
        source.column(self).is_some_and(present)
    }

    /// Does every row hold a text there that is not empty?
    #[must_use]
    pub fn all_filled(&self, source: impl Source<Kind = Text>) -> bool {
        source.column(self).is_some_and(|column| {
            column.validities().iter().all(|validity| *validity == PRESENT) && column.all_filled()
        })
    }

    /// Does a check of the host hold for every row?
    #[must_use]
    pub fn all_pass(&self, check: Check) -> bool {
        self.check(check.0).is_some_and(|answers| answers.iter().all(|answer| *answer == 1))
    }

    /// The number of a table's generation; it grows with each upload of the table.
    #[must_use]
    pub fn generation(&self, table: Table) -> u64 {
        host::generation(table.0)
    }

    /// Looks up keys that the rule has computed, `None` for no key. The answer has a cell for each
    /// key, in order: [`Cell::Missing`] where the table has no row of that key, [`Cell::Null`]
    /// where the table's cell is empty.
    #[must_use]
    pub fn look_up<'k, T: Kind>(
        &self,
        column: TableColumn<T>,
        keys: impl Iterator<Item = Option<&'k str>>,
    ) -> LookedUp<T> {
        let mut asked = Column::default();
        keys.for_each(|key| push_key(&mut asked, key));
        let found = host::lookup_keys(column.table, column.column, asked);
        LookedUp { column: View::of(found), kind: std::marker::PhantomData }
    }

    pub(crate) fn field(&self, index: u32) -> Option<&View> {
        let slot = self.fields.get(index as usize)?;
        Some(slot.get_or_init(|| View::of(host::columns(&[index]))))
    }

    pub(crate) fn lookup(&self, index: u32) -> Option<&View> {
        let kind = self.plan.lookups.get(index as usize)?;
        let slot = self.lookups.get(index as usize)?;
        Some(slot.get_or_init(|| View::of(host::lookup(kind.table, kind.column, kind.field))))
    }

    fn check(&self, index: u32) -> Option<&[u8]> {
        let kind = self.plan.checks.get(index as usize)?;
        let slot = self.checks.get(index as usize)?;
        Some(slot.get_or_init(|| match *kind {
            CheckKind::Matches { field, pattern } => host::matches(field, pattern),
            CheckKind::Conforms { field, schema } => host::conforms(field, schema),
            CheckKind::InRange { field, low, high } => host::in_range(field, low, high),
            CheckKind::Contains { table, field } => host::contains(table, field),
            CheckKind::ContainsKey { table, field, key } => self.contains_key(table, field, key),
        }))
    }

    /// Are the keys that are made of a field of text keys of a table?
    fn contains_key(&self, table: u32, field: u32, key: u32) -> Vec<u8> {
        let (Some(texts), Some(key)) = (self.field(field), self.plan.keys.get(key as usize)) else {
            return Vec::new();
        };
        let (mut keys, mut made) = (Column::default(), String::new());
        for row in 0..self.rows {
            let text = Text::read(texts, row).present();
            if let Some(text) = text {
                made.clear();
                (key.make)(text, &mut made);
            }
            push_key(&mut keys, text.map(|_| made.as_str()));
        }
        (key.contains)(table, keys)
    }
}

/// Adds a key that the rule has computed.
fn push_key(keys: &mut Column, key: Option<&str>) {
    keys.validity.push(if key.is_some() { PRESENT } else { 0 });
    keys.data.extend_from_slice(key.unwrap_or_default().as_bytes());
    keys.offsets.push(u32::try_from(keys.data.len()).unwrap_or(u32::MAX));
}

fn pull(plan: &Plan, fields: &[u32]) -> Vec<View> {
    let cell = |field: &u32| plan.reads.get(*field as usize).copied().unwrap_or(CellType::Json);
    View::split(host::columns(fields), fields.iter().map(cell))
}

fn empty_cells<T>(count: usize) -> Vec<OnceCell<T>> {
    let mut cells = Vec::with_capacity(count);
    cells.resize_with(count, OnceCell::new);
    cells
}

/// What [`Batch::look_up`] found.
#[derive(Debug)]
pub struct LookedUp<T> {
    column: View,
    kind: std::marker::PhantomData<T>,
}

impl<T: Kind> LookedUp<T> {
    /// What was found for the key of this number, counted from 0.
    #[must_use]
    pub fn get(&self, key: usize) -> Cell<T::Value<'_>> {
        T::read(&self.column, key)
    }
}

/// One row of the batch: one event, as far as the rule declared its fields.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    batch: &'a Batch<'a>,
    index: usize,
}

impl<'a> Row<'a> {
    /// What the row holds at a field, or what was looked up for it.
    #[must_use]
    pub fn get<S: Source>(&self, source: S) -> Cell<<S::Kind as Kind>::Value<'a>> {
        match source.column(self.batch) {
            Some(column) => S::Kind::read(column, self.index),
            None => Cell::Missing,
        }
    }

    /// Whether the row holds a value there, without reading the value.
    #[must_use]
    pub fn state<S: Source>(&self, source: S) -> Cell<()> {
        match source.column(self.batch) {
            Some(column) => S::Kind::state(column, self.index),
            None => Cell::Missing,
        }
    }

    /// What a check of the host says of the row; `None` where it does not apply because the field
    /// is missing, null or of another type.
    #[must_use]
    pub fn check(&self, check: Check) -> Option<bool> {
        match self.batch.check(check.0)?.get(self.index) {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        }
    }

    /// The number of bytes of a text or JSON cell, 0 where it is not present. Cheaper than the
    /// text itself.
    #[must_use]
    pub fn byte_length<S: Source>(&self, source: S) -> usize {
        source.column(self.batch).map_or(0, |column| column.bytes(self.index).len())
    }
    /// The batch that the row is part of.
    #[must_use]
    pub fn batch(&self) -> &'a Batch<'a> {
        self.batch
    }

    /// The place of the row in the batch.
    pub(crate) fn index(&self) -> usize {
        self.index
    }
}
