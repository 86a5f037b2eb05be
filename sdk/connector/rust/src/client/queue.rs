//! What a client took and nothing has settled yet: in memory, or in the spool. Both are bounded; where
//! there is no room the sender waits.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Mutex as Turns, Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::client::SendError;
use crate::delivery::Owner;
use crate::event::InvalidEvent;
use crate::options::ClientOptions;
use crate::outcome::{Held, Outcome, Pending, Settled};
use crate::post::summary::Stopped;
use crate::spool::{Spool, SpoolError};

pub(crate) struct Queue {
    batch_events: usize,
    batch_bytes: usize,
    batch_age: Duration,
    store: Store,
    phase: Mutex<Phase>,
    changed: Arc<Notify>,
    /// How many wait for everything to be settled: then no batch waits for company.
    hurried: AtomicUsize,
    /// Senders are served in the order of their coming.
    puts: Turns<()>,
    /// One task at a time waits for a batch. When it need not be full any more; `None` while nothing
    /// waits.
    takes: Turns<Option<Instant>>,
}

enum Store {
    Memory(Memory),
    Spool(Arc<Spool>),
}

#[derive(Default)]
struct Phase {
    closed: bool,
    stopped: Option<Stopped>,
}

impl Queue {
    pub(crate) fn new(options: &ClientOptions, spool: Option<Spool>) -> Self {
        let store = match spool {
            Some(spool) => Store::Spool(Arc::new(spool)),
            None => Store::Memory(Memory::new(options)),
        };
        Self {
            batch_events: options.connector.most_events(),
            batch_bytes: options.connector.batch_bytes,
            batch_age: options.batch_age,
            store,
            phase: Mutex::default(),
            changed: Arc::default(),
            hurried: AtomicUsize::new(0),
            puts: Turns::new(()),
            takes: Turns::new(None),
        }
    }

    /// Are undelivered events kept for the next start?
    pub(crate) fn is_durable(&self) -> bool {
        matches!(self.store, Store::Spool(_))
    }

    pub(crate) fn torn_bytes(&self) -> u64 {
        match &self.store {
            Store::Memory(_) => 0,
            Store::Spool(spool) => spool.torn_bytes,
        }
    }

    /// Takes an event; waits for room, for so long at most.
    pub(crate) async fn put(&self, event: Bytes, limit: Option<Duration>) -> Result<(), SendError> {
        let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
        let turn = within(deadline, self.puts.lock()).await.ok_or(SendError::Full)?;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            self.check()?;
            match &self.store {
                Store::Memory(memory) => {
                    if memory.try_put(&event)? {
                        self.changed.notify_waiters();
                        return Ok(());
                    }
                }
                Store::Spool(spool) => {
                    if !spool.fits_ever(&event) {
                        return Err(InvalidEvent::TooLong.into());
                    }
                    if let Some(synced) = self.try_spool(spool, &event).await? {
                        drop(turn);
                        let synced = end(synced).await;
                        synced.inspect_err(|error| self.stop(Stopped::Spool(error.to_string())))?;
                        return Ok(());
                    }
                }
            }
            within(deadline, changed).await.ok_or(SendError::Full)?;
        }
    }

    /// Appends and syncs in one piece, though nobody may wait any more: what is appended and never synced
    /// would never be delivered. `None` where there is no room, otherwise the sync.
    async fn try_spool(
        &self,
        spool: &Arc<Spool>,
        event: &Bytes,
    ) -> Result<Option<DiskWork<()>>, SpoolError> {
        let (event, changed) = (event.clone(), Arc::clone(&self.changed));
        let (told, appended) = oneshot::channel();
        let work = begin(spool, move |spool| {
            let appended = spool.append(&event);
            let is_taken = matches!(appended, Ok(true));
            told.send(appended).ok();
            if is_taken {
                spool.sync()?;
                changed.notify_waiters();
            }
            Ok(())
        });
        match appended.await {
            Ok(appended) => Ok(appended?.then_some(work)),
            // It panicked, or the runtime ends.
            Err(_) => end(work).await.map(|()| None),
        }
    }

    /// The next batch, once it is full or old enough. `None`: there will be none.
    pub(crate) async fn take(&self) -> Result<Option<Vec<Pending>>, SpoolError> {
        let mut ripe_at = self.takes.lock().await;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let (closed, stopped) = {
                let phase = self.phase();
                (phase.closed, phase.stopped.is_some())
            };
            let (waiting, held) = (self.waiting(), self.held());
            if stopped || (closed && waiting.events == 0 && held.events == 0) {
                return Ok(None);
            }
            if waiting.events == 0 {
                *ripe_at = None;
                changed.await;
                continue;
            }
            let now = Instant::now();
            let ripe = *ripe_at.get_or_insert_with(|| now + self.batch_age);
            let full = waiting.events >= self.batch_events || waiting.bytes >= self.batch_bytes;
            if full || closed || ripe <= now || self.hurried.load(Ordering::Relaxed) > 0 {
                *ripe_at = None;
                return self.pop().await.map(Some);
            }
            // Late or changed: it looks again.
            tokio::time::timeout_at(ripe, changed).await.ok();
        }
    }

    async fn pop(&self) -> Result<Vec<Pending>, SpoolError> {
        let (events, bytes) = (self.batch_events, self.batch_bytes);
        match &self.store {
            Store::Memory(memory) => Ok(memory.pop(events, bytes)),
            Store::Spool(spool) => {
                let records = end(begin(spool, move |spool| spool.read(events, bytes))).await?;
                let pending = records.into_iter();
                Ok(pending.map(|(number, event)| Pending::new(number as u64, event)).collect())
            }
        }
    }

    /// Makes room, after the outcomes are told.
    pub(crate) async fn settle(&self, settled: &[Settled]) -> Result<(), SpoolError> {
        match &self.store {
            Store::Memory(memory) => memory.settle(settled),
            Store::Spool(spool) => {
                let numbers = settled.iter().filter(|settled| !is_unsettled(settled));
                let numbers: Vec<usize> = numbers.map(|settled| settled.index as usize).collect();
                end(begin(spool, move |spool| spool.settle(&numbers))).await?;
            }
        }
        self.changed.notify_waiters();
        Ok(())
    }

    /// Waits until nothing is held, or the client has stopped. Batches are not waited for.
    pub(crate) async fn flush(&self) -> bool {
        let _hurry = Hurry::new(self);
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.phase().stopped.is_some() {
                return false;
            }
            if self.held().events == 0 {
                return true;
            }
            changed.await;
        }
    }

    /// No more is taken in; what is held goes out without waiting for company.
    pub(crate) fn close(&self) {
        self.phase().closed = true;
        self.changed.notify_waiters();
    }

    /// Nothing goes in or out any more.
    pub(crate) fn stop(&self, why: Stopped) {
        self.phase().stopped.get_or_insert(why);
        self.changed.notify_waiters();
    }

    pub(crate) fn stopped(&self) -> Option<Stopped> {
        self.phase().stopped.clone()
    }

    /// Events in memory that were never taken.
    pub(crate) fn release(&self) -> Vec<Pending> {
        match &self.store {
            Store::Memory(memory) => memory.pop(usize::MAX, usize::MAX),
            Store::Spool(_) => Vec::new(),
        }
    }

    fn check(&self) -> Result<(), SendError> {
        let phase = self.phase();
        match &phase.stopped {
            Some(why) => Err(SendError::Stopped(why.clone())),
            None if phase.closed => Err(SendError::Closed),
            None => Ok(()),
        }
    }

    fn waiting(&self) -> Held {
        match &self.store {
            Store::Memory(memory) => memory.state().waiting,
            Store::Spool(spool) => spool.waiting(),
        }
    }

    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().expect("nobody panics while the phase changes")
    }
}

