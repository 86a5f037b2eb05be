//! The boundary between a rule and its host: the imported functions of the contract as plain Rust
//! functions over plain types. On Wasm they call the host; natively the test harness answers them.

#[cfg(not(target_family = "wasm"))]
pub(crate) mod native;
#[cfg(target_family = "wasm")]
pub mod wasm;

#[cfg(not(target_family = "wasm"))]
pub(crate) use native as host;
#[cfg(target_family = "wasm")]
pub(crate) use wasm as host;

/// One field of every row of the batch, as the contract's `column`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Column {
    /// One byte a row: 0 missing, 1 null, 2 present, 3 present with another type.
    pub(crate) validity: Vec<u8>,
    /// Variable width: the end of each row's value in `data`. Fixed width: empty.
    pub(crate) offsets: Vec<u32>,
    pub(crate) data: Vec<u8>,
}

impl Column {
    /// The bytes of a row's value in a column of variable width; empty where there is none.
    pub(crate) fn bytes(&self, row: usize) -> &[u8] {
        let start = match row.checked_sub(1) {
            None => 0,
            Some(before) => self.offset(before),
        };
        self.data.get(start..self.offset(row)).unwrap_or_default()
    }

    /// The slot of a row in a column of fixed width.
    pub(crate) fn slot<const WIDTH: usize>(&self, row: usize) -> Option<[u8; WIDTH]> {
        let start = row.checked_mul(WIDTH)?;
        self.data.get(start..)?.first_chunk().copied()
    }

    fn offset(&self, row: usize) -> usize {
        self.offsets.get(row).map_or(0, |end| *end as usize)
    }
}

/// How the cells of a field are laid out, as the contract's `cell-type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellType {
    Text,
    Integer,
    Number,
    Boolean,
    Json,
}

/// What a rule asks for, as the contract's `manifest` (without name and role).
#[derive(Clone, Debug, Default)]
pub(crate) struct Declared {
    pub(crate) reads: Vec<(String, CellType)>,
    pub(crate) writes: Vec<String>,
    pub(crate) tables: Vec<(String, Vec<(String, CellType)>)>,
    pub(crate) patterns: Vec<String>,
    pub(crate) schemas: Vec<String>,
    pub(crate) codes: Vec<String>,
    pub(crate) metrics: Vec<String>,
}
