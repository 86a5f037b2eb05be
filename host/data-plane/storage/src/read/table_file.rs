//! A reference table from a Parquet file, as cells of text. Here because this is the crate with the
//! Parquet reader; what a table may be is for others to say.
//!
//! A text is its text; whole numbers, decimals, `true` and `false` are written as in JSON; floating
//! point numbers as the shortest decimal that reads back as the same (`1.5`, `2.0`, `1e300`); dates as
//! `2013-01-31`, timestamps as `2013-01-31T05:00:00`, with `Z` where the file says that they are in UTC.
//! Null is no value, an empty text. Other types are refused.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use bytes::Bytes;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};

/// Rows that are decoded at once.
const BATCH_ROWS: usize = 4096;

/// What is read of a file.
#[derive(Clone, Debug)]
pub struct TableLimits {
    pub rows: u64,
    pub columns: usize,
    pub cells: usize,
    /// Of all cells as text; also what the file says that its columns have, unpacked.
    pub bytes: u64,
}

/// The cells of a table, row after row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableFile {
    pub columns: Vec<String>,
    pub text: String,
    /// For each cell its end in `text`.
    pub ends: Vec<u32>,
}

/// Why a file cannot be read as a table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableFileError {
    #[error("this is no Parquet file that can be read: {0}")]
    Unreadable(String),
    #[error(
        "the column `{column}` has the type {found}; a cell is a text, a number, a boolean, a date or a timestamp"
    )]
    Type { column: String, found: String },
    #[error("row {row} of column `{column}` is no finite number")]
    NotFinite { row: u64, column: String },
    #[error("the file has {found} {what}; at most {limit} are taken")]
    TooMany { what: &'static str, found: u64, limit: u64 },
}

/// Reads a file. Blocks for as long as unpacking takes.
///
/// # Errors
/// Where it is no Parquet file, has a column of a type that no cell can have, or is out of bounds.
pub fn read_table(file: Bytes, limits: &TableLimits) -> Result<TableFile, TableFileError> {
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let metadata = ArrowReaderMetadata::load(&file, options.clone()).map_err(unreadable)?;
    check(&metadata, limits)?;
    let options = options.with_schema(Arc::new(read_as(metadata.schema())?));
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options);
    let builder = builder.map_err(unreadable)?.with_batch_size(BATCH_ROWS);
    let mut table = TableFile::default();
    table.columns.extend(builder.schema().fields().iter().map(|field| field.name().clone()));
    let mut row = 0;
    for batch in builder.build().map_err(unreadable)? {
        table.append(&batch.map_err(unreadable)?, &mut row, limits)?;
    }
    Ok(table)
}

fn unreadable(error: impl std::fmt::Display) -> TableFileError {
    TableFileError::Unreadable(error.to_string())
}

/// What the file says of itself is within the limits.
fn check(metadata: &ArrowReaderMetadata, limits: &TableLimits) -> Result<(), TableFileError> {
    let at_most = |what, found: u64, limit: u64| {
        if found > limit { Err(TableFileError::TooMany { what, found, limit }) } else { Ok(()) }
    };
    let columns = metadata.schema().fields().len() as u64;
    at_most("columns", columns, limits.columns as u64)?;
    let file = metadata.metadata();
    let rows = u64::try_from(file.file_metadata().num_rows()).unwrap_or(u64::MAX);
    at_most("rows", rows, limits.rows)?;
    at_most("cells", rows.saturating_mul(columns), limits.cells as u64)?;
    let bytes = |size: i64| u64::try_from(size).unwrap_or(u64::MAX);
    let unpacked = file
        .row_groups()
        .iter()
        .fold(0, |sum: u64, group| sum.saturating_add(bytes(group.total_byte_size())));
    at_most("bytes when it is unpacked", unpacked, limits.bytes)
}

