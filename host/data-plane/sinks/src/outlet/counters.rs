//! What became of the messages of one sink since the start.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::message::{Kind, Message};
use crate::ticket::Failure;

/// Upper bounds of the time from sending to the last report of a ticket, in milliseconds.
pub const BUCKETS_MS: [u64; 12] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 5000, 30_000];

/// How often it is told in the log that events were put off.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Counters of one sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutletStats {
    /// Messages that were taken.
    pub taken: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Of those taken, dead letters.
    pub dead: u64,
    /// Messages that there was no room for when they were offered.
    pub full: u64,
    pub delivered: u64,
    pub errored: u64,
    /// Of the errored, those that may have been written all the same.
    pub unknown: u64,
    pub rejected: u64,
    /// Taken and not reported yet.
    pub open: u64,
    /// How many tickets took at most so long, each with its own bucket alone; the last is beyond all.
    pub took: [u64; BUCKETS_MS.len() + 1],
    /// Microseconds that all tickets took together.
    pub took_micros: u64,
    /// Events whose answer waited for the sink.
    pub received: u64,
    /// Of those, the ones that were answered 503 because of it.
    pub dropped: u64,
}

#[derive(Debug)]
pub(crate) struct Counters {
    started: Instant,
    taken: AtomicU64,
    bytes: AtomicU64,
    dead: AtomicU64,
    full: AtomicU64,
    delivered: AtomicU64,
    errored: AtomicU64,
    unknown: AtomicU64,
    rejected: AtomicU64,
    took: [AtomicU64; BUCKETS_MS.len() + 1],
    took_micros: AtomicU64,
    received: AtomicU64,
    dropped: AtomicU64,
    /// Of those dropped, how many have been told in the log, and when the last was.
    told: Mutex<(u64, Option<Instant>)>,
    /// Milliseconds from the start to the last delivery, or to when something was sent while nothing
    /// was under way.
    progress: AtomicU64,
    /// Something was errored after the last delivery.
    troubled: AtomicBool,
    /// The most that was told of messages taken, their bytes, and dead letters: what was offered and not
    /// taken is taken off again, and counters never fall.
    told_most: [AtomicU64; 3],
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            taken: AtomicU64::default(),
            bytes: AtomicU64::default(),
            dead: AtomicU64::default(),
            full: AtomicU64::default(),
            delivered: AtomicU64::default(),
            errored: AtomicU64::default(),
            unknown: AtomicU64::default(),
            rejected: AtomicU64::default(),
            took: Default::default(),
            took_micros: AtomicU64::default(),
            received: AtomicU64::default(),
            dropped: AtomicU64::default(),
            told: Mutex::default(),
            progress: AtomicU64::default(),
            troubled: AtomicBool::default(),
            told_most: Default::default(),
        }
    }
}

fn add(counter: &AtomicU64, count: u64) {
    if count > 0 {
        counter.fetch_add(count, Ordering::Relaxed);
    }
}

fn weight(messages: &[Message<'_>]) -> (u64, u64, u64) {
    let bytes = messages.iter().map(|message| message.body.len() as u64).sum();
    let dead = messages.iter().filter(|message| matches!(message.kind, Kind::Dead(_))).count();
    (messages.len() as u64, bytes, dead as u64)
}

impl Counters {
    /// Counted before they are given to the sink: reports may come before it returns.
    pub(crate) fn offered(&self, messages: &[Message<'_>]) {
        if self.open() == 0 && !self.troubled.load(Ordering::Relaxed) {
            self.progress.store(self.now_ms(), Ordering::Relaxed);
        }
        let (count, bytes, dead) = weight(messages);
        add(&self.taken, count);
        add(&self.bytes, bytes);
        add(&self.dead, dead);
    }

    /// Of those offered, what the sink did not take.
    pub(crate) fn left(&self, messages: &[Message<'_>]) {
        let (count, bytes, dead) = weight(messages);
        if count > 0 {
            self.taken.fetch_sub(count, Ordering::Relaxed);
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.dead.fetch_sub(dead, Ordering::Relaxed);
            add(&self.full, count);
        }
    }

    pub(crate) fn reported(&self, failure: Option<&Failure>) {
        match failure {
            None => {
                self.went_well();
                add(&self.delivered, 1);
            }
            Some(Failure::Errored { unknown, .. }) => {
                add(&self.unknown, u64::from(*unknown));
                self.troubled.store(true, Ordering::Relaxed);
                add(&self.errored, 1);
            }
            // The place answered, so it works.
            Some(Failure::Rejected { .. }) => {
                self.went_well();
                add(&self.rejected, 1);
            }
        }
    }

    fn went_well(&self) {
        self.progress.store(self.now_ms(), Ordering::Relaxed);
        if self.troubled.load(Ordering::Relaxed) {
            self.troubled.store(false, Ordering::Relaxed);
        }
    }

    pub(crate) fn finished(&self, took: Duration) {
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let bucket = BUCKETS_MS.partition_point(|bound| *bound < millis);
        if let Some(counter) = self.took.get(bucket) {
            add(counter, 1);
        }
        add(&self.took_micros, u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    pub(crate) fn received(&self, events: u64) {
        add(&self.received, events);
    }

    /// Answers how many are to be told in the log, where that is due.
    pub(crate) fn dropped(&self, events: u64) -> Option<u64> {
        add(&self.dropped, events);
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let due = told.1.is_none_or(|last| last.elapsed() >= TELL_EVERY);
        let all = self.dropped.load(Ordering::Relaxed);
        let news = all.saturating_sub(told.0);
        if due && news > 0 {
            *told = (all, Some(Instant::now()));
            return Some(news);
        }
        None
    }

    pub(crate) fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn open(&self) -> u64 {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let reported = of(&self.delivered) + of(&self.errored) + of(&self.rejected);
        of(&self.taken).saturating_sub(reported)
    }

    /// For how long nothing has been delivered while something is under way, or while all that was sent
    /// since has been errored.
    pub(crate) fn stalled_for(&self) -> Option<Duration> {
        let since = self.now_ms().saturating_sub(self.progress.load(Ordering::Relaxed));
        let waits = self.open() > 0 || self.troubled.load(Ordering::Relaxed);
        waits.then_some(Duration::from_millis(since))
    }

    pub(crate) fn read(&self) -> OutletStats {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut took = [0; BUCKETS_MS.len() + 1];
        took.iter_mut().zip(&self.took).for_each(|(to, from)| *to = of(from));
        let [taken, bytes, dead] = &self.told_most;
        let most = |told: &AtomicU64, now: u64| told.fetch_max(now, Ordering::Relaxed).max(now);
        OutletStats {
            taken: most(taken, of(&self.taken)),
            bytes: most(bytes, of(&self.bytes)),
            dead: most(dead, of(&self.dead)),
            full: of(&self.full),
            delivered: of(&self.delivered),
            errored: of(&self.errored),
            unknown: of(&self.unknown),
            rejected: of(&self.rejected),
            open: self.open(),
            took,
            took_micros: of(&self.took_micros),
            received: of(&self.received),
            dropped: of(&self.dropped),
        }
    }
}
