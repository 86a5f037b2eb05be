//! The declaration of everything a rule uses. Each declaration answers a small handle that the
//! rule keeps and later asks rows with. Declaring the same thing twice answers the same handle.

use std::marker::PhantomData;

use crate::batch::{Batch, CheckKind, Json, Kind, LookupKind, MadeKey, Numeric, Plan, Text, View};
use crate::boundary::{CellType, Declared, host};
use crate::outcome::Severity;

/// Collects what a rule declares while it is configured.
#[derive(Debug, Default)]
pub struct Manifest {
    declared: Declared,
    plan: Plan,
}

/// A field that the rule reads as a kind of cell.
#[derive(Debug)]
pub struct Field<T> {
    pub(crate) index: u32,
    kind: PhantomData<T>,
}

/// A column of a reference table, looked up by a field of the same row.
#[derive(Debug)]
pub struct Lookup<T> {
    index: u32,
    key: u32,
    kind: PhantomData<T>,
}

/// A column of a reference table, for [`Batch::look_up`].
#[derive(Debug)]
pub struct TableColumn<T> {
    pub(crate) table: u32,
    pub(crate) column: u32,
    kind: PhantomData<T>,
}

macro_rules! copy {
    ($($name:ident),*) => {$(
        impl<T> Clone for $name<T> {
            fn clone(&self) -> Self {
                *self
            }
        }
        impl<T> Copy for $name<T> {}
    )*};
}
copy!(Field, Lookup, TableColumn);

/// What [`Row::get`](crate::Row::get) can be asked for: a [`Field`] or a [`Lookup`].
pub trait Source: Copy {
    /// The kind of cell that it holds.
    type Kind: Kind;
    #[doc(hidden)]
    fn column<'a>(self, batch: &'a Batch<'_>) -> Option<&'a View>;
    /// The field that a finding is about: of a lookup, its key.
    #[doc(hidden)]
    fn field(self) -> u32;
}

impl<T: Kind> Source for Field<T> {
    type Kind = T;

    fn column<'a>(self, batch: &'a Batch<'_>) -> Option<&'a View> {
        batch.field(self.index)
    }

    fn field(self) -> u32 {
        self.index
    }
}

impl<T: Kind> Source for Lookup<T> {
    type Kind = T;

    fn column<'a>(self, batch: &'a Batch<'_>) -> Option<&'a View> {
        batch.lookup(self.index)
    }

    fn field(self) -> u32 {
        self.key
    }
}

/// A field that an enricher may set or remove.
#[derive(Clone, Copy, Debug)]
pub struct Target(pub(crate) u32);

/// A check that the host runs natively over a whole column.
#[derive(Clone, Copy, Debug)]
pub struct Check(pub(crate) u32);

/// A reference table.
#[derive(Clone, Copy, Debug)]
pub struct Table(pub(crate) u32);

/// A finding's code with the severity it is reported at.
#[derive(Clone, Copy, Debug)]
pub struct Code {
    pub(crate) index: u32,
    pub(crate) severity: Severity,
}

/// A counter.
#[derive(Clone, Copy, Debug)]
pub struct Metric(pub(crate) u32);

impl Manifest {
    /// Reads a field: a JSON pointer (RFC 6901) or a host column such as `@received_at`.
    pub fn read<T: Kind>(&mut self, pointer: &str) -> Field<T> {
        let field = self.read_lazily(pointer);
        if !self.plan.eager.contains(&field.index) {
            self.plan.eager.push(field.index);
        }
        field
    }

    /// The same for a field that rows rarely need, or that only checks and lookups use: its
    /// values cross the boundary only when a row first asks for them.
    pub fn read_lazily<T: Kind>(&mut self, pointer: &str) -> Field<T> {
        let cell = T::cell(pointer);
        let same = |read: &(String, CellType)| read.0 == pointer && read.1 == cell;
        let index = position_or_push(&mut self.declared.reads, same, || (pointer.to_owned(), cell));
        Field { index, kind: PhantomData }
    }

    /// A field that patches may set or remove: a JSON pointer, not "". For enrichers alone.
    pub fn write(&mut self, pointer: &str) -> Target {
        Target(text_index(&mut self.declared.writes, pointer))
    }

