//! The functions that a component may call: its batch, the kernels, the tables, the log.
//!
//! A call that the manifest does not cover traps: the guest is broken or hostile.

use std::sync::Arc;

use tidegate_event::Document;
use wasmtime::{Result, Trap, bail, format_err};

use super::bindings::types::{CellType, Column};
use super::bindings::{batch, kernels, log, tables, types};
use super::cells::{self, Cells, MISSING, PRESENT};
use super::log::Level;
use super::manifest::{Field, Manifest};
use super::meter::Meter;
use super::state::{Call, State};
use crate::table::Table;

const NO: u8 = 0;
const YES: u8 = 1;
const NOT_APPLICABLE: u8 = 2;

/// A kernel looks at its caller's budget once in so many bytes.
const CHARGE_BYTES: usize = 1024;

impl State {
    fn manifest(&self) -> Result<Arc<Manifest>> {
        self.manifest
            .clone()
            .ok_or_else(|| format_err!("the host was called before `configure` returned"))
    }

    fn running(&self) -> Result<&Call> {
        self.call.as_ref().ok_or_else(|| format_err!("the batch was read outside of `evaluate`"))
    }

    /// The column of a declared field, of one of these cell types where any are named.
    fn column(&mut self, index: u32, cells: &[CellType]) -> Result<Column> {
        let manifest = self.manifest()?;
        let field = declared(&manifest, index, cells)?;
        let room = cells::room(std::iter::once(field.cell), self.running()?.rows.len());
        self.append(room, field, index)
    }

    /// Adds the column of a declared field to others.
    fn append(&mut self, column: Column, field: &Field, index: u32) -> Result<Column> {
        let at = index as usize;
        if self.hints.len() <= at {
            self.hints.resize(at + 1, tidegate_event::Hints::default());
        }
        let mut hints = self.hints.get_mut(at).map(std::mem::take).unwrap_or_default();
        let column = cells::append(column, self.running()?, field, &mut hints);
        if let Some(slot) = self.hints.get_mut(at) {
            *slot = hints;
        }
        Ok(column)
    }

    fn table(&self, index: u32) -> Result<Arc<Table>> {
        let table = self.running()?.tables.get(index as usize).cloned();
        table.ok_or_else(|| format_err!("table {index} is not in the manifest"))
    }

    /// The column of a table and how its cells are laid out.
    fn table_column(&self, table: u32, column: u32) -> Result<(Arc<Table>, usize, CellType)> {
        let manifest = self.manifest()?;
        let declared =
            manifest.tables.get(table as usize).and_then(|t| t.columns.get(column as usize));
        let (name, cell) = declared.ok_or_else(|| {
            format_err!("column {column} of table {table} is not in the manifest")
        })?;
        let table = self.table(table)?;
        let at =
            table.column(name).ok_or_else(|| format_err!("the table has no column `{name}`"))?;
        Ok((table, at, *cell))
    }
}

fn declared<'m>(manifest: &'m Manifest, index: u32, cells: &[CellType]) -> Result<&'m Field> {
    let field = manifest.reads.get(index as usize);
    let field = field.ok_or_else(|| format_err!("field {index} is not in the manifest's reads"))?;
    if !cells.is_empty() && !cells.contains(&field.cell) {
        bail!("field {index} has a cell type that this function does not take");
    }
    Ok(field)
}

/// The values of a variable-width column; `None` where a row has none.
fn values(column: &Column) -> impl Iterator<Item = Option<&[u8]>> {
    let mut start = 0;
    column.validity.iter().zip(&column.offsets).map(move |(validity, end)| {
        let range = start..*end as usize;
        start = *end as usize;
        (*validity == PRESENT).then(|| column.data.get(range)).flatten()
    })
}

fn texts(column: &Column) -> impl Iterator<Item = Option<&str>> {
    values(column).map(|value| value.and_then(|bytes| std::str::from_utf8(bytes).ok()))
}

fn answer(holds: Option<bool>) -> u8 {
    match holds {
        None => NOT_APPLICABLE,
        Some(true) => YES,
        Some(false) => NO,
    }
}

/// Ends a kernel when its caller's budget is used up: it runs where the epoch cannot end it.
struct Charge {
    meter: Arc<Meter>,
    bytes: usize,
}

