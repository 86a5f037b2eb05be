//! What the handle, the writer, the preparer and the readers of one log share.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidegate_types::{Lsn, UnixMillis};

use crate::log::hold::Holds;
use crate::log::next::Next;
use crate::log::options::WalOptions;
use crate::log::queue::Queue;
use crate::log::stats::Counters;
use crate::segment;

/// A segment that has records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) sequence: u64,
    pub(crate) id: u64,
    pub(crate) first: Lsn,
    /// The position after its last record; `None` while it is written to.
    pub(crate) end: Option<Lsn>,
    /// Bytes of the file.
    pub(crate) bytes: u64,
}

/// A key sidecar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SidecarFile {
    pub(crate) sequence: u64,
    pub(crate) youngest: UnixMillis,
}

/// Which files there are.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    /// Oldest first, without a gap; the last one is written to.
    pub(crate) segments: VecDeque<Segment>,
    /// Oldest first.
    pub(crate) sidecars: VecDeque<SidecarFile>,
    pub(crate) torn_files: u64,
}

impl Index {
    /// The position of the oldest record.
    pub(crate) fn first(&self) -> Lsn {
        self.segments.front().map_or(Lsn(0), |segment| segment.first)
    }

    /// The segment that holds a position, or will.
    pub(crate) fn holding(&self, lsn: Lsn) -> Option<&Segment> {
        let at = self.segments.partition_point(|segment| segment.first <= lsn);
        self.segments.get(at.checked_sub(1)?)
    }
}

#[derive(Debug)]
struct Durable {
    end: Lsn,
    closed: bool,
}

/// The shared state of one log.
pub(crate) struct Shared {
    pub(crate) options: WalOptions,
    pub(crate) queue: Queue,
    pub(crate) next: Next,
    pub(crate) counters: Counters,
    /// Bytes of all segment files, the prepared one included.
    pub(crate) allocated_bytes: AtomicU64,
    /// What is not to be truncated.
    pub(crate) holds: Arc<Holds>,
    /// One truncation at a time.
    pub(crate) truncating: Mutex<()>,
    index: Mutex<Index>,
    durable: Mutex<Durable>,
    durable_moved: Condvar,
    failed: AtomicBool,
}

impl Shared {
    pub(crate) fn new(options: WalOptions, index: Index, durable_end: Lsn) -> Self {
        let allocated = index.segments.iter().map(|segment| segment.bytes).sum();
        Self {
            queue: Queue::new(options.queue_bytes),
            next: Next::new(),
            counters: Counters::default(),
            allocated_bytes: AtomicU64::new(allocated),
            holds: Arc::default(),
            truncating: Mutex::new(()),
            index: Mutex::new(index),
            durable: Mutex::new(Durable { end: durable_end, closed: false }),
            durable_moved: Condvar::new(),
            failed: AtomicBool::new(false),
            options,
        }
    }

    /// Which files there are. Held for moments only, never while a file is touched.
    pub(crate) fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn segment_path(&self, sequence: u64) -> PathBuf {
        self.options.directory.join(segment::name(sequence))
    }

    fn durable(&self) -> MutexGuard<'_, Durable> {
        self.durable.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn durable_end(&self) -> Lsn {
        self.durable().end
    }

    pub(crate) fn set_durable_end(&self, end: Lsn) {
        self.durable().end = end;
        self.durable_moved.notify_all();
    }

    pub(crate) fn releasable(&self, lsn: Lsn) -> Lsn {
        self.holds.lowest().map_or(lsn, |held| held.min(lsn))
    }

    pub(crate) fn wait_durable(&self, lsn: Lsn, timeout: Duration) -> Lsn {
        let guard = self.durable();
        let waits = |durable: &mut Durable| durable.end <= lsn && !durable.closed;
        let woken = self.durable_moved.wait_timeout_while(guard, timeout, waits);
        woken.unwrap_or_else(PoisonError::into_inner).0.end
    }

    /// Nothing will become durable any more: lets everybody go who waits for it.
    pub(crate) fn end_waiting(&self) {
        self.durable().closed = true;
        self.durable_moved.notify_all();
    }

    /// The disk failed: fails everybody who waits and, the first time, calls `on_fatal`. Never
    /// tried again: after a failed sync the kernel may have dropped the data and call it clean
    /// (Rebello et al., "Can Applications Recover from fsync Failures?", USENIX ATC 2020).
    pub(crate) fn fatal(&self, doing: &'static str, error: &io::Error) {
        if self.failed.swap(true, Ordering::SeqCst) {
            return;
        }
        tracing::error!(doing, %error, directory = %self.options.directory.display(), "log failed");
        self.queue.fail();
        self.next.stop();
        self.end_waiting();
        (self.options.on_fatal)(error);
    }

    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::SeqCst)
    }

    /// For the beginning of a thread: its panic counts as a failure of the log.
    pub(crate) fn watch_for_panic(&self) -> PanicWatch<'_> {
        PanicWatch(self)
    }
}

/// See [`Shared::watch_for_panic`].
pub(crate) struct PanicWatch<'a>(&'a Shared);

impl Drop for PanicWatch<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fatal("run a thread of the log", &io::Error::other("it panicked"));
        }
    }
}
