//! One field within the columns that the host gave.

use std::rc::Rc;

use crate::boundary::{CellType, Column};

/// One field of every row.
#[derive(Clone, Debug)]
pub struct View {
    columns: Rc<Column>,
    rows: usize,
    /// Where the field begins in each list.
    validity: usize,
    offsets: usize,
    data: usize,
}

impl View {
    /// A column of one field.
    pub(crate) fn of(column: Column) -> Self {
        let rows = column.validity.len();
        Self { columns: Rc::new(column), rows, validity: 0, offsets: 0, data: 0 }
    }

    /// The fields that stand one after the other in `columns`.
    pub(super) fn split(
        columns: Column,
        cells: impl ExactSizeIterator<Item = CellType>,
    ) -> Vec<Self> {
        let rows = columns.validity.len().checked_div(cells.len()).unwrap_or_default();
        let mut next = Self { rows, ..Self::of(columns) };
        let mut views = Vec::with_capacity(cells.len());
        for cell in cells {
            let view = next.clone();
            next.validity += rows;
            match cell.width() {
                Some(width) => next.data += rows * width,
                None => {
                    next.data = view.end(rows.wrapping_sub(1));
                    next.offsets += rows;
                }
            }
            views.push(view);
        }
        views
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The validity of a row.
    pub(super) fn validity(&self, row: usize) -> Option<u8> {
        self.validities().get(row).copied()
    }

    /// The validities of all rows.
    pub(crate) fn validities(&self) -> &[u8] {
        self.columns.validity.get(self.validity..self.validity + self.rows).unwrap_or_default()
    }

    /// Does every row of a column of variable width have at least one byte?
    pub(super) fn all_filled(&self) -> bool {
        let ends = self.columns.offsets.get(self.offsets..self.offsets + self.rows);
        ends.is_some_and(|ends| {
            let first = u32::try_from(self.data).unwrap_or(u32::MAX);
            let starts = std::iter::once(&first).chain(ends);
            starts.zip(ends).all(|(start, end)| start < end)
        })
    }

    /// The bytes of a row's value in a column of variable width; empty where there is none.
    pub(crate) fn bytes(&self, row: usize) -> &[u8] {
        let start = row.checked_sub(1).map_or(self.data, |before| self.end(before));
        self.columns.data.get(start..self.end(row)).unwrap_or_default()
    }

    /// The slot of a row in a column of fixed width.
    pub(crate) fn slot<const WIDTH: usize>(&self, row: usize) -> Option<[u8; WIDTH]> {
        let start = row.checked_mul(WIDTH)?.checked_add(self.data)?;
        self.columns.data.get(start..)?.first_chunk().copied()
    }

    /// Where the value of a row ends; where the field begins for a row that is not there.
    fn end(&self, row: usize) -> usize {
        let end = row.checked_add(self.offsets).filter(|_| row < self.rows);
        let end = end.and_then(|at| self.columns.offsets.get(at));
        end.map_or(self.data, |end| *end as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_stand_one_after_the_other() {
        use CellType::{Boolean, Integer, Json, Text};
        let columns = Column {
            validity: vec![2, 0, 2, 2, 2, 1, 2, 2],
            offsets: vec![2, 2, 21, 25],
            data: [b"ab".as_slice(), &7i64.to_le_bytes(), &8i64.to_le_bytes(), &[1, 0], b"nullx"]
                .concat(),
        };
        let cells = [Text, Integer, Boolean, Json];
        let views = View::split(columns, cells.into_iter());
        let [text, integer, boolean, json] = views.as_slice() else { panic!("four fields") };
        assert_eq!((text.bytes(0), text.bytes(1), text.bytes(2)), (&b"ab"[..], &b""[..], &b""[..]));
        assert_eq!(
            (text.validity(0), text.validity(1), text.validity(2)),
            (Some(2), Some(0), None)
        );
        assert!(!text.all_filled() && json.all_filled());
        assert_eq!([0, 1].map(|row| integer.slot(row)), [7i64, 8].map(|n| Some(n.to_le_bytes())));
        assert_eq!([0, 1].map(|row| boolean.slot::<1>(row)), [Some([1]), Some([0])]);
        assert_eq!((boolean.validities(), json.rows()), (&[2, 1][..], 2));
        assert_eq!((json.bytes(0), json.bytes(1)), (&b"n"[..], &b"ullx"[..]));
    }

    #[test]
    fn no_fields_and_no_rows() {
        assert!(View::split(Column::default(), std::iter::empty()).is_empty());
        let views = View::split(Column::default(), [CellType::Text, CellType::Json].into_iter());
        assert!(views.iter().all(|view| view.rows() == 0 && view.bytes(0).is_empty()));
    }
}
