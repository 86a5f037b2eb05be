//! Rows as the bytes of a Parquet file.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use super::{Columns, Rows};
use crate::publish::partition::Partition;

/// Columns whose values hardly repeat, or are long: a dictionary would be built in vain.
const NO_DICTIONARY: [&str; 6] =
    ["event_id", "received_at", "lsn", "delivered", "original", "patches"];
/// Columns where nobody asks for the least and greatest value.
const NO_STATISTICS: [&str; 4] = ["delivered", "original", "patches", "context"];

/// The chunks of a file so far, in one row group.
#[derive(Default)]
pub(super) struct Encoded {
    writer: Option<ArrowWriter<Vec<u8>>>,
    /// Why a chunk could not be encoded.
    failed: Option<ParquetError>,
}

impl Encoded {
    /// Adds a chunk. A failure is told when the file is finished.
    pub(super) fn write(&mut self, chunk: Columns) {
        if self.failed.is_none() {
            self.failed = self.try_write(chunk).err();
        }
    }

    fn try_write(&mut self, chunk: Columns) -> Result<(), ParquetError> {
        let batch = chunk.into_batch()?;
        match &mut self.writer {
            Some(writer) => writer.write(&batch),
            None => {
                let writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties()?))?;
                self.writer.insert(writer).write(&batch)
            }
        }
    }
}

impl Rows {
    /// The bytes of a Parquet file with all rows.
    pub(crate) fn into_parquet(mut self, partition: &Partition) -> Result<Vec<u8>, ParquetError> {
        if self.columns.count > 0 || self.encoded.writer.is_none() {
            self.encoded.write(self.columns);
        }
        let Encoded { writer, failed } = self.encoded;
        let mut writer = match (failed, writer) {
            (Some(error), _) => return Err(error),
            (None, None) => return Err(ParquetError::General("nothing was encoded".into())),
            (None, Some(writer)) => writer,
        };
        for name in names(partition) {
            writer.append_key_value_metadata(name);
        }
        writer.into_inner()
    }
}

impl Columns {
    fn into_batch(mut self) -> Result<RecordBatch, ParquetError> {
        let mut columns: Vec<(&str, bool, ArrayRef)> = Vec::with_capacity(12);
        if let Some(event) = self.typed.finish()? {
            columns.push(("event", false, Arc::new(event)));
        }
        columns.push(("event_id", false, Arc::new(self.event_id.finish())));
        columns.push(("received_at", false, Arc::new(self.received_at.finish())));
        columns.push(("event_time", true, Arc::new(self.event_time.finish())));
        columns.push(("revision", false, Arc::new(self.revision.finish())));
        columns.push(("lsn", false, Arc::new(self.lsn.finish())));
        columns.push(("node", true, Arc::new(self.node.finish())));
        columns.push(("delivered", true, Arc::new(self.delivered.finish())));
        columns.push(("original", false, Arc::new(self.original.finish())));
        columns.push(("patches", true, Arc::new(self.patches.finish())));
        columns.push(("context", true, Arc::new(self.context.finish())));
        columns.push(("findings", false, Arc::new(self.findings.finish()?)));
        let fields = columns.iter();
        let fields: Vec<Field> = fields
            .map(|(name, nullable, array)| Field::new(*name, array.data_type().clone(), *nullable))
            .collect();
        let arrays = columns.into_iter().map(|(_, _, array)| array).collect();
        Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
    }
}

/// The names in full go into the file's metadata: a path may have cut them.
pub(super) fn names(partition: &Partition) -> [KeyValue; 3] {
    let named = |key: &str, value: &str| KeyValue::new(format!("tidegate.{key}"), value.to_owned());
    [
        named("status", partition.set.folder()),
        named("tenant", &partition.tenant),
        named("type", &partition.event_type),
    ]
}

pub(super) fn properties() -> Result<WriterProperties, ParquetError> {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_max_row_group_row_count(None)
        .set_created_by(concat!("tidegate ", env!("CARGO_PKG_VERSION")).to_owned());
    for name in NO_DICTIONARY {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(name), false);
    }
    for name in NO_STATISTICS {
        let none = EnabledStatistics::None;
        properties = properties.set_column_statistics_enabled(ColumnPath::from(name), none);
    }
    for name in ["received_at", "lsn"] {
        let packed = Encoding::DELTA_BINARY_PACKED;
        properties = properties.set_column_encoding(ColumnPath::from(name), packed);
    }
    Ok(properties.build())
}
