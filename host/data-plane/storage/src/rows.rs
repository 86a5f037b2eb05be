//! Rows of one partition on their way from the log into a Parquet file.
//!
//! | column | type | what |
//! |---|---|---|
//! | `event` | struct | the layout's typed fields, from the delivered form; null where absent or where the value does not fit |
//! | `event_id` | text | UUIDv7 |
//! | `received_at` | timestamp, ms, UTC | the id's millisecond |
//! | `event_time` | timestamp, ms, UTC; nullable | the event's own time |
//! | `revision` | text | `sha256:…` of the revision that judged the event |
//! | `lsn` | 64-bit integer | position in the log |
//! | `node` | text, nullable | member `node` of the context |
//! | `delivered` | text, nullable | the event as JSON, patches applied; null where that is impossible |
//! | `original` | binary | the event as the producer sent it |
//! | `patches` | text, nullable | JSON list of `op` (`set`, `remove`), `pointer`, `value`; null where no rule changed anything |
//! | `context` | text, nullable | JSON |
//! | `findings` | list of struct | `rule`, `code`, `severity`, `pointer` (nullable), `detail` |
//!
//! A layout without fields has no column `event`: Parquet knows no empty struct.

mod dispositions;
pub(crate) mod findings;
pub mod layout;
mod parquet_file;
pub(crate) mod patches;
mod typed;

use std::borrow::Cow;
use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, Int64Builder, StringBuilder, TimestampMillisecondBuilder,
};
use parquet::errors::ParquetError;
use serde::Deserialize;
use tidegate_event::patch::{self, PatchError};
use tidegate_types::{Digest, Lsn, UnixMillis};
use tidegate_wal::Record;

use crate::layout::Layout;
use crate::publish::partition::Partition;
pub(crate) use dispositions::DispositionRows;
use findings::FindingsColumn;
use parquet_file::Encoded;
use typed::TypedColumns;

/// Bytes of memory that a row takes besides its variable parts: ids, times, offsets, revision.
const ROW_BYTES: usize = 200;
/// Bytes of memory that a typed field takes in each row.
const FIELD_BYTES: usize = 9;

/// Rows that are encoded at once. So the columns that grow stay in the processor's cache, and what
/// waits to be published takes the memory of its encoded form.
const CHUNK_ROWS: usize = 1024;

/// Rows of any data set.
pub(crate) enum Part {
    Events(Box<Rows>),
    Dispositions(Box<DispositionRows>),
}

impl Part {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Events(rows) => rows.len(),
            Self::Dispositions(rows) => rows.len(),
        }
    }

    /// When the first and the last event were received.
    pub(crate) fn received(&self) -> [UnixMillis; 2] {
        match self {
            Self::Events(rows) => rows.received(),
            Self::Dispositions(rows) => rows.received(),
        }
    }

    /// The bytes of a Parquet file with all rows.
    pub(crate) fn into_parquet(self, partition: &Partition) -> Result<Vec<u8>, ParquetError> {
        match self {
            Self::Events(rows) => rows.into_parquet(partition),
            Self::Dispositions(rows) => rows.into_parquet(partition),
        }
    }
}

/// Rows that share a layout and a partition.
pub(crate) struct Rows {
    columns: Columns,
    encoded: Encoded,
    /// The last revision and its text.
    last_revision: (Digest, String),
    /// When the first and the last event were received.
    received: [UnixMillis; 2],
    count: usize,
}

