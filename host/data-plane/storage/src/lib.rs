//! Storage: a background thread that reads the write-ahead log and publishes its records as
//! Parquet files, each exactly once.
//!
//! ```text
//! FOLDER/LOCK             held by the one process that writes here
//!        manifest.jsonl   the only truth about what is published (see `manifest`)
//!        accepted/tenant=…/type=…/event_date=YYYY-MM-DD/part-….parquet   (see `partition`, `rows`)
//!        quarantine/…     the same for events that a rule holds
//!        dispositions/…   what became of those (see `quarantine`)
//! ```
//!
//! With the feature `s3` the same may be in a bucket (see `place`, `place::s3`):
//!
//! ```text
//! s3://BUCKET/PREFIX/writer.json           who alone writes here
//!                    manifest/<sequence>.json   the only truth: one object for each published range
//!                    accepted/…  quarantine/…  dispositions/…   as above
//! FOLDER/LOCK             as above
//!        s3/<url's hash>/writer, manifest.jsonl   the writer's own: its name, what it announces
//! ```
//!
//! A publication covers one contiguous range of the log and is whole or absent (see `publish`). The
//! next one begins where the manifest ends, whatever crashed in between; records are dropped from
//! the log only after that. What was published is told to those who listen
//! ([`Storage::published`]). Ingestion never waits for this crate: where it cannot publish, records
//! stay in the log, up to the log's own limit.
//!
//! ```text
//! let (opened, next) = Storage::open(options, layouts)?;   // before the log: `next` is what it must have
//! let storage = opened.start(wal)?;
//! storage.flush(timeout)?;                                 // at shutdown
//! storage.close();
//! ```
//!
//! Beside that it reads the Parquet files that reference tables are uploaded as (see
//! `read::table_file`).

mod storage;

pub mod manifest;

mod worker;

mod place;
mod publish;
mod rows;

pub mod quarantine;
pub mod read;

pub use place::PlaceError;
pub use publish::notice::{Data, KEPT, Publication, Published, PublishedFile, Told};
pub use publish::partition::DateBounds;
pub use quarantine::Quarantine;
pub use read::table_file::{TableFile, TableFileError, TableLimits, read_table};
pub use read::{StoredEvent, StoredEvents};
pub use rows::layout::{self, Layout, Layouts};
pub use storage::bucket::BucketOptions;
pub use storage::options::{MAX_FLUSH_BYTES, MAX_OPEN_PARTITIONS, OpenError, StorageOptions};
pub use storage::{FlushError, Opened, Storage, StorageStats};
