//! The one thread that writes: it takes whatever waits as one group, writes one frame, syncs, and
//! only then answers and takes the next group.
//!
//! So a group is never written before the one before it is durable, and a whole frame after a
//! broken one proves damage. After a while without work it seals: it writes an empty frame, which
//! proves that the group before it was durable.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use tidegate_types::Lsn;

use crate::disk::is_full;
use crate::frame;
use crate::log::next::NoSegment;
use crate::log::outcome::{AppendError, LsnRange};
use crate::log::queue::{Pending, Work};
use crate::log::shared::{Segment, Shared};
use crate::segment;

/// The segment that is written to.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) file: File,
    pub(crate) sequence: u64,
    pub(crate) id: u64,
    /// Where the next frame goes.
    pub(crate) offset: u64,
    /// Bytes of the file.
    pub(crate) bytes: u64,
    /// Is it in the index? A new segment gets there with its first durable frame: from then on
    /// the older ones may be deleted, and something must be left to tell the next position.
    pub(crate) indexed: bool,
}

/// What the thread owns.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    active: Active,
    next: Lsn,
    sealed: bool,
    /// The frame that is being written; kept for its memory.
    frame: Vec<u8>,
}

/// Why a frame is not durable.
enum WriteError {
    Full,
    /// With what was being done.
    Fatal(&'static str, io::Error),
    /// Another thread of the log has failed.
    Stopped,
}

impl Writer {
    pub(crate) fn new(shared: Arc<Shared>, active: Active, next: Lsn) -> Self {
        // Recovery leaves a seal at the end.
        Self { shared, active, next, sealed: true, frame: Vec::new() }
    }

    /// The thread's life, until the queue is closed or the disk fails.
    pub(crate) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let _watch = shared.watch_for_panic();
        loop {
            let idle = (!self.sealed).then_some(shared.options.seal_after);
            match shared.queue.take(shared.options.group_bytes, idle) {
                Work::Group(group) => self.write_group(group),
                Work::Idle => self.seal(),
                Work::Close => {
                    if !self.sealed && !shared.has_failed() {
                        self.seal();
                    }
                    break;
                }
            }
        }
        shared.end_waiting();
    }

    fn write_group(&mut self, group: Vec<Pending>) {
        let bytes = group.iter().map(|one| one.batch.bytes().len()).sum();
        if let Err(error) = self.make_room(frame::length(bytes) as u64) {
            return self.refuse(group, error);
        }
        // As late as can be: waiting for a new segment may have taken its time.
        let group = self.drop_expired(group);
        if group.is_empty() {
            return;
        }
        let count = group.iter().map(|one| one.batch.count()).sum();
        let parts = group.iter().map(|one| one.batch.bytes());
        self.frame.clear();
        frame::encode(&mut self.frame, self.active.id, self.next, count, parts);
        match self.write_frame() {
            Ok(()) => self.acknowledge(group, count),
            Err(error) => self.refuse(group, error),
        }
    }

    fn drop_expired(&self, group: Vec<Pending>) -> Vec<Pending> {
        let now = Instant::now();
        let late = |one: &Pending| one.latest.is_some_and(|latest| latest < now);
        let (expired, timely): (Vec<_>, Vec<_>) = group.into_iter().partition(late);
        self.shared.counters.expired.fetch_add(expired.len() as u64, Ordering::Relaxed);
        for one in expired {
            one.answer(Err(AppendError::Expired));
        }
        timely
    }

    fn acknowledge(&mut self, group: Vec<Pending>, count: u32) {
        let counters = &self.shared.counters;
        counters.groups.fetch_add(1, Ordering::Relaxed);
        counters.group_bytes.observe_size(self.frame.len() as u64);
        counters.records.fetch_add(u64::from(count), Ordering::Relaxed);
        self.sealed = false;
        let mut first = self.next;
        self.next = Lsn(self.next.0 + u64::from(count));
        self.shared.set_durable_end(self.next);
        for one in group {
            let end = Lsn(first.0 + u64::from(one.batch.count()));
            one.answer(Ok(LsnRange { first, end }));
            first = end;
        }
    }

