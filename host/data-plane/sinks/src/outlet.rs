//! A sink in use: it has a name, counts what becomes of messages, and knows whether the sink works.
//!
//! The breaker is for answers that wait for the sink. It opens when messages are under way and none of
//! them has been reported delivered for some time, or when all have been errored for as long, and
//! closes with the next delivery. While it is open, requests are answered 503 at once. What is under way
//! tries the sink; where nothing is, one request now and then is let through to try it.

pub(crate) mod counters;
mod outlets;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tidegate_types::SinkName;

use crate::message::Message;
use crate::sink::Sink;
use crate::ticket::{Reports, Ticket};
use counters::Counters;
pub use counters::{BUCKETS_MS, OutletStats};
pub use outlets::Outlets;

/// When a sink counts as one that does not work.
#[derive(Clone, Copy, Debug)]
pub struct OutletOptions {
    /// Without a delivery for so long, while messages are under way, the breaker opens. 5 s.
    pub stall_after: Duration,
    /// While it is open and nothing is under way, one request in so long is let through. 1 s.
    pub probe_every: Duration,
}

impl Default for OutletOptions {
    fn default() -> Self {
        Self { stall_after: Duration::from_secs(5), probe_every: Duration::from_secs(1) }
    }
}

/// Does the sink work?
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    Working,
    /// Nothing was delivered for so long.
    Stalled {
        since: Duration,
        /// What the sink says of it, where it says something.
        why: Option<String>,
    },
}

/// A sink in use.
pub struct Outlet {
    name: SinkName,
    sink: Arc<dyn Sink>,
    counters: Arc<Counters>,
    options: OutletOptions,
    /// Milliseconds from `counters`' start to the last probe.
    probed: AtomicU64,
}

impl Outlet {
    #[must_use]
    pub fn new(name: SinkName, sink: Arc<dyn Sink>, options: OutletOptions) -> Self {
        Self { name, sink, counters: Arc::default(), options, probed: AtomicU64::new(0) }
    }

    #[must_use]
    pub fn name(&self) -> &SinkName {
        &self.name
    }

    #[must_use]
    pub fn sink(&self) -> &Arc<dyn Sink> {
        &self.sink
    }

    /// A ticket for messages that are about to be sent here: `done` is told what became of them, by
    /// a thread of the sink, and must not block.
    pub fn ticket(&self, count: u32, done: impl FnOnce(Reports) + Send + 'static) -> Arc<Ticket> {
        Ticket::new(count, Arc::clone(&self.counters), done)
    }

    /// Sends messages in their order, the first as number `first` of the ticket. Answers how many were
    /// taken: the others have not been reported.
    pub fn send(&self, messages: &[Message<'_>], ticket: &Arc<Ticket>, first: u32) -> usize {
        self.counters.offered(messages);
        let taken = self.sink.send(messages, ticket, first);
        let left = messages.get(taken..).unwrap_or_default();
        self.counters.left(left);
        taken
    }

    /// Is there any sense in waiting for a message that is sent now? While the breaker is open, now and
    /// then, and only where nothing is under way that tells as much.
    #[must_use]
    pub fn admits(&self) -> bool {
        match self.counters.stalled_for() {
            Some(since) if since >= self.options.stall_after => {
                self.counters.read().open == 0 && self.may_probe()
            }
            Some(_) | None => true,
        }
    }

    fn may_probe(&self) -> bool {
        let every = u64::try_from(self.options.probe_every.as_millis()).unwrap_or(u64::MAX);
        let (now, last) = (self.counters.now_ms(), self.probed.load(Ordering::Relaxed));
        let due = now.saturating_sub(last) >= every;
        due && self.probed.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// Events whose answer waits for this sink.
    pub fn received(&self, events: u64) {
        self.counters.received(events);
        self.sink.count(events, 0);
    }

    /// Events that were answered 503 because of this sink: counted, and told in the log now and then.
    pub fn dropped(&self, events: u64, why: &str) {
        self.sink.count(0, events);
        if let Some(events) = self.counters.dropped(events) {
            let sink = self.name.as_str();
            tracing::warn!(sink, events, why, "events put off, the sink does not take them");
        }
    }

    #[must_use]
    pub fn standing(&self) -> Standing {
        match self.counters.stalled_for() {
            Some(since) if since >= self.options.stall_after => {
                Standing::Stalled { since, why: self.sink.failing() }
            }
            Some(_) | None => Standing::Working,
        }
    }

    #[must_use]
    pub fn stats(&self) -> OutletStats {
        self.counters.read()
    }

    /// Waits until everything that was taken is reported, up to a moment. Blocks.
    #[must_use]
    pub fn flush(&self, until: Instant) -> bool {
        self.sink.flush(until.saturating_duration_since(Instant::now()))
    }
}

#[cfg(test)]
mod tests;