/// Texts are read as views of the pages: one that a file holds once and says a million times stays one.
fn read_as(schema: &Schema) -> Result<Schema, TableFileError> {
    let field = |field: &Arc<Field>| match field.data_type() {
        DataType::Utf8 | DataType::LargeUtf8 => {
            Ok(Field::new(field.name(), DataType::Utf8View, field.is_nullable()))
        }
        known if is_cell(known) => Ok(field.as_ref().clone()),
        found => {
            let (column, found) = (field.name().clone(), found.to_string());
            Err(TableFileError::Type { column, found })
        }
    };
    let fields: Vec<Field> = schema.fields().iter().map(field).collect::<Result<_, _>>()?;
    Ok(Schema::new(fields))
}

fn is_cell(found: &DataType) -> bool {
    matches!(
        found,
        DataType::Boolean
            | DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::UInt8
            | DataType::UInt16
            | DataType::UInt32
            | DataType::UInt64
            | DataType::Float32
            | DataType::Float64
            | DataType::Date32
            | DataType::Decimal128(..)
            | DataType::Timestamp(
                TimeUnit::Millisecond | TimeUnit::Microsecond | TimeUnit::Nanosecond,
                _
            )
    )
}

impl TableFile {
    fn append(
        &mut self,
        batch: &RecordBatch,
        row: &mut u64,
        limits: &TableLimits,
    ) -> Result<(), TableFileError> {
        for at in 0..batch.num_rows() {
            *row += 1;
            for (column, name) in batch.columns().iter().zip(batch.schema_ref().fields()) {
                if !column.is_null(at) && !cell(&mut self.text, column.as_ref(), at) {
                    let (row, column) = (*row, name.name().clone());
                    return Err(TableFileError::NotFinite { row, column });
                }
                let limit = limits.bytes.min(u32::MAX.into());
                let found = self.text.len() as u64;
                if found > limit {
                    return Err(TableFileError::TooMany { what: "bytes of text", found, limit });
                }
                // Below 4 GiB.
                self.ends.push(found as u32);
            }
        }
        Ok(())
    }
}

/// Adds the text of one cell. False where it is no finite number; nothing is added then.
fn cell(out: &mut String, column: &dyn Array, at: usize) -> bool {
    macro_rules! number {
        ($kind:ty) => {
            write!(out, "{}", column.as_primitive::<$kind>().value(at))
        };
    }
    macro_rules! floating {
        ($kind:ty) => {{
            let value = column.as_primitive::<$kind>().value(at);
            if !value.is_finite() {
                return false;
            }
            write!(out, "{value:?}")
        }};
    }
    macro_rules! timestamp {
        ($kind:ty, $zone:expr) => {{
            let value = column.as_primitive::<$kind>().value_as_datetime(at);
            let text = value.map(|value| value.to_string()).unwrap_or_default();
            write!(out, "{}{}", text.replace(' ', "T"), if $zone.is_some() { "Z" } else { "" })
        }};
    }
    let written = match column.data_type() {
        DataType::Boolean => write!(out, "{}", column.as_boolean().value(at)),
        DataType::Int8 => number!(Int8Type),
        DataType::Int16 => number!(Int16Type),
        DataType::Int32 => number!(Int32Type),
        DataType::Int64 => number!(Int64Type),
        DataType::UInt8 => number!(UInt8Type),
        DataType::UInt16 => number!(UInt16Type),
        DataType::UInt32 => number!(UInt32Type),
        DataType::UInt64 => number!(UInt64Type),
        DataType::Float32 => floating!(Float32Type),
        DataType::Float64 => floating!(Float64Type),
        DataType::Decimal128(..) => {
            write!(out, "{}", column.as_primitive::<Decimal128Type>().value_as_string(at))
        }
        DataType::Date32 => {
            let value = column.as_primitive::<Date32Type>().value_as_date(at);
            write!(out, "{}", value.map(|value| value.to_string()).unwrap_or_default())
        }
        DataType::Timestamp(TimeUnit::Millisecond, zone) => {
            timestamp!(TimestampMillisecondType, zone)
        }
        DataType::Timestamp(TimeUnit::Microsecond, zone) => {
            timestamp!(TimestampMicrosecondType, zone)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
            timestamp!(TimestampNanosecondType, zone)
        }
        // Nothing else is read: see `read_as`.
        _ => write!(out, "{}", column.as_string_view().value(at)),
    };
    written.is_ok()
}

#[cfg(test)]
mod tests;
