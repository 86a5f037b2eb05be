//! What an operator may set, and why a storage folder cannot be opened.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tidegate_types::Lsn;

use super::bucket::BucketOptions;
use crate::manifest::ManifestError;
use crate::place::PlaceError;
use crate::publish::partition::DateBounds;
use crate::read::ReadError;

/// Most bytes that `flush_bytes` may be: text columns of one file hold less than 2 GiB.
pub const MAX_FLUSH_BYTES: u64 = 512 << 20;
/// Most partitions that `max_open_partitions` may be.
pub const MAX_OPEN_PARTITIONS: usize = 4096;

/// How stored events become files.
#[derive(Clone, Debug)]
pub struct StorageOptions {
    /// Where the files and the manifest are; made where it is missing. One process at a time.
    pub folder: PathBuf,
    /// With it the files are there, and the folder keeps what the writer itself needs.
    pub bucket: Option<BucketOptions>,
    /// About how much memory rows may take before they are published, up to
    /// [`MAX_FLUSH_BYTES`]. 64 MiB. Encoding them takes about as much again.
    pub flush_bytes: u64,
    /// How old the oldest unpublished row that has been read may become. 10 s.
    pub flush_after: Duration,
    /// Most partitions that are open at once, 1 to [`MAX_OPEN_PARTITIONS`]; one more publishes all
    /// that is open. 256.
    pub max_open_partitions: usize,
    /// Which event times decide the partition.
    pub dates: DateBounds,
    /// How often the log is looked at. 50 ms.
    pub poll: Duration,
    /// The pause after the first failure; it doubles with each further one up to `retry_at_most`.
    /// 100 ms.
    pub retry_after: Duration,
    /// The longest pause between tries. 30 s.
    pub retry_at_most: Duration,
    /// How long keys of published records must stay known to dedup. 60 minutes.
    pub dedup_window: Duration,
    /// Most events of the quarantine that may be settled, at about 40 bytes of memory each; see
    /// [`crate::quarantine`]. 1,000,000.
    pub max_settled: usize,
}

impl StorageOptions {
    /// The defaults that the fields' documentation gives.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            bucket: None,
            flush_bytes: 64 << 20,
            flush_after: Duration::from_secs(10),
            max_open_partitions: 256,
            dates: DateBounds::default(),
            poll: Duration::from_millis(50),
            retry_after: Duration::from_millis(100),
            retry_at_most: Duration::from_secs(30),
            dedup_window: Duration::from_secs(3600),
            max_settled: 1_000_000,
        }
    }

    pub(crate) fn check(&self) -> Result<(), OpenError> {
        let pause = Duration::from_millis(1)..=Duration::from_secs(3600);
        let refuse = |what, must_be| Err(OpenError::Options { what, must_be });
        if self.flush_bytes == 0 || self.flush_bytes > MAX_FLUSH_BYTES {
            return refuse("flush_bytes", format!("1 to {MAX_FLUSH_BYTES}"));
        }
        if self.max_open_partitions == 0 || self.max_open_partitions > MAX_OPEN_PARTITIONS {
            return refuse("max_open_partitions", format!("1 to {MAX_OPEN_PARTITIONS}"));
        }
        let pauses = [
            ("poll", self.poll),
            ("retry_after", self.retry_after),
            ("retry_at_most", self.retry_at_most),
        ];
        for (what, value) in pauses {
            if !pause.contains(&value) {
                return refuse(what, "1 ms to 1 hour".to_owned());
            }
        }
        self.bucket.as_ref().map_or(Ok(()), BucketOptions::check)
    }
}

/// Why a storage folder cannot be opened or used with a log.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the storage's {what} must be {must_be}")]
    Options { what: &'static str, must_be: String },
    #[error("{} is in use by another process", folder.display())]
    Locked { folder: PathBuf },
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error("this program was built without S3: build it with the feature `s3`")]
    WithoutS3,
    #[error("cannot {what} {}: {source}", path.display())]
    Io { what: &'static str, path: PathBuf, source: io::Error },
    /// The log is another one, or an older copy: its positions would be given out twice.
    #[error("the log ends at {end}, but the storage has published all before {next}")]
    LogBehind { end: Lsn, next: Lsn },
    #[error("cannot read what is settled: {0}")]
    Settled(#[source] ReadError),
    #[error("more than {max} events of the quarantine are settled: raise the maximum")]
    TooManySettled { max: usize },
    /// The log cannot give the first record that is not published. Nothing was changed.
    #[error("the log cannot be read from {next}, where the storage ends: {source}")]
    Log { next: Lsn, source: tidegate_wal::ReadError },
}