impl Charge {
    /// Begins before the first row of a column, so that even one dear row is noticed.
    fn new(state: &State, column: &Column) -> Result<Self> {
        let mut charge = Self { meter: Arc::clone(&state.meter), bytes: 0 };
        if column.data.len() >= CHARGE_BYTES {
            charge.look()?;
        }
        Ok(charge)
    }

    /// One more row, with so many bytes of text.
    fn row(&mut self, bytes: usize) -> Result<()> {
        self.bytes += bytes + 1;
        if self.bytes >= CHARGE_BYTES {
            self.bytes = 0;
            self.look()?;
        }
        Ok(())
    }

    fn look(&mut self) -> Result<()> {
        if self.meter.exhausted() { Err(Trap::Interrupt.into()) } else { Ok(()) }
    }
}

impl types::Host for State {}

impl batch::Host for State {
    fn rows(&mut self) -> Result<u32> {
        Ok(u32::try_from(self.running()?.rows.len()).unwrap_or(u32::MAX))
    }

    fn columns(&mut self, fields: Vec<u32>) -> Result<Column> {
        let manifest = self.manifest()?;
        // Each column is as large as the batch: a guest may not ask for more of them than it has declared.
        if fields.len() > manifest.reads.len() {
            bail!("more columns were asked for than the manifest declares");
        }
        let known = |field: &u32| manifest.reads.get(*field as usize).map(|field| field.cell);
        let mut out = cells::room(fields.iter().filter_map(known), self.running()?.rows.len());
        for index in fields {
            out = self.append(out, declared(&manifest, index, &[])?, index)?;
            let bytes = out.validity.len() + 4 * out.offsets.len() + out.data.len();
            if !self.memory.holds(bytes) {
                bail!("the columns asked for are larger than the guest's memory may be");
            }
        }
        Ok(out)
    }
}

impl kernels::Host for State {
    fn matches(&mut self, field: u32, pattern: u32) -> Result<Vec<u8>> {
        let manifest = self.manifest()?;
        let pattern = manifest.patterns.get(pattern as usize);
        let pattern = pattern.ok_or_else(|| format_err!("the pattern is not in the manifest"))?;
        let column = self.column(field, &[CellType::Text])?;
        let mut charge = Charge::new(self, &column)?;
        let answers = texts(&column).map(|text| {
            let matched = text.map(|text| pattern.is_match(text)).transpose();
            let matched = matched.map_err(wasmtime::Error::msg)?;
            charge.row(text.map_or(0, str::len)).map(|()| answer(matched))
        });
        answers.collect()
    }

    fn conforms(&mut self, field: u32, schema: u32) -> Result<Vec<u8>> {
        let manifest = self.manifest()?;
        let schema = manifest.schemas.get(schema as usize);
        let schema = schema.ok_or_else(|| format_err!("the schema is not in the manifest"))?;
        let column = self.column(field, &[CellType::Json])?;
        let conforms =
            |value: &[u8]| Document::parse(value.to_vec()).is_ok_and(|d| schema.is_valid(d.root()));
        let mut charge = Charge::new(self, &column)?;
        let answers = values(&column).map(|value| {
            let answer = answer(value.map(conforms));
            charge.row(value.map_or(0, <[u8]>::len)).map(|()| answer)
        });
        answers.collect()
    }

    fn in_range(&mut self, field: u32, low: f64, high: f64) -> Result<Vec<u8>> {
        let manifest = self.manifest()?;
        let cell = declared(&manifest, field, &[CellType::Integer, CellType::Number])?.cell;
        let column = self.column(field, &[])?;
        let holds = |slot: [u8; 8]| match cell {
            CellType::Integer => in_range(i64::from_le_bytes(slot), low, high),
            _ => (low..=high).contains(&f64::from_le_bytes(slot)),
        };
        let (slots, _) = column.data.as_chunks::<8>();
        let cells = column.validity.iter().zip(slots);
        Ok(cells
            .map(|(validity, slot)| answer((*validity == PRESENT).then(|| holds(*slot))))
            .collect())
    }
}

