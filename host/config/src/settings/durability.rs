//! What the node keeps: keys, the log, the files.

use std::path::PathBuf;
use std::time::Duration;

use tidegate_types::SinkName;

use crate::rule::choice::OneOf;
use crate::rule::text::{SINK, Secret, SecretText};
use crate::rule::{UnderDataDir, count, size, time};
use crate::section::section;
use crate::settings::bucket::{ACCESS_KEY_ID, ENDPOINT, REGION, URL};
use crate::settings::redis::StateStore;

section! {
    /// Idempotency keys.
    Dedup in "dedup" {
        /// Where keys are kept: each node its own in its process, or all nodes one set in Redis
        /// (`[redis]`), so that any may answer for any other.
        store: StateStore = OneOf(StateStore::InProcess);
        /// How long an event's outcome is known under its key, from its receipt.
        window: Duration = time("60m", "1s", "168h");
        /// How long a request may hold a key before it hands the event to the log. In Redis a tenth of it is
        /// left for writing and syncing.
        lease: Duration = time("30s", "1s", "10m");
        /// Keys that are held at once in the process, about 150 bytes each; beyond, new keys are answered
        /// 503. In Redis `maxmemory` is the bound.
        max_keys: usize = count("10000000", "1000", "1000000000");
    }
}

section! {
    /// The write-ahead log.
    Wal in "wal" {
        /// Its folder.
        directory: PathBuf = UnderDataDir("wal");
        /// Bytes of one segment file.
        segment_bytes: u64 = size("64MiB", "64KiB", "1GiB");
        /// Bytes of all segment files together, at least three segments; beyond, events are
        /// answered 503.
        max_bytes: u64 = size("1GiB", "192KiB", "1024TiB");
        /// Free bytes of the file system below which events are answered 503.
        low_water_bytes: u64 = size("256MiB", "0", "1TiB");
        /// Bytes that are written and synced as one group, unless one request has more.
        group_bytes: u64 = size("8MiB", "4KiB", "512MiB");
        /// Bytes that may wait to be written; beyond, events are answered 503.
        queue_bytes: u64 = size("64MiB", "4KiB", "16GiB");
        /// After how much idleness the last group is sealed.
        seal_after: Duration = time("100ms", "1ms", "10s");
    }
}

section! {
    /// Stored events: Parquet files, in a folder or in a bucket of S3.
    Storage in "storage" {
        /// Their folder. With a URL, the folder of what the node itself needs to write there.
        directory: PathBuf = UnderDataDir("parquet");
        /// The bucket that they are in instead, and what their keys begin with; the node's name is
        /// added, so nodes can be given the same. The server must know conditional puts
        /// (`If-None-Match: *`), as AWS does.
        url: String = URL;
        /// The bucket's region.
        region: String = REGION;
        /// The server, where it is not that of AWS. Without TLS on the same machine alone.
        endpoint: String = ENDPOINT;
        /// Who asks. Empty, with the secret: as the environment (`AWS_ACCESS_KEY_ID`,
        /// `AWS_WEB_IDENTITY_TOKEN_FILE`, …) or the instance says.
        access_key_id: String = ACCESS_KEY_ID;
        /// The secret of the access key, or `file:` and the path of a file that holds it.
        secret_access_key: Secret = SecretText { nothing: "empty: as the environment or the instance says" };
        /// How long connecting to the server may take.
        connect_timeout: Duration = time("5s", "10ms", "1m");
        /// How long one request to it may take, with a whole file; it is tried three more times.
        request_timeout: Duration = time("60s", "100ms", "10m");
        /// The sink that is told of each published file, by its name in `[[sinks.…]]`: a CloudEvent of the type
        /// `tidegate.data.published`.
        notify: Option<SinkName> = SINK;
        /// How old an event may become before it is published.
        flush_after: Duration = time("5s", "10ms", "1h");
        /// Bytes of memory that unpublished events may take, about.
        flush_bytes: u64 = size("64MiB", "64KiB", "512MiB");
        /// Partitions that are open at once; one more publishes all.
        max_open_partitions: usize = count("256", "1", "4096");
    }
}