impl Owner for Queue {
    fn held(&self) -> Held {
        match &self.store {
            Store::Memory(memory) => memory.state().held,
            Store::Spool(spool) => spool.held(),
        }
    }

    fn halted(&self, why: &Stopped) {
        self.stop(why.clone());
    }
}

/// Has the event no outcome that stays?
pub(crate) fn is_unsettled(settled: &Settled) -> bool {
    matches!(settled.outcome, Outcome::Unsettled(_))
}

struct Hurry<'q>(&'q Queue);

impl<'q> Hurry<'q> {
    fn new(queue: &'q Queue) -> Self {
        queue.hurried.fetch_add(1, Ordering::Relaxed);
        queue.changed.notify_waiters();
        Self(queue)
    }
}

impl Drop for Hurry<'_> {
    fn drop(&mut self) {
        self.0.hurried.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Events in memory.
struct Memory {
    most: Held,
    state: Mutex<MemoryState>,
}

#[derive(Default)]
struct MemoryState {
    events: VecDeque<Pending>,
    waiting: Held,
    held: Held,
    numbers: u64,
}

impl Memory {
    fn new(options: &ClientOptions) -> Self {
        let most = Held { events: options.queue_events, bytes: options.queue_bytes };
        Self { most, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, MemoryState> {
        self.state.lock().expect("nobody panics while the queue changes")
    }

    fn try_put(&self, event: &Bytes) -> Result<bool, InvalidEvent> {
        let cost = event.len() + 1;
        if cost > self.most.bytes {
            return Err(InvalidEvent::TooLong);
        }
        let mut state = self.state();
        if state.held.events >= self.most.events || state.held.bytes + cost > self.most.bytes {
            return Ok(false);
        }
        let number = state.numbers;
        state.numbers += 1;
        state.events.push_back(Pending::new(number, event.clone()));
        state.waiting.events += 1;
        state.waiting.bytes += cost;
        state.held.events += 1;
        state.held.bytes += cost;
        Ok(true)
    }

    fn pop(&self, most_events: usize, most_bytes: usize) -> Vec<Pending> {
        let mut state = self.state();
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < most_events
            && let Some(next) = state.events.front()
            && (batch.is_empty() || bytes + next.event.len() < most_bytes)
            && let Some(next) = state.events.pop_front()
        {
            bytes += next.event.len() + 1;
            batch.push(next);
        }
        state.waiting.events -= batch.len();
        state.waiting.bytes -= bytes;
        batch
    }

    fn settle(&self, settled: &[Settled]) {
        let mut state = self.state();
        state.held.events -= settled.len();
        state.held.bytes -= settled.iter().map(|settled| settled.event.len() + 1).sum::<usize>();
    }
}

/// `None` where the deadline comes first.
async fn within<T>(deadline: Option<Instant>, work: impl Future<Output = T>) -> Option<T> {
    match deadline {
        Some(deadline) => tokio::time::timeout_at(deadline, work).await.ok(),
        None => Some(work.await),
    }
}

/// Work that waits for the disk, beside the tasks. It comes to its end though nobody waits for it.
type DiskWork<T> = JoinHandle<Result<T, SpoolError>>;

fn begin<T: Send + 'static>(
    spool: &Arc<Spool>,
    work: impl FnOnce(&Spool) -> Result<T, SpoolError> + Send + 'static,
) -> DiskWork<T> {
    let spool = Arc::clone(spool);
    tokio::task::spawn_blocking(move || work(&spool))
}

async fn end<T>(work: DiskWork<T>) -> Result<T, SpoolError> {
    match work.await {
        Ok(result) => result,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => Err(SpoolError::Failed("the runtime ends".to_owned())),
    }
}
