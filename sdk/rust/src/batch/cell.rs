//! The kinds of cell a field can be read as, and what a cell of each holds.

use super::View;
use crate::boundary::CellType;

/// What a row holds at a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell<T> {
    /// The field, or one of its parents, is not there.
    Missing,
    /// JSON `null`.
    Null,
    /// There is a value, but of another type than the field is read as. An integer outside 64 bits
    /// is of another type than [`Integer`].
    OtherType,
    Present(T),
}

impl<T> Cell<T> {
    /// The value; `None` in the three other cases.
    pub fn present(self) -> Option<T> {
        match self {
            Self::Present(value) => Some(value),
            Self::Missing | Self::Null | Self::OtherType => None,
        }
    }

    /// Is the field missing or null?
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Missing | Self::Null)
    }

    /// Is there a value, of the right type?
    pub fn is_present(&self) -> bool {
        matches!(self, Self::Present(_))
    }

    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Cell<U> {
        match self {
            Self::Missing => Cell::Missing,
            Self::Null => Cell::Null,
            Self::OtherType => Cell::OtherType,
            Self::Present(value) => Cell::Present(change(value)),
        }
    }
}

mod sealed {
    pub trait Sealed {}
}

/// A kind of cell: [`Text`], [`Integer`], [`Number`], [`Boolean`], [`Json`] or [`Presence`].
pub trait Kind: sealed::Sealed {
    /// What a present cell holds.
    type Value<'a>;
    #[doc(hidden)]
    const CELL: CellType;
    /// The cell type that a field of this pointer is declared with.
    #[doc(hidden)]
    fn cell(_pointer: &str) -> CellType {
        Self::CELL
    }
    #[doc(hidden)]
    fn read(column: &View, row: usize) -> Cell<Self::Value<'_>>;
    /// What [`Kind::read`] answers, the value left out.
    #[doc(hidden)]
    fn state(column: &View, row: usize) -> Cell<()> {
        cell(column, row, |_| Some(()))
    }
}

/// A kind that a range can be checked over: [`Integer`] or [`Number`].
pub trait Numeric: Kind {}

/// The validity of a present value.
pub(super) const PRESENT: u8 = 2;

/// The cell of a row, its value read by `value`.
fn cell<'a, T>(column: &'a View, row: usize, value: impl FnOnce(&'a View) -> Option<T>) -> Cell<T> {
    match column.validity(row) {
        Some(PRESENT) => value(column).map_or(Cell::OtherType, Cell::Present),
        Some(1) => Cell::Null,
        Some(3) => Cell::OtherType,
        _ => Cell::Missing,
    }
}

macro_rules! kind {
    ($(#[$doc:meta])* $name:ident<$life:lifetime>, $value:ty, |$column:ident, $row:ident| $read:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub enum $name {}

        impl sealed::Sealed for $name {}

        impl Kind for $name {
            type Value<$life> = $value;
            const CELL: CellType = CellType::$name;

            fn read(column: &View, $row: usize) -> Cell<Self::Value<'_>> {
                cell(column, $row, |$column| $read)
            }
        }
    };
}

kind!(
    /// Text with JSON escapes resolved.
    Text<'a>, &'a str, |column, row| std::str::from_utf8(column.bytes(row)).ok()
);
kind!(
    /// A signed 64-bit integer; `1e3` and `2.0` are integers.
    Integer<'a>, i64, |column, row| column.slot(row).map(i64::from_le_bytes)
);
kind!(
    /// A double.
    Number<'a>, f64, |column, row| column.slot(row).map(f64::from_le_bytes)
);
kind!(
    /// `true` or `false`.
    Boolean<'a>, bool, |column, row| column.slot(row).map(|[byte]| byte != 0)
);

impl Numeric for Integer {}
impl Numeric for Number {}

/// A value of any type as its JSON text, as the producer wrote it.
#[derive(Clone, Copy, Debug)]
pub enum Json {}

impl sealed::Sealed for Json {}

impl Kind for Json {
    type Value<'a> = &'a str;
    const CELL: CellType = CellType::Json;

    fn read(column: &View, row: usize) -> Cell<&str> {
        match cell(column, row, |column| std::str::from_utf8(column.bytes(row)).ok()) {
            Cell::Present("null") => Cell::Null,
            cell => cell,
        }
    }

    fn state(column: &View, row: usize) -> Cell<()> {
        Self::read(column, row).map(|_| ())
    }
}

/// Whether a field is there, whatever its type. Costs one byte a row, and the rule sees nothing of
/// the value, save whether it is `true`: in the manifest it is a boolean. Host columns have one
/// type, and are declared with it.
#[derive(Clone, Copy, Debug)]
pub enum Presence {}

impl sealed::Sealed for Presence {}

impl Kind for Presence {
    type Value<'a> = ();
    const CELL: CellType = CellType::Boolean;

    fn cell(pointer: &str) -> CellType {
        if pointer.starts_with("@occurrence") {
            CellType::Integer
        } else if pointer.starts_with('@') {
            CellType::Text
        } else {
            Self::CELL
        }
    }

    fn read(column: &View, row: usize) -> Cell<()> {
        match cell(column, row, |_| Some(())) {
            Cell::OtherType => Cell::Present(()),
            cell => cell,
        }
    }

    fn state(column: &View, row: usize) -> Cell<()> {
        Self::read(column, row)
    }
}
