//! The boundary natively: the test harness plays the host, with the batch of the running case in
//! a variable of the thread. As in the contract, asking outside an evaluation is an error.

use std::cell::RefCell;

use crate::batch::View;
use crate::boundary::{CellType, Column, Declared};
use crate::log::Level;

mod cells;
mod tables;

pub(crate) use cells::{Event, HostColumns, occurrences};
pub(crate) use tables::{Table, TableRow};

/// Everything that a rule can ask of its host about a batch.
pub(crate) struct Batch {
    pub(crate) declared: Declared,
    pub(crate) events: Vec<Event>,
    pub(crate) tables: Vec<Table>,
    pub(crate) patterns: Vec<regex::Regex>,
    pub(crate) schemas: Vec<jsonschema::Validator>,
}

thread_local! {
    static CURRENT: RefCell<Option<Batch>> = const { RefCell::new(None) };
}

/// Runs an evaluation over a batch and gives the batch back.
pub(crate) fn with_batch<T>(batch: Batch, evaluate: impl FnOnce() -> T) -> (T, Batch) {
    CURRENT.set(Some(batch));
    let answer = evaluate();
    let batch = CURRENT.take().expect("only this function takes the batch away");
    (answer, batch)
}

fn ask<T>(question: impl FnOnce(&Batch) -> T) -> T {
    CURRENT.with_borrow(|batch| {
        question(batch.as_ref().expect("the batch is asked only while a rule is evaluated"))
    })
}

pub(crate) fn rows() -> usize {
    ask(|batch| batch.events.len())
}

pub(crate) fn columns(fields: &[u32]) -> Column {
    ask(|batch| {
        let mut all = Column::default();
        fields.iter().for_each(|field| batch.append(*field, &mut all));
        all
    })
}

pub(crate) fn matches(field: u32, pattern: u32) -> Vec<u8> {
    ask(|batch| {
        let pattern = declared(&batch.patterns, pattern);
        batch.check(field, &[CellType::Text], |column, row| pattern.is_match(text(column, row)))
    })
}

pub(crate) fn conforms(field: u32, schema: u32) -> Vec<u8> {
    ask(|batch| {
        let schema = declared(&batch.schemas, schema);
        batch.check(field, &[CellType::Json], |column, row| {
            let value = serde_json::from_str(text(column, row));
            schema.is_valid(&value.expect("the event was parsed before"))
        })
    })
}

pub(crate) fn in_range(field: u32, low: f64, high: f64) -> Vec<u8> {
    ask(|batch| {
        let (cell, _) = batch.column(field);
        batch.check(field, &[CellType::Integer, CellType::Number], |column, row| {
            let slot = column.slot(row).expect("columns of fixed width have a slot for each row");
            match cell {
                CellType::Integer => cells::integer_in_range(i64::from_le_bytes(slot), low, high),
                _ => (low..=high).contains(&f64::from_le_bytes(slot)),
            }
        })
    })
}

pub(crate) fn contains(table: u32, field: u32) -> Vec<u8> {
    ask(|batch| {
        let table = declared(&batch.tables, table);
        batch.check(field, &[CellType::Text], |column, row| table.contains(text(column, row)))
    })
}

pub(crate) fn lookup(table: u32, column: u32, field: u32) -> Column {
    ask(|batch| {
        let (cell, keys) = batch.column(field);
        assert_eq!(cell, CellType::Text, "a table is looked up by text");
        batch.look_up(table, column, &keys)
    })
}

pub(crate) fn lookup_keys(table: u32, column: u32, keys: Column) -> Column {
    ask(|batch| batch.look_up(table, column, &View::of(keys)))
}

pub(crate) fn contains_keys(table: u32, keys: Column) -> Vec<u8> {
    ask(|batch| {
        let (table, keys) = (declared(&batch.tables, table), View::of(keys));
        answers(&keys, |row| table.contains(text(&keys, row)))
    })
}

/// Tables of cases have one generation.
pub(crate) fn generation(table: u32) -> u64 {
    ask(|batch| {
        declared(&batch.tables, table);
        1
    })
}

#[allow(clippy::print_stderr, reason = "a test's captured output is where its author looks")]
pub(crate) fn write_log(level: Level, message: &str) {
    eprintln!("{level:?}: {message}");
}

#[allow(clippy::print_stderr, reason = "a test's captured output is where its author looks")]
pub(crate) fn count(metric: u32, delta: u64) {
    ask(|batch| eprintln!("{} += {delta}", declared(&batch.declared.metrics, metric)));
}

fn declared<T>(list: &[T], index: u32) -> &T {
    list.get(index as usize).expect("the rule uses what it declared")
}

/// One byte a row: 2 where it has no value.
fn answers(column: &View, holds: impl Fn(usize) -> bool) -> Vec<u8> {
    let validity = column.validities().iter().enumerate();
    validity.map(|(row, valid)| if *valid == 2 { u8::from(holds(row)) } else { 2 }).collect()
}

fn text(column: &View, row: usize) -> &str {
    std::str::from_utf8(column.bytes(row)).expect("columns are made of text")
}

impl Batch {
    fn column(&self, field: u32) -> (CellType, View) {
        let (_, cell) = declared(&self.declared.reads, field);
        let mut column = Column::default();
        self.append(field, &mut column);
        (*cell, View::of(column))
    }

    fn append(&self, field: u32, column: &mut Column) {
        let (pointer, cell) = declared(&self.declared.reads, field);
        for event in &self.events {
            column.push(*cell, event.at(pointer).as_deref());
        }
    }

    /// One byte a row: 2 where the field is not present with its type.
    fn check(
        &self,
        field: u32,
        cells: &[CellType],
        holds: impl Fn(&View, usize) -> bool,
    ) -> Vec<u8> {
        let (cell, column) = self.column(field);
        assert!(cells.contains(&cell), "the check needs a field of {cells:?}, not {cell:?}");
        answers(&column, |row| holds(&column, row))
    }

    fn look_up(&self, table: u32, column: u32, keys: &View) -> Column {
        let (_, columns) = declared(&self.declared.tables, table);
        let (name, cell) = declared(columns, column);
        let table = declared(&self.tables, table);
        let mut found = Column::default();
        for (row, valid) in keys.validities().iter().enumerate() {
            let row = if *valid == 2 { table.row(text(keys, row)) } else { None };
            let value = row.map(|row| tables::lexeme(row, name, *cell));
            found.push(*cell, value.as_deref());
        }
        found
    }
}