    fn refuse(&mut self, group: Vec<Pending>, error: WriteError) {
        let answer = match error {
            WriteError::Full => {
                let refused = &self.shared.counters.refused_full;
                refused.fetch_add(group.len() as u64, Ordering::Relaxed);
                AppendError::StorageFull
            }
            WriteError::Fatal(..) | WriteError::Stopped => AppendError::Failed,
        };
        for one in group {
            one.answer(Err(answer));
        }
        if let WriteError::Fatal(doing, error) = error {
            self.shared.fatal(doing, &error);
        }
    }

    fn seal(&mut self) {
        self.sealed = true;
        self.frame.clear();
        frame::encode(&mut self.frame, self.active.id, self.next, 0, std::iter::empty());
        match self.write_frame() {
            Ok(()) => {
                self.shared.counters.seals.fetch_add(1, Ordering::Relaxed);
            }
            // Without a seal the log is as good, but damage to its last group looks like a tear.
            Err(WriteError::Full) => tracing::warn!("no room to seal the log's last group"),
            Err(WriteError::Stopped) => {}
            Err(WriteError::Fatal(doing, error)) => self.shared.fatal(doing, &error),
        }
    }

    /// Sees to it that a frame of a group, and a seal after it, fit into the active segment.
    fn make_room(&mut self, length: u64) -> Result<(), WriteError> {
        let options = &self.shared.options;
        let free = options.disk.free_bytes(&options.directory);
        if free.map_err(|error| WriteError::Fatal("ask for the free space", error))?
            < options.low_water_bytes
        {
            return Err(WriteError::Full);
        }
        if self.active.offset + length + frame::HEADER_BYTES as u64 <= self.active.bytes {
            return Ok(());
        }
        let prepared = self.shared.next.take().map_err(|reason| match reason {
            NoSegment::Full => WriteError::Full,
            NoSegment::Stopped => WriteError::Stopped,
        })?;
        self.active = Active {
            file: prepared.file,
            sequence: prepared.sequence,
            id: prepared.id,
            offset: segment::HEADER_BYTES as u64,
            bytes: prepared.bytes,
            indexed: false,
        };
        Ok(())
    }

    /// Writes `self.frame` and returns once it is on the disk.
    fn write_frame(&mut self) -> Result<(), WriteError> {
        let disk = Arc::clone(&self.shared.options.disk);
        if let Err(error) = disk.write_at(&self.active.file, &self.frame, self.active.offset) {
            if !is_full(&error) {
                return Err(WriteError::Fatal("write a group", error));
            }
            self.take_back()?;
            return Err(WriteError::Full);
        }
        let begin = Instant::now();
        disk.sync_data(&self.active.file)
            .map_err(|error| WriteError::Fatal("sync a group", error))?;
        self.shared.counters.syncs.add(begin.elapsed());
        self.active.offset += self.frame.len() as u64;
        self.shared.counters.bytes.fetch_add(self.frame.len() as u64, Ordering::Relaxed);
        if !self.active.indexed {
            self.enter_into_index();
        }
        Ok(())
    }

    fn enter_into_index(&mut self) {
        let mut index = self.shared.index();
        if let Some(before) = index.segments.back_mut() {
            before.end = Some(self.next);
        }
        index.segments.push_back(Segment {
            sequence: self.active.sequence,
            id: self.active.id,
            first: self.next,
            end: None,
            bytes: self.active.bytes,
        });
        self.active.indexed = true;
    }

    /// A file system may want room even for reserved space (copy on write). What was half written
    /// is taken away again, so that no later group leaves a piece of it standing.
    fn take_back(&self) -> Result<(), WriteError> {
        let disk = &self.shared.options.disk;
        disk.erase(&self.active.file, self.active.offset, self.frame.len() as u64)
            .and_then(|()| disk.sync_data(&self.active.file))
            .map_err(|error| WriteError::Fatal("take a half-written group back", error))
    }
}
