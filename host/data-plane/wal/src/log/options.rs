//! How a log is kept: the options and their bounds.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::disk::{Disk, SystemDisk};
use crate::log::outcome::OpenError;
use crate::{frame, segment};

/// What to do when the disk fails: called once, after all waiters have been failed.
pub type OnFatal = Arc<dyn Fn(&io::Error) + Send + Sync>;

/// How a log is kept.
#[derive(Clone)]
pub struct WalOptions {
    /// Where its files are; made where it is missing. One process at a time.
    pub directory: PathBuf,
    /// Size of a segment file; 4 KiB to 1 GiB. 64 MiB. A batch must fit into one segment.
    pub segment_bytes: u64,
    /// Most bytes of all segment files together, at least three segments. 1 GiB. At this size
    /// appends are refused until segments are truncated.
    pub max_bytes: u64,
    /// Free bytes of the file system below which appends are refused. 256 MiB. The reserve is for
    /// recovery, key sidecars and the sinks.
    pub low_water_bytes: u64,
    /// Most bytes that are written as one group, unless a single batch has more. 8 MiB.
    pub group_bytes: u64,
    /// Most bytes that may wait to be written; beyond, appends are refused. 64 MiB.
    pub queue_bytes: u64,
    /// After how much idleness the last group is sealed. 100 ms.
    pub seal_after: Duration,
    /// What to do when the disk fails. Ends the process with exit code 70.
    pub on_fatal: OnFatal,
    /// The operating system's files, unless a test says otherwise.
    pub disk: Arc<dyn Disk>,
}

impl WalOptions {
    /// The defaults that the fields' documentation gives.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self {
            directory: directory.into(),
            segment_bytes: 64 << 20,
            max_bytes: 1 << 30,
            low_water_bytes: 256 << 20,
            group_bytes: 8 << 20,
            queue_bytes: 64 << 20,
            seal_after: Duration::from_millis(100),
            on_fatal: Arc::new(|_| std::process::exit(70)),
            disk: Arc::new(SystemDisk),
        }
    }
}

/// What a segment holds besides the records of a single group: its header, the group's, and a seal.
const OVERHEAD_BYTES: u64 = (segment::HEADER_BYTES + 2 * frame::HEADER_BYTES) as u64;

impl WalOptions {
    /// Most bytes that the records of one group may have.
    pub(crate) fn largest_group(&self) -> u64 {
        (self.segment_bytes.saturating_sub(OVERHEAD_BYTES)) & !7
    }

    pub(crate) fn check(&self) -> Result<(), OpenError> {
        let refuse = |what, must_be: String| Err(OpenError::Options { what, must_be });
        let segments = (4 << 10)..=segment::MAX_BYTES;
        if !segments.contains(&self.segment_bytes) {
            return refuse("segment_bytes", "4 KiB to 1 GiB".to_owned());
        }
        let three = 3 * self.segment_bytes;
        if self.max_bytes < three {
            return refuse("max_bytes", format!("at least three segments: {three}"));
        }
        if self.group_bytes == 0 || self.group_bytes > self.largest_group() {
            return refuse("group_bytes", format!("1 to {}", self.largest_group()));
        }
        if self.queue_bytes < self.group_bytes {
            return refuse("queue_bytes", format!("at least group_bytes: {}", self.group_bytes));
        }
        if self.seal_after.is_zero() {
            return refuse("seal_after", "longer than nothing".to_owned());
        }
        Ok(())
    }
}
