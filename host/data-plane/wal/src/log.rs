//! The log's handle: opening, appending, reading, truncating, closing.

pub(crate) mod hold;
mod next;
pub(crate) mod options;
pub(crate) mod outcome;
mod queue;
pub(crate) mod shared;
pub mod stats;
mod truncate;
pub(crate) mod writer;

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tidegate_telemetry::Page;
use tidegate_telemetry::metrics::log as metrics;
use tidegate_types::{Lsn, UnixMillis};
use tokio::sync::oneshot;

use crate::reader::Reader;
use crate::record::RecordBatch;
use crate::recovery::{self, DirectoryLock};
use hold::Hold;
use options::WalOptions;
use outcome::{
    AppendError, LsnRange, OpenError, RecoveryReport, Replayed, TruncateError, Truncated,
};
use queue::Pending;
use shared::Shared;
use stats::WalStats;
use writer::Writer;

/// A handle of the log; clones are the same log. Dropping the last one closes it.
#[derive(Clone)]
pub struct Wal {
    handle: Arc<Handle>,
}

struct Handle {
    shared: Arc<Shared>,
    /// `None` once closed.
    running: Mutex<Option<Running>>,
}

/// What runs while the log is open.
struct Running {
    writer: JoinHandle<()>,
    preparer: JoinHandle<()>,
    lock: DirectoryLock,
}

