//! Columns: the cells of one field over the rows of a call, laid out as the contract says.

use tidegate_event::{Document, Hints, Kind, Node, Pointer, number};

use super::bindings::types::{CellType, Column};
use super::manifest::{Field, Source};
use super::state::Call;

pub(super) const MISSING: u8 = 0;
pub(super) const NULL: u8 = 1;
pub(super) const PRESENT: u8 = 2;
pub(super) const OTHER_TYPE: u8 = 3;

/// Builds a column row by row.
pub(super) struct Cells {
    cell: CellType,
    column: Column,
}

impl Cells {
    pub(super) fn new(cell: CellType, rows: usize) -> Self {
        Self { cell, column: room(std::iter::once(cell), rows) }
    }

    /// Bytes of the values so far.
    pub(super) fn data_bytes(&self) -> usize {
        self.column.data.len()
    }

    pub(super) fn finish(self) -> Column {
        self.column
    }

    pub(super) fn absent(&mut self, validity: u8) {
        let width = match self.cell {
            CellType::Text | CellType::Json => 0,
            CellType::Integer | CellType::Number => 8,
            CellType::Boolean => 1,
        };
        self.column.data.resize(self.column.data.len() + width, 0);
        self.end_row(validity);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.column.data.extend_from_slice(bytes);
        self.end_row(PRESENT);
    }

    fn end_row(&mut self, validity: u8) {
        self.column.validity.push(validity);
        if matches!(self.cell, CellType::Text | CellType::Json) {
            // A call's input is bounded far below 4 GiB.
            self.column.offsets.push(u32::try_from(self.column.data.len()).unwrap_or(u32::MAX));
        }
    }

    pub(super) fn node(&mut self, node: Option<Node<'_>>) {
        let Some(node) = node else { return self.absent(MISSING) };
        let kind = node.kind();
        match self.cell {
            CellType::Json => self.bytes(node.lexeme().as_bytes()),
            _ if kind == Kind::Null => self.absent(NULL),
            CellType::Text => match node.as_text_bytes() {
                Some(text) => self.bytes(text),
                None => self.absent(OTHER_TYPE),
            },
            CellType::Integer => self.fixed(
                (kind == Kind::Number)
                    .then(|| number::to_i64(node.lexeme()))
                    .flatten()
                    .map(i64::to_le_bytes),
            ),
            CellType::Number => self.fixed(
                (kind == Kind::Number)
                    .then(|| number::to_f64(node.lexeme()))
                    .flatten()
                    .map(f64::to_le_bytes),
            ),
            CellType::Boolean => self.fixed(node.as_bool().map(|value| [u8::from(value)])),
        }
    }

    fn fixed<const N: usize>(&mut self, bytes: Option<[u8; N]>) {
        match bytes {
            Some(bytes) => self.bytes(&bytes),
            None => self.absent(OTHER_TYPE),
        }
    }

    /// A cell of a reference table, which is text; an empty one is null.
    pub(super) fn table_cell(&mut self, text: Option<&str>) {
        match text {
            None => self.absent(MISSING),
            Some("") => self.absent(NULL),
            Some(text) => match self.cell {
                CellType::Text | CellType::Json => self.bytes(text.as_bytes()),
                CellType::Integer => self.fixed(number::to_i64(text).map(i64::to_le_bytes)),
                CellType::Number => self.fixed(number::to_f64(text).map(f64::to_le_bytes)),
                CellType::Boolean => {
                    self.fixed(text.parse::<bool>().ok().map(|value| [u8::from(value)]))
                }
            },
        }
    }
}

/// An empty column with about the room that fields take.
pub(super) fn room(fields: impl Iterator<Item = CellType>, rows: usize) -> Column {
    let (mut count, mut offsets, mut bytes) = (0, 0, 0);
    for cell in fields {
        count += rows;
        match cell {
            CellType::Text | CellType::Json => {
                (offsets, bytes) = (offsets + rows, bytes + rows * 16)
            }
            CellType::Integer | CellType::Number => bytes += rows * 8,
            CellType::Boolean => bytes += rows,
        }
    }
    Column {
        validity: Vec::with_capacity(count),
        offsets: Vec::with_capacity(offsets),
        data: Vec::with_capacity(bytes),
    }
}

/// Adds the column of a field over the rows of a call.
pub(super) fn append(column: Column, call: &Call, field: &Field, hints: &mut Hints) -> Column {
    let mut cells = Cells { cell: field.cell, column };
    if let Some(given) = &call.batch.given
        && given_cells(&mut cells, call, field, given)
    {
        return cells.finish();
    }
    match &field.source {
        Source::Event(pointer) => event_cells(&mut cells, call, pointer, hints),
        Source::Tenant => {
            call.rows().for_each(|_| cells.bytes(call.batch.tenant.as_str().as_bytes()))
        }
        Source::Node => call.rows().for_each(|_| cells.bytes(call.batch.node.as_bytes())),
        Source::EventId => call.rows().for_each(|row| cells.bytes(&row.event_id.text())),
        Source::EventType => {
            call.rows().for_each(|row| cells.bytes(row.event_type.as_str().as_bytes()))
        }
        Source::Key => call.rows().for_each(|row| match &row.key {
            Some(key) => cells.bytes(key.as_bytes()),
            None => cells.absent(MISSING),
        }),
        Source::ReceivedAt => call.rows().for_each(|row| {
            let at = row.event_id.received_at();
            if field.cell == CellType::Text {
                cells.bytes(&at.rfc3339())
            } else {
                cells.bytes(&at.0.to_le_bytes())
            }
        }),
        Source::Occurrence(_) => {
            let counted = call.batch.occurrences(&field.text);
            for row in &call.rows {
                match counted.and_then(|all| all.get(*row as usize)) {
                    Some(count) => cells.bytes(&i64::from(*count).to_le_bytes()),
                    None => cells.absent(MISSING),
                }
            }
        }
    }
    cells.finish()
}

/// A host column of a golden case; false where the case does not say it and the host counts it.
fn given_cells(cells: &mut Cells, call: &Call, field: &Field, given: &[Document]) -> bool {
    let name = field.text.replace('~', "~0").replace('/', "~1");
    let pointer = match (&field.source, format!("/{name}").parse::<Pointer>()) {
        (Source::Event(_), _) | (_, Err(_)) => return false,
        (_, Ok(pointer)) => pointer,
    };
    let at = |row: &u32| given.get(*row as usize).and_then(|row| pointer.resolve(row.at(0)));
    let counted = matches!(field.source, Source::Occurrence(_));
    if counted && call.rows.iter().any(|row| at(row).is_none()) {
        return false;
    }
    call.rows.iter().for_each(|row| cells.node(at(row)));
    true
}

fn event_cells(cells: &mut Cells, call: &Call, pointer: &Pointer, hints: &mut Hints) {
    for row in call.rows() {
        cells.node(pointer.resolve_hinted(row.root(), hints));
    }
}
