//! One Parquet file of the storage: its names, columns and rows.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Int64Type, TimestampMillisecondType};
use arrow_array::{Array as _, BinaryArray, ListArray, RecordBatch, StringArray};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader,
    ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::file::metadata::PageIndexPolicy;
use tidegate_types::{EventId, Lsn, UnixMillis};
use tidegate_wal::Stored;

use super::{ReadError, StoredEvent};
use crate::manifest::FileEntry;
use crate::place::{Chunks, Place};
use crate::publish::partition;
use crate::rows::{findings, patches};

/// Rows that are decoded at once: few, since each may be large.
const ROWS: usize = 64;
/// The same of columns whose values are small.
const SMALL_ROWS: usize = 4096;

/// All that an event consists of.
const EVENT: [&str; 8] =
    ["event_id", "event_time", "revision", "lsn", "original", "patches", "context", "findings"];

/// A file whose footer has been read.
pub(crate) struct StoredFile {
    place: Arc<dyn Place>,
    path: String,
    /// By the manifest.
    bytes: u64,
    metadata: ArrowReaderMetadata,
    status: Stored,
    tenant: String,
    event_type: String,
}

impl StoredFile {
    /// Reads the footer; `None` where the file is gone.
    pub(crate) fn open(
        place: &Arc<dyn Place>,
        entry: &FileEntry,
    ) -> Result<Option<Self>, ReadError> {
        let (path, bytes) = (entry.path.clone(), entry.bytes);
        let Some(file) = content(&**place, &path, bytes)? else { return Ok(None) };
        let wrong = |found: String| ReadError::File { path: place.name(&path), found };
        let options = ArrowReaderOptions::new().with_offset_index_policy(PageIndexPolicy::Optional);
        let metadata =
            ArrowReaderMetadata::load(&file, options).map_err(|error| wrong(error.to_string()))?;
        let named = |key: &str| {
            let pairs = metadata.metadata().file_metadata().key_value_metadata()?;
            pairs.iter().find(|pair| pair.key == key)?.value.clone()
        };
        let parts = partition::parts(&path);
        let (Some(parts), Some(tenant), Some(event_type)) =
            (parts, named("tidegate.tenant"), named("tidegate.type"))
        else {
            return Err(wrong("it does not tell its names".to_owned()));
        };
        let (place, status) = (Arc::clone(place), parts.set.status());
        Ok(Some(Self { place, path, bytes, metadata, status, tenant, event_type }))
    }

    pub(crate) fn event_type(&self) -> &str {
        &self.event_type
    }

    fn rows(&self) -> usize {
        usize::try_from(self.metadata.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    /// All rows of a few small columns.
    pub(crate) fn columns(&self, names: &[&str]) -> Result<Batches<'_>, ReadError> {
        Ok(Batches { file: self, reader: self.read(names, SMALL_ROWS, None)? })
    }

    /// The events in ascending rows.
    pub(crate) fn events(&self, rows: impl Iterator<Item = usize>) -> Result<Events, ReadError> {
        let ranges: Vec<Range<usize>> = rows.fold(Vec::new(), |mut ranges, row| {
            match ranges.last_mut() {
                Some(last) if last.end == row => last.end += 1,
                _ => ranges.push(row..row + 1),
            }
            ranges
        });
        let selection = RowSelection::from_consecutive_ranges(ranges.into_iter(), self.rows());
        let reader = self.read(&EVENT, ROWS, Some(selection))?;
        Ok(Events { reader, batch: None })
    }

    fn read(
        &self,
        names: &[&str],
        rows: usize,
        selection: Option<RowSelection>,
    ) -> Result<ParquetRecordBatchReader, ReadError> {
        // Not kept open in between: an entry may have many files.
        let file = content(&*self.place, &self.path, self.bytes)?;
        let file = file.ok_or_else(|| self.wrong("it is gone"))?;
        let builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone());
        let mask = ProjectionMask::columns(builder.parquet_schema(), names.iter().copied());
        let builder = builder.with_projection(mask).with_batch_size(rows);
        let builder = match selection {
            Some(selection) => builder.with_row_selection(selection),
            None => builder,
        };
        builder.build().map_err(|error| self.wrong(error))
    }

    pub(crate) fn wrong(&self, found: impl ToString) -> ReadError {
        ReadError::File { path: self.place.name(&self.path), found: found.to_string() }
    }

    /// The next event of those that were asked for.
    pub(crate) fn next(&self, events: &mut Events) -> Result<StoredEvent, ReadError> {
        let (batch, row) = match events.batch.take() {
            Some((batch, row)) if row < batch.num_rows() => (batch, row),
            _ => {
                let batch = events.reader.next().ok_or_else(|| self.wrong("rows are missing"))?;
                (batch.map_err(|error| self.wrong(error))?, 0)
            }
        };
        let event = self.event(&batch, row);
        events.batch = Some((batch, row + 1));
        event.ok_or_else(|| self.wrong("a row cannot be read"))
    }