impl Rows {
    pub(crate) fn new(layout: Arc<Layout>) -> Self {
        let zero = Digest([0; 32]);
        Self {
            columns: Columns::new(layout, Room::default()),
            encoded: Encoded::default(),
            last_revision: (zero, zero.to_string()),
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

    /// Adds a row; answers about how many bytes of memory it would take if it were not encoded.
    /// Parts that cannot be read are null in the row, and logged: they are the gateway's own
    /// writing, and the rest of the event must not be lost for them.
    pub(crate) fn push(&mut self, lsn: Lsn, record: &Record<'_>) -> usize {
        if self.last_revision.0 != record.revision {
            self.last_revision = (record.revision, record.revision.to_string());
        }
        let bytes = self.columns.push(lsn, record, &self.last_revision.1);
        self.count += 1;
        let ([first, last], at) = (self.received, record.event_id.received_at());
        self.received = [first.min(at), last.max(at)];
        if self.columns.count >= CHUNK_ROWS {
            let next = Columns::new(self.columns.typed.layout(), self.columns.room());
            self.encoded.write(std::mem::replace(&mut self.columns, next));
        }
        bytes
    }
}

/// The columns of the rows that are not yet encoded.
struct Columns {
    typed: TypedColumns,
    event_id: StringBuilder,
    received_at: TimestampMillisecondBuilder,
    event_time: TimestampMillisecondBuilder,
    revision: StringBuilder,
    lsn: Int64Builder,
    node: StringBuilder,
    delivered: StringBuilder,
    original: BinaryBuilder,
    patches: StringBuilder,
    context: StringBuilder,
    findings: FindingsColumn,
    count: usize,
}

/// How much a chunk took, and the next one will take too.
#[derive(Clone, Copy, Default)]
struct Room {
    rows: usize,
    delivered: usize,
    original: usize,
    patches: usize,
}

impl Columns {
    fn new(layout: Arc<Layout>, room: Room) -> Self {
        let rows = room.rows;
        let text = |bytes| StringBuilder::with_capacity(rows, bytes);
        Self {
            typed: TypedColumns::new(layout),
            event_id: text(rows * 36),
            received_at: TimestampMillisecondBuilder::with_capacity(rows).with_timezone("UTC"),
            event_time: TimestampMillisecondBuilder::with_capacity(rows).with_timezone("UTC"),
            revision: text(rows * 71),
            lsn: Int64Builder::with_capacity(rows),
            node: text(0),
            delivered: text(room.delivered),
            original: BinaryBuilder::with_capacity(rows, room.original),
            patches: text(room.patches),
            context: text(0),
            findings: FindingsColumn::default(),
            count: 0,
        }
    }

    fn room(&self) -> Room {
        Room {
            rows: self.count,
            delivered: self.delivered.values_slice().len(),
            original: self.original.values_slice().len(),
            patches: self.patches.values_slice().len(),
        }
    }

    fn push(&mut self, lsn: Lsn, record: &Record<'_>, revision: &str) -> usize {
        let (delivered, patches) = delivered(lsn, record);
        let delivered = delivered.as_deref().and_then(|bytes| std::str::from_utf8(bytes).ok());
        self.typed.push(delivered);
        self.delivered.append_option(delivered);
        self.event_id
            .append_value(std::str::from_utf8(&record.event_id.text()).unwrap_or_default());
        self.received_at.append_value(signed(record.event_id.received_at().0));
        self.event_time.append_option(record.event_time.map(|at| signed(at.0)));
        self.revision.append_value(revision);
        self.lsn.append_value(signed(lsn.0));
        self.node.append_option(node(record.context));
        self.original.append_value(record.original);
        self.patches.append_option(json_text(&patches));
        self.context.append_option(json_text(record.context));
        if !self.findings.push(record.findings) {
            tracing::error!(%lsn, event_id = %record.event_id, "stored findings cannot be read");
        }
        self.count += 1;
        let parts = [record.original, record.patches, record.context, record.findings];
        let stored: usize = parts.iter().map(|part| part.len()).sum();
        // The typed columns hold at most the delivered form once more.
        let derived =
            delivered.map_or(0, |text| text.len() * if self.typed.is_empty() { 1 } else { 2 });
        stored + derived + ROW_BYTES + self.typed.len() * FIELD_BYTES
    }
}

/// Times and positions are far below 2^63.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The delivered form, and the patches as JSON (empty where there are none).
fn delivered<'a>(lsn: Lsn, record: &Record<'a>) -> (Option<Cow<'a, [u8]>>, Vec<u8>) {
    if record.patches.is_empty() {
        return (Some(Cow::Borrowed(record.original)), Vec::new());
    }
    let log = |error: &PatchError| {
        let event_id = record.event_id;
        tracing::error!(%lsn, %event_id, %error, "stored patches cannot be applied");
    };
    let delivered = patch::apply(record.original, record.patches).inspect_err(log).ok();
    (delivered.map(Cow::Owned), patches::to_json(record.patches).unwrap_or_default())
}

fn json_text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| !text.is_empty())
}

fn node(context: &[u8]) -> Option<Cow<'_, str>> {
    #[derive(Deserialize)]
    struct Context<'a> {
        #[serde(borrow)]
        node: Cow<'a, str>,
    }
    if context.is_empty() {
        return None;
    }
    serde_json::from_slice::<Context<'_>>(context).ok().map(|context| context.node)
}

#[cfg(test)]
mod tests;