/// Compares an integer with doubles exactly.
fn in_range(value: i64, low: f64, high: f64) -> bool {
    // 2^63 as a double; every i64 lies below it and not below its negative.
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    let at_least = |bound: f64| bound < -BEYOND || (bound < BEYOND && value >= bound.ceil() as i64);
    let at_most =
        |bound: f64| bound >= BEYOND || (bound >= -BEYOND && value <= bound.floor() as i64);
    at_least(low) && at_most(high)
}

impl tables::Host for State {
    fn contains(&mut self, table: u32, field: u32) -> Result<Vec<u8>> {
        let table = self.table(table)?;
        let column = self.column(field, &[CellType::Text])?;
        Ok(texts(&column).map(|text| answer(text.map(|text| table.contains(text)))).collect())
    }

    fn contains_keys(&mut self, table: u32, keys: Column) -> Result<Vec<u8>> {
        let table = self.table(table)?;
        check_keys(&keys)?;
        let mut charge = Charge::new(self, &keys)?;
        let answers = texts(&keys).map(|key| {
            let known = answer(key.map(|key| table.contains(key)));
            charge.row(key.map_or(0, str::len)).map(|()| known)
        });
        answers.collect()
    }

    fn lookup(&mut self, table: u32, column: u32, field: u32) -> Result<Column> {
        let (table, at, cell) = self.table_column(table, column)?;
        let keys = self.column(field, &[CellType::Text])?;
        self.look_up(&table, at, cell, &keys)
    }

    fn lookup_keys(&mut self, table: u32, column: u32, keys: Column) -> Result<Column> {
        let (table, at, cell) = self.table_column(table, column)?;
        check_keys(&keys)?;
        self.look_up(&table, at, cell, &keys)
    }

    fn generation(&mut self, table: u32) -> Result<u64> {
        Ok(self.table(table)?.generation())
    }
}

/// Keys that a rule has computed are a column of text.
fn check_keys(keys: &Column) -> Result<()> {
    let (validities, offsets) = (keys.validity.len(), keys.offsets.len());
    if validities != offsets {
        bail!("the keys have {validities} validities and {offsets} offsets");
    }
    Ok(())
}

impl State {
    /// One key can stand for many bytes, so the column is bounded while it grows.
    fn look_up(
        &mut self,
        table: &Table,
        at: usize,
        cell: CellType,
        keys: &Column,
    ) -> Result<Column> {
        let mut cells = Cells::new(cell, keys.validity.len());
        let mut charge = Charge::new(self, keys)?;
        for key in texts(keys) {
            match key {
                Some(key) => cells.table_cell(table.cell(key, at)),
                None => cells.absent(MISSING),
            }
            charge.row(key.map_or(0, str::len))?;
            if !self.memory.holds(cells.data_bytes()) {
                bail!("the values looked up are larger than the guest's memory may be");
            }
        }
        Ok(cells.finish())
    }
}

impl log::Host for State {
    fn write(&mut self, level: log::Level, message: String) -> Result<()> {
        let level = match level {
            log::Level::Debug => Level::Debug,
            log::Level::Info => Level::Info,
            log::Level::Warn => Level::Warn,
            log::Level::Error => Level::Error,
        };
        if let Ok(mut log) = self.log.lock() {
            log.line(level, &message);
        }
        Ok(())
    }

    fn count(&mut self, metric: u32, delta: u64) -> Result<()> {
        let known = self.manifest()?.metrics.len();
        let at = metric as usize;
        if at >= known {
            bail!("metric {metric} is not in the manifest");
        }
        self.counts.resize(known, 0);
        if let Some(count) = self.counts.get_mut(at) {
            *count = count.saturating_add(delta);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::in_range;

    #[test]
    fn integers_are_compared_exactly() {
        let big = (1i64 << 53) + 1;
        assert!(!in_range(big, 0.0, (1i64 << 53) as f64));
        assert!(in_range(i64::MAX, f64::NEG_INFINITY, f64::INFINITY));
        assert!(in_range(i64::MIN, -9.3e18, 0.0));
        assert!(!in_range(i64::MAX, 9.3e18, f64::INFINITY));
        assert!(!in_range(0, 0.5, 1.0) && in_range(1, 0.5, 1.0) && in_range(-1, -1.5, -0.5));
        assert!(!in_range(0, f64::NAN, 1.0));
    }
}
