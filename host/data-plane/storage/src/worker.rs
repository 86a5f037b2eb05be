//! The storage thread's work: reads the log into rows, publishes them, lets the log forget.
//!
//! The worker keeps nothing that it cannot read again. After any failure it drops its rows and
//! begins anew at the first record that the manifest does not have, which is also what a restart
//! does.

mod buffer;
pub(crate) mod shared;
pub(crate) mod thread;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tidegate_types::{Lsn, UnixMillis};
use tidegate_wal::{Entry, ReadError, Reader, Wal};

use crate::layout::Layouts;
use crate::place::PlaceError;
use crate::publish::{PublishError, Publisher};
use crate::storage::options::StorageOptions;
use buffer::Buffer;
use shared::Shared;

/// The pause after a truncation of the log failed.
const TRUNCATE_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// Why a turn failed. All of these are tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkError {
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error("cannot read the log: {0}")]
    Read(#[from] ReadError),
    #[error("the log gave position {found} in place of {expected}")]
    Gap { expected: Lsn, found: Lsn },
}

impl WorkError {
    /// Is there no room on the disk?
    pub(crate) fn is_full(&self) -> bool {
        let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];
        match self {
            Self::Publish(PublishError::Place(PlaceError::Io { source, .. })) => {
                full.contains(&source.kind())
            }
            Self::Publish(_) | Self::Read(_) | Self::Gap { .. } => false,
        }
    }
}

/// What the storage thread does, one turn at a time.
pub(crate) struct Worker {
    wal: Wal,
    /// Where the log is read; `None` to begin anew at `cursor`.
    reader: Option<Reader>,
    publisher: Publisher,
    buffer: Buffer,
    shared: Arc<Shared>,
    /// The next record to read.
    cursor: Lsn,
    /// Set from the start of a turn until it succeeds.
    unsettled: bool,
    /// Up to where the log has been told that it may forget, and when to tell it again after a
    /// failure.
    forgotten: Option<Lsn>,
    truncate_at: Option<Instant>,
    flush_bytes: u64,
    flush_after: Duration,
    dedup_window: Duration,
}

impl Worker {
    pub(crate) fn new(
        wal: Wal,
        publisher: Publisher,
        options: &StorageOptions,
        layouts: Arc<dyn Layouts>,
        shared: Arc<Shared>,
    ) -> Self {
        shared.published(publisher.next_lsn(), publisher.totals());
        Self {
            wal,
            reader: None,
            cursor: publisher.next_lsn(),
            publisher,
            buffer: Buffer::new(layouts, options.dates, options.max_open_partitions),
            shared,
            unsettled: false,
            forgotten: None,
            truncate_at: None,
            flush_bytes: options.flush_bytes,
            flush_after: options.flush_after,
            dedup_window: options.dedup_window,
        }
    }

    /// Reads what the log has now, and publishes what is due: at the bounds on bytes and
    /// partitions, after `flush_after`, and what a caller asked for. Ends early when the storage
    /// is closed.
    pub(crate) fn turn(&mut self, now: Instant) -> Result<(), WorkError> {
        if self.unsettled {
            self.settle()?;
        }
        self.unsettled = true;
        let end = self.wal.durable_end();
        while self.cursor < end && !self.shared.is_closing() {
            self.read_group(now)?;
        }
        let asked = self.shared.asked(self.publisher.next_lsn());
        let due = self.due_at().is_some_and(|due| now >= due);
        if asked || due {
            self.flush()?;
        }
        self.unsettled = false;
        self.truncate(now);
        Ok(())
    }

    /// When the oldest row becomes due.
    pub(crate) fn due_at(&self) -> Option<Instant> {
        self.buffer.since().map(|since| since + self.flush_after)
    }

    /// After a failure: finishes a publication that is decided, and goes back to where it ends.
    fn settle(&mut self) -> Result<(), WorkError> {
        self.publisher.settle()?;
        self.tell();
        self.buffer.clear();
        self.cursor = self.publisher.next_lsn();
        self.reader = None;
        Ok(())
    }

    fn read_group(&mut self, now: Instant) -> Result<(), WorkError> {
        let reader = self.reader.get_or_insert_with(|| self.wal.reader(self.cursor));
        let Some(group) = reader.next()? else {
            return Err(WorkError::Gap { expected: self.cursor, found: self.wal.durable_end() });
        };
        for (lsn, entry) in group.entries() {
            // A group may begin before the record that was asked for.
            if lsn >= self.cursor {
                self.take(lsn, &entry, now)?;
            }
        }
        Ok(())
    }

    fn take(&mut self, lsn: Lsn, entry: &Entry<'_>, now: Instant) -> Result<(), WorkError> {
        if lsn != self.cursor {
            return Err(WorkError::Gap { expected: self.cursor, found: lsn });
        }
        if !self.buffer.add(lsn, entry, now) {
            self.flush()?;
            self.buffer.add(lsn, entry, now);
        }
        self.cursor = Lsn(lsn.0 + 1);
        if self.buffer.bytes() >= self.flush_bytes { self.flush() } else { Ok(()) }
    }

    /// Publishes all rows.
    fn flush(&mut self) -> Result<(), WorkError> {
        let Some((last, parts)) = self.buffer.take() else { return Ok(()) };
        self.publisher.publish(last, parts)?;
        self.tell();
        Ok(())
    }

    fn tell(&self) {
        self.shared.published(self.publisher.next_lsn(), self.publisher.totals());
    }

    /// Lets the log forget what is published.
    fn truncate(&mut self, now: Instant) {
        let end = self.wal.releasable(self.publisher.next_lsn());
        if self.forgotten == Some(end) || self.truncate_at.is_some_and(|at| now < at) {
            return;
        }
        let window = u64::try_from(self.dedup_window.as_millis()).unwrap_or(u64::MAX);
        let keep_after = UnixMillis(UnixMillis::now().0.saturating_sub(window));
        match self.wal.truncate_before(end, keep_after) {
            Ok(_) => (self.forgotten, self.truncate_at) = (Some(end), None),
            Err(error) => {
                tracing::warn!(%end, %error, "log not truncated");
                self.truncate_at = Some(now + TRUNCATE_AGAIN_AFTER);
            }
        }
    }
}

#[cfg(test)]
mod tests;