    fn event(&self, batch: &RecordBatch, row: usize) -> Option<StoredEvent> {
        if row >= batch.num_rows() {
            return None;
        }
        let text = |name| -> Option<&StringArray> { batch.column_by_name(name)?.as_string_opt() };
        let optional = |name| {
            let column = text(name)?;
            Some(column.is_valid(row).then(|| column.value(row)))
        };
        let original: &BinaryArray = batch.column_by_name("original")?.as_binary_opt()?;
        let event_time = batch.column_by_name("event_time")?;
        let event_time = event_time.as_primitive_opt::<TimestampMillisecondType>()?;
        let findings = batch.column_by_name("findings")?.as_list_opt::<i32>()?.value(row);
        let patches = match optional("patches")? {
            Some(json) => patches::from_json(json)?,
            None => Vec::new(),
        };
        Some(StoredEvent {
            event_id: text("event_id")?.value(row).parse().ok()?,
            lsn: lsn_at(batch, row)?,
            tenant: self.tenant.clone(),
            event_type: self.event_type.clone(),
            status: self.status,
            revision: text("revision")?.value(row).parse().ok()?,
            event_time: event_time.is_valid(row).then(|| millis(event_time.value(row))),
            original: original.value(row).to_vec(),
            patches,
            findings: findings::to_json(findings.as_struct_opt()?)?,
            context: optional("context")?.unwrap_or_default().as_bytes().to_vec(),
        })
    }
}

fn content(place: &dyn Place, path: &str, bytes: u64) -> Result<Option<Chunks>, ReadError> {
    match place.open(path, bytes) {
        Ok(content) => Ok(content.map(Chunks)),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(ReadError::File { path: place.name(path), found: error.to_string() })
        }
        Err(source) => Err(ReadError::Io { path: place.name(path), source }),
    }
}

/// The events of some rows, one after the other.
pub(crate) struct Events {
    reader: ParquetRecordBatchReader,
    batch: Option<(RecordBatch, usize)>,
}

/// Some rows of small columns.
pub(crate) struct Batches<'a> {
    file: &'a StoredFile,
    reader: ParquetRecordBatchReader,
}

impl Batches<'_> {
    pub(crate) fn next(&mut self) -> Result<Option<Small>, ReadError> {
        match self.reader.next() {
            None => Ok(None),
            Some(batch) => Ok(Some(Small(batch.map_err(|error| self.file.wrong(error))?))),
        }
    }
}

/// Values of small columns. Each answers `None` where the column was not asked for, or is another.
pub(crate) struct Small(RecordBatch);

impl Small {
    pub(crate) fn rows(&self) -> usize {
        self.0.num_rows()
    }

    pub(crate) fn lsn(&self, row: usize) -> Option<Lsn> {
        lsn_at(&self.0, row)
    }

    pub(crate) fn time(&self, name: &str, row: usize) -> Option<UnixMillis> {
        let column = self.0.column_by_name(name)?;
        let column = column.as_primitive_opt::<TimestampMillisecondType>()?;
        (row < column.len()).then(|| millis(column.value(row)))
    }

    pub(crate) fn text(&self, name: &str, row: usize) -> Option<&str> {
        let column: &StringArray = self.0.column_by_name(name)?.as_string_opt()?;
        (row < column.len()).then(|| column.value(row))
    }

    pub(crate) fn event_id(&self, row: usize) -> Option<EventId> {
        self.text("event_id", row)?.parse().ok()
    }

    /// Tells rule and code of each finding of a row.
    pub(crate) fn findings(&self, row: usize, mut each: impl FnMut(&str, &str)) -> Option<()> {
        let lists: &ListArray = self.0.column_by_name("findings")?.as_list_opt()?;
        let (from, to) = (lists.value_offsets().get(row)?, lists.value_offsets().get(row + 1)?);
        let structs = lists.values().as_struct_opt()?;
        let rule: &StringArray = structs.column_by_name("rule")?.as_string_opt()?;
        let code: &StringArray = structs.column_by_name("code")?.as_string_opt()?;
        for at in usize::try_from(*from).ok()?..usize::try_from(*to).ok()? {
            each(rule.value(at), code.value(at));
        }
        Some(())
    }
}

fn lsn_at(batch: &RecordBatch, row: usize) -> Option<Lsn> {
    let column = batch.column_by_name("lsn")?.as_primitive_opt::<Int64Type>()?;
    (row < column.len()).then(|| u64::try_from(column.value(row)).ok().map(Lsn))?
}

fn millis(value: i64) -> UnixMillis {
    UnixMillis(u64::try_from(value).unwrap_or(0))
}
