//! What was decided about events in quarantine, on its way into a Parquet file.
//!
//! | column | type | what |
//! |---|---|---|
//! | `event_id` | text | of the event; it stands in the quarantine too, and once released in the accepted events |
//! | `received_at` | timestamp, ms, UTC | the id's millisecond |
//! | `lsn` | 64-bit integer | position of the decision in the log |
//! | `action` | text | `released`, `patched_and_released` or `discarded` |
//! | `settled_at` | timestamp, ms, UTC | when it was decided |
//! | `by` | text | who decided |
//! | `reason` | text | why |
//! | `revision` | text | `sha256:…` of the revision that judged the released event, or held the discarded one |

use std::sync::Arc;

use arrow_array::builder::{Int64Builder, StringBuilder, TimestampMillisecondBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::errors::ParquetError;
use tidegate_types::{Lsn, UnixMillis};
use tidegate_wal::Disposition;

use super::parquet_file::{names, properties};
use super::{ROW_BYTES, signed};
use crate::publish::partition::Partition;

/// Rows of one partition.
pub(crate) struct DispositionRows {
    event_id: StringBuilder,
    received_at: TimestampMillisecondBuilder,
    lsn: Int64Builder,
    action: StringBuilder,
    settled_at: TimestampMillisecondBuilder,
    by: StringBuilder,
    reason: StringBuilder,
    revision: StringBuilder,
    received: [UnixMillis; 2],
    count: usize,
}

impl DispositionRows {
    pub(crate) fn new() -> Self {
        let time = || TimestampMillisecondBuilder::new().with_timezone("UTC");
        Self {
            event_id: StringBuilder::new(),
            received_at: time(),
            lsn: Int64Builder::new(),
            action: StringBuilder::new(),
            settled_at: time(),
            by: StringBuilder::new(),
            reason: StringBuilder::new(),
            revision: StringBuilder::new(),
            received: [UnixMillis(u64::MAX), UnixMillis(0)],
            count: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// When the first and the last event were received.
    pub(crate) fn received(&self) -> [UnixMillis; 2] {
        self.received
    }

    /// Adds a row; answers about how many bytes of memory it takes.
    pub(crate) fn push(&mut self, lsn: Lsn, one: &Disposition<'_>) -> usize {
        let (event_id, at) = (one.record.event_id, one.record.event_id.received_at());
        self.event_id.append_value(event_id.to_string());
        self.received_at.append_value(signed(at.0));
        self.lsn.append_value(signed(lsn.0));
        self.action.append_value(one.action.as_str());
        self.settled_at.append_value(signed(one.at.0));
        self.by.append_value(one.by);
        self.reason.append_value(one.reason);
        self.revision.append_value(one.record.revision.to_string());
        let [first, last] = self.received;
        self.received = [first.min(at), last.max(at)];
        self.count += 1;
        ROW_BYTES + one.by.len() + one.reason.len()
    }

    /// The bytes of a Parquet file with all rows.
    pub(crate) fn into_parquet(mut self, partition: &Partition) -> Result<Vec<u8>, ParquetError> {
        let columns: [(&str, ArrayRef); 8] = [
            ("event_id", Arc::new(self.event_id.finish())),
            ("received_at", Arc::new(self.received_at.finish())),
            ("lsn", Arc::new(self.lsn.finish())),
            ("action", Arc::new(self.action.finish())),
            ("settled_at", Arc::new(self.settled_at.finish())),
            ("by", Arc::new(self.by.finish())),
            ("reason", Arc::new(self.reason.finish())),
            ("revision", Arc::new(self.revision.finish())),
        ];
        let field =
            |(name, array): &(&str, ArrayRef)| Field::new(*name, array.data_type().clone(), false);
        let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
        let arrays = columns.into_iter().map(|(_, array)| array).collect();
        let batch = RecordBatch::try_new(schema, arrays)?;
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties()?))?;
        writer.write(&batch)?;
        for name in names(partition) {
            writer.append_key_value_metadata(name);
        }
        writer.into_inner()
    }
}
