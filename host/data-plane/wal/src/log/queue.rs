//! What waits to be written, in the order in which it came. Bounded by bytes.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::log::outcome::{AppendError, LsnRange};
use crate::record::RecordBatch;

/// What a waiting batch costs beside its bytes, so that many tiny ones are bounded too.
const BATCH_COST_BYTES: u64 = 128;

/// A batch and who waits for it.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) batch: RecordBatch,
    pub(crate) latest: Option<Instant>,
    pub(crate) answer: oneshot::Sender<Result<LsnRange, AppendError>>,
}

impl Pending {
    fn bytes(&self) -> u64 {
        self.batch.bytes().len() as u64
    }

    /// Answers. Whether somebody still waits makes no difference to what was written.
    pub(crate) fn answer(self, result: Result<LsnRange, AppendError>) {
        if self.answer.send(result).is_err() {
            tracing::trace!("nobody waited for an append's answer");
        }
    }
}

/// What the writer is to do next.
#[derive(Debug)]
pub(crate) enum Work {
    /// Batches for one group, at least one.
    Group(Vec<Pending>),
    /// Nothing came for the time that was asked for.
    Idle,
    /// Nothing will come any more.
    Close,
}

#[derive(Debug)]
struct Waiting {
    batches: VecDeque<Pending>,
    cost_bytes: u64,
    /// Why nothing is taken in any more.
    closed: Option<AppendError>,
}

/// The queue between all callers and the one writer.
#[derive(Debug)]
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    limit_bytes: u64,
}

impl Queue {
    pub(crate) fn new(limit_bytes: u64) -> Self {
        let waiting = Waiting { batches: VecDeque::new(), cost_bytes: 0, closed: None };
        Self { waiting: Mutex::new(waiting), changed: Condvar::new(), limit_bytes }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a batch in.
    ///
    /// # Errors
    /// Where the queue is closed or full.
    pub(crate) fn push(&self, pending: Pending) -> Result<(), AppendError> {
        let mut waiting = self.lock();
        let cost = pending.bytes() + BATCH_COST_BYTES;
        if let Some(error) = waiting.closed {
            return Err(error);
        }
        // One batch is always let in, or one larger than the limit never would be.
        if !waiting.batches.is_empty() && waiting.cost_bytes + cost > self.limit_bytes {
            return Err(AppendError::Overloaded);
        }
        waiting.cost_bytes += cost;
        waiting.batches.push_back(pending);
        let first = waiting.batches.len() == 1;
        drop(waiting);
        if first {
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Waits for something to do, for at most `idle` where it is given. A group has one batch, or
    /// as many as fit into `group_bytes`.
    pub(crate) fn take(&self, group_bytes: u64, idle: Option<Duration>) -> Work {
        let until = idle.map(|idle| Instant::now() + idle);
        let mut waiting = self.lock();
        while waiting.batches.is_empty() {
            if waiting.closed.is_some() {
                return Work::Close;
            }
            waiting = match until.map(|until| until.saturating_duration_since(Instant::now())) {
                None => self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => return Work::Idle,
                Some(left) => {
                    let woken = self.changed.wait_timeout(waiting, left);
                    woken.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        let mut group = Vec::new();
        let mut bytes = 0;
        while let Some(next) = waiting.batches.front() {
            bytes += next.bytes();
            if bytes > group_bytes && !group.is_empty() {
                break;
            }
            group.extend(waiting.batches.pop_front());
        }
        waiting.cost_bytes -= group.iter().map(|one| one.bytes() + BATCH_COST_BYTES).sum::<u64>();
        Work::Group(group)
    }

    /// Bytes that wait.
    pub(crate) fn cost_bytes(&self) -> u64 {
        self.lock().cost_bytes
    }

    /// Takes nothing in any more. What waits is still given out.
    pub(crate) fn close(&self) {
        self.lock().closed.get_or_insert(AppendError::Closed);
        self.changed.notify_all();
    }

    /// Takes nothing in any more, and fails what waits.
    pub(crate) fn fail(&self) {
        let mut waiting = self.lock();
        waiting.closed = Some(AppendError::Failed);
        waiting.cost_bytes = 0;
        let batches = std::mem::take(&mut waiting.batches);
        drop(waiting);
        self.changed.notify_all();
        for pending in batches {
            pending.answer(Err(AppendError::Failed));
        }
    }
}