impl Wal {
    /// Recovers a log, or makes a new one, and starts its threads. Reads all of it: `replay` is
    /// told everything that survived. What it was told counts only if this answers `Ok`.
    ///
    /// # Errors
    /// [`OpenError`]; after `Corrupt` nothing was changed.
    pub fn open(
        options: WalOptions,
        replay: &mut dyn FnMut(Replayed<'_>),
    ) -> Result<(Self, RecoveryReport), OpenError> {
        let recovered = recovery::recover(&options, replay)?;
        let report = recovered.report;
        let next_sequence = recovered.active.sequence + 1;
        let directory = options.directory.clone();
        let cannot_start =
            |source| OpenError::Io { what: "start a thread for", path: directory.clone(), source };
        let shared = Arc::new(Shared::new(options, recovered.index, report.next));
        let writer = Writer::new(Arc::clone(&shared), recovered.active, report.next);
        let writer = spawn("wal-writer", move || writer.run()).map_err(cannot_start)?;
        let for_preparer = Arc::clone(&shared);
        let preparer = spawn("wal-preparer", move || next::run(&for_preparer, next_sequence))
            .inspect_err(|_| shared.queue.close())
            .map_err(cannot_start)?;
        let running = Running { writer, preparer, lock: recovered.lock };
        let handle = Handle { shared, running: Mutex::new(Some(running)) };
        Ok((Self { handle: Arc::new(handle) }, report))
    }

    /// Puts a batch before the writer at once; the answer comes when it is on the disk. Dropping
    /// the future does not cancel the append. After `latest` the batch is not written any more.
    ///
    /// An empty batch is durable already.
    ///
    /// # Errors
    /// [`AppendError`].
    pub fn append(
        &self,
        batch: RecordBatch,
        latest: Option<Instant>,
    ) -> impl Future<Output = Result<LsnRange, AppendError>> + Send + use<> {
        let (answer, answered) = oneshot::channel();
        let entered = self.handle.shared.enter(Pending { batch, latest, answer });
        async move {
            entered?;
            // The sender goes away unused only with the writer itself.
            answered.await.unwrap_or(Err(AppendError::Failed))
        }
    }

    /// [`Wal::append`] that blocks until the answer is there. Not for threads of an async runtime.
    ///
    /// # Errors
    /// [`AppendError`].
    pub fn append_blocking(&self, batch: RecordBatch) -> Result<LsnRange, AppendError> {
        let (answer, answered) = oneshot::channel();
        self.handle.shared.enter(Pending { batch, latest: None, answer })?;
        answered.blocking_recv().unwrap_or(Err(AppendError::Failed))
    }

    /// The position after the last durable record.
    #[must_use]
    pub fn durable_end(&self) -> Lsn {
        self.handle.shared.durable_end()
    }

    /// Blocks until [`Wal::durable_end`] is past `lsn`, the log is closed, or the time is over.
    /// Answers the durable end.
    pub fn wait_durable(&self, lsn: Lsn, timeout: Duration) -> Lsn {
        self.handle.shared.wait_durable(lsn, timeout)
    }

    /// Reads durable groups, beginning with the record at `from`.
    #[must_use]
    pub fn reader(&self, from: Lsn) -> Reader {
        Reader::new(Arc::clone(&self.handle.shared), from)
    }

    /// Keeps the records at `lsn` and after it from being truncated, as long as the hold is not
    /// released or dropped.
    #[must_use]
    pub fn hold(&self, lsn: Lsn) -> Hold {
        Hold::new(Arc::clone(&self.handle.shared.holds), lsn)
    }

    /// The position of the oldest record that has not been truncated.
    #[must_use]
    pub fn first(&self) -> Lsn {
        self.handle.shared.index().first()
    }

    /// How much of what stands before `lsn` a truncation may delete: the position, or the lowest one
    /// that is held.
    #[must_use]
    pub fn releasable(&self, lsn: Lsn) -> Lsn {
        self.handle.shared.releasable(lsn)
    }

    /// Deletes segments whose records all stand before `lsn`, never the one that is written to, and
    /// never what is held ([`Wal::hold`]).
    /// Keys of events received at or after `keep_keys_received_after` go to a durable sidecar
    /// first; sidecars without any such key are deleted, except for the newest. Blocks for files.
    ///
    /// # Errors
    /// [`TruncateError`]
    pub fn truncate_before(
        &self,
        lsn: Lsn,
        keep_keys_received_after: UnixMillis,
    ) -> Result<Truncated, TruncateError> {
        truncate::truncate(&self.handle.shared, lsn, keep_keys_received_after)
    }

    /// Writes what waits, seals, and ends the threads. Later appends answer `Closed`. Blocks. Not
    /// to be called from `on_fatal`.
    pub fn seal_and_close(&self) {
        self.handle.close();
    }

    /// Counters since the log was opened.
    #[must_use]
    pub fn stats(&self) -> WalStats {
        self.handle.shared.stats()
    }

    /// Tells the same, and how far the log is.
    pub fn report(&self, page: &mut Page) {
        let shared = &self.handle.shared;
        shared.stats().report(page);
        page.put(&metrics::GROUP_BYTES, &[], shared.counters.group_bytes.read());
        page.put(&metrics::LIMIT_BYTES, &[], shared.options.max_bytes);
        page.put(&metrics::DURABLE_END, &[], self.durable_end().0);
    }
}

impl Handle {
    fn close(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(running) = running else { return };
        self.shared.queue.close();
        // A panic of theirs has been reported by their watch.
        drop(running.writer.join());
        self.shared.next.stop();
        drop(running.preparer.join());
        drop(running.lock);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn enter(&self, pending: Pending) -> Result<(), AppendError> {
        if pending.batch.is_empty() {
            let end = self.durable_end();
            pending.answer(Ok(LsnRange { first: end, end }));
            return Ok(());
        }
        if pending.batch.bytes().len() as u64 > self.options.largest_group() {
            return Err(AppendError::TooLarge);
        }
        self.queue.push(pending).inspect_err(|error| {
            if *error == AppendError::Overloaded {
                self.counters.refused_overloaded.fetch_add(1, Ordering::Relaxed);
            }
        })
    }

    fn stats(&self) -> WalStats {
        let counters = &self.counters;
        let index = self.index();
        let (segments, sidecars) = (index.segments.len() as u64, index.sidecars.len() as u64);
        let torn_files = index.torn_files;
        drop(index);
        WalStats {
            groups: counters.groups.load(Ordering::Relaxed),
            seals: counters.seals.load(Ordering::Relaxed),
            records: counters.records.load(Ordering::Relaxed),
            bytes: counters.bytes.load(Ordering::Relaxed),
            syncs: counters.syncs.read(),
            refused_full: counters.refused_full.load(Ordering::Relaxed),
            refused_overloaded: counters.refused_overloaded.load(Ordering::Relaxed),
            expired: counters.expired.load(Ordering::Relaxed),
            queued_bytes: self.queue.cost_bytes(),
            segments,
            segment_bytes: self.allocated_bytes.load(Ordering::Relaxed),
            sidecars,
            torn_files,
        }
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(body)
}
