//! The write-ahead log, and the files that are made from it.

use crate::metric::metrics;

metrics! {
    /// Records that are durable.
    RECORDS: counter "tidegate_wal_records_total" [];
    /// Bytes that were written, headers of frames included.
    BYTES: counter "tidegate_wal_written_bytes_total" [];
    /// Groups that were written and synced together.
    GROUPS: counter "tidegate_wal_groups_total" [];
    /// Seals that were written after groups.
    SEALS: counter "tidegate_wal_seals_total" [];
    /// How long syncs of the disk took.
    SYNC_DURATION: histogram "tidegate_wal_sync_duration_seconds" [];
    /// Bytes of groups as they were written.
    GROUP_BYTES: histogram "tidegate_wal_group_size_bytes" [];
    /// Batches that were not written, by the reason.
    REFUSED: counter "tidegate_wal_refused_batches_total" [reason];
    /// Bytes that wait to be written.
    QUEUED_BYTES: gauge "tidegate_wal_queued_bytes" [];
    /// Segments that have records.
    SEGMENTS: gauge "tidegate_wal_segments" [];
    /// Bytes of all segments, the prepared one included.
    SEGMENT_BYTES: gauge "tidegate_wal_segment_bytes" [];
    /// Bytes that segments may have together; beyond, events are answered 503.
    LIMIT_BYTES: gauge "tidegate_wal_limit_bytes" [];
    /// Files with the keys of deleted segments.
    SIDECARS: gauge "tidegate_wal_sidecars" [];
    /// Torn tails that lie beside the segments.
    TORN_FILES: gauge "tidegate_wal_torn_files" [];
    /// The position after the last durable record.
    DURABLE_END: gauge "tidegate_wal_durable_end" [];
    /// The position after the last published record.
    PUBLISHED_END: gauge "tidegate_storage_published_end" [];
    /// Records that are durable and not published yet.
    STORAGE_LAG: gauge "tidegate_storage_lag_records" [];
    /// Files that were published.
    FILES: counter "tidegate_storage_files_total" [];
    /// Rows of files that were published.
    ROWS: counter "tidegate_storage_rows_total" [];
    /// 1 while files cannot be published.
    STORAGE_FAILING: gauge "tidegate_storage_failing" [];
}