    /// A finding's code: lower-case words joined by `-`, `_` or `.`, at most 64 bytes.
    pub fn code(&mut self, name: &str, severity: Severity) -> Code {
        Code { index: text_index(&mut self.declared.codes, name), severity }
    }

    /// A counter, named like a code.
    pub fn metric(&mut self, name: &str) -> Metric {
        Metric(text_index(&mut self.declared.metrics, name))
    }

    /// A reference table of the tenant.
    pub fn table(&mut self, name: &str) -> Table {
        let tables = &mut self.declared.tables;
        Table(position_or_push(tables, |table| table.0 == name, || (name.to_owned(), Vec::new())))
    }

    /// A column of a reference table.
    pub fn table_column<T: Kind>(&mut self, table: Table, name: &str) -> TableColumn<T> {
        let column = self.declared.tables.get_mut(table.0 as usize).map_or(u32::MAX, |table| {
            let same = |column: &(String, CellType)| column.0 == name && column.1 == T::CELL;
            position_or_push(&mut table.1, same, || (name.to_owned(), T::CELL))
        });
        TableColumn { table: table.0, column, kind: PhantomData }
    }

    /// Looks up a column of the table's row whose key is the text of a field.
    pub fn lookup<T: Kind>(&mut self, column: TableColumn<T>, key: Field<Text>) -> Lookup<T> {
        let lookup = LookupKind { table: column.table, column: column.column, field: key.index };
        let index = position_or_push(&mut self.plan.lookups, |old| *old == lookup, || lookup);
        Lookup { index, key: key.index, kind: PhantomData }
    }

    /// Does the text contain a match of a regular expression? The syntax is that of the Rust
    /// crate `regex`; anchor with `^` and `$` to match the whole.
    pub fn matches(&mut self, field: Field<Text>, pattern: &str) -> Check {
        let pattern = text_index(&mut self.declared.patterns, pattern);
        self.check(CheckKind::Matches { field: field.index, pattern })
    }

    /// Does the value conform to a JSON Schema (2020-12 or draft-07)?
    pub fn conforms(&mut self, field: Field<Json>, schema: &str) -> Check {
        let schema = text_index(&mut self.declared.schemas, schema);
        self.check(CheckKind::Conforms { field: field.index, schema })
    }

    /// Is `low <= value <= high`? Infinite bounds are open; integers are compared exactly.
    pub fn in_range<T: Numeric>(&mut self, field: Field<T>, low: f64, high: f64) -> Check {
        self.check(CheckKind::InRange { field: field.index, low, high })
    }

    /// Is the text a key of a reference table?
    pub fn contains(&mut self, table: Table, field: Field<Text>) -> Check {
        self.check(CheckKind::Contains { table: table.0, field: field.index })
    }

    /// Is the key that `make` makes of the text a key of a reference table? `make` adds the key to
    /// an empty text, and must make the same of the same text, always. Needs version 1.1.0 of the
    /// contract.
    pub fn contains_key(
        &mut self,
        table: Table,
        field: Field<Text>,
        make: impl Fn(&str, &mut String) + 'static,
    ) -> Check {
        let key = u32::try_from(self.plan.keys.len()).unwrap_or(u32::MAX);
        self.plan.keys.push(MadeKey { make: Box::new(make), contains: host::contains_keys });
        self.check(CheckKind::ContainsKey { table: table.0, field: field.index, key })
    }

    fn check(&mut self, check: CheckKind) -> Check {
        Check(position_or_push(&mut self.plan.checks, |old| *old == check, || check))
    }

    pub(crate) fn finish(mut self) -> (Declared, Plan) {
        self.plan.reads = self.declared.reads.iter().map(|(_, cell)| *cell).collect();
        (self.declared, self.plan)
    }
}

fn text_index(list: &mut Vec<String>, text: &str) -> u32 {
    position_or_push(list, |old| old == text, || text.to_owned())
}

fn position_or_push<T>(
    list: &mut Vec<T>,
    same: impl FnMut(&T) -> bool,
    new: impl FnOnce() -> T,
) -> u32 {
    let index = list.iter().position(same).unwrap_or_else(|| {
        list.push(new());
        list.len() - 1
    });
    u32::try_from(index).unwrap_or(u32::MAX)
}
