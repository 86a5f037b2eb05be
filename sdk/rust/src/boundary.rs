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

/// One field, or several one after the other, of every row of the batch: the contract's `column`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Column {
    /// One byte a row: 0 missing, 1 null, 2 present, 3 present with another type.
    pub(crate) validity: Vec<u8>,
    /// Variable width: the end of each row's value in `data`. Fixed width: empty.
    pub(crate) offsets: Vec<u32>,
    pub(crate) data: Vec<u8>,
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

impl CellType {
    /// Bytes of a slot; `None` for variable width.
    pub(crate) fn width(self) -> Option<usize> {
        match self {
            Self::Text | Self::Json => None,
            Self::Integer | Self::Number => Some(8),
            Self::Boolean => Some(1),
        }
    }
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
