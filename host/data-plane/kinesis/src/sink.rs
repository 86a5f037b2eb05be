//! The sink: takes messages on any thread, and has tasks that call PutRecords and watch the streams.

mod call;
mod driver;
mod state;
mod stats;
mod watch;

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tidegate_sinks::{Failure, Kind, Message, Sink, Slip, Ticket};
use tidegate_telemetry::Page;
use tidegate_telemetry::metrics::sinks as metrics;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::backlog::{Backlog, Draft, Place, Report, too_large};
use crate::envelope;
use crate::options::{KinesisOptions, OptionsError};
use state::States;
use stats::Stats;

/// The longest partition key, in characters: a limit of Kinesis.
const MOST_KEY_CHARS: usize = 256;

/// Writes messages to a Kinesis stream.
pub struct KinesisSink {
    shared: Arc<Shared>,
    driver: AbortHandle,
}

/// What the sink and its tasks share.
struct Shared {
    options: KinesisOptions,
    inner: Mutex<Inner>,
    /// There is something for the driver to look at.
    wake: Notify,
    /// Something has left the backlog.
    room: Condvar,
    stats: Stats,
    states: States,
}

struct Inner {
    backlog: Backlog<Slip>,
    /// How large the record was that found no room.
    wanted: Option<usize>,
}

impl KinesisSink {
    /// Starts the sink's tasks in the runtime that this is called in. A stream that is not there, or may not
    /// be written to, is no error here: it is told in the log and by [`Sink::failing`], and tried again.
    ///
    /// # Errors
    /// Where a setting cannot be, or there is no runtime.
    pub fn start(options: KinesisOptions) -> Result<Arc<Self>, OptionsError> {
        options.check()?;
        let runtime = Handle::try_current().map_err(|_| OptionsError::NoRuntime)?;
        let backlog = Backlog::new(&options, rand::random());
        let shared = Arc::new(Shared {
            states: States::new(&options),
            options,
            inner: Mutex::new(Inner { backlog, wanted: None }),
            wake: Notify::new(),
            room: Condvar::new(),
            stats: Stats::default(),
        });
        let driver = runtime.spawn(driver::run(Arc::clone(&shared))).abort_handle();
        Ok(Arc::new(Self { shared, driver }))
    }
}

impl Sink for KinesisSink {
    fn send(&self, messages: &[Message<'_>], ticket: &Arc<Ticket>, first: u32) -> usize {
        let mut taken = 0;
        for (number, message) in (first..).zip(messages) {
            if !self.shared.take(message, || ticket.slip(number)) {
                break;
            }
            taken += 1;
        }
        if taken > 0 {
            self.shared.wake.notify_one();
        }
        taken
    }

    fn wait_for_room(&self, timeout: Duration) {
        let until = Instant::now() + timeout;
        let mut inner = self.shared.inner();
        while inner.wanted.is_some_and(|size| !inner.backlog.fits(size)) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            inner = self.shared.wait(inner, left);
        }
    }

    fn failing(&self) -> Option<String> {
        self.shared.states.failing()
    }

    fn flush(&self, timeout: Duration) -> bool {
        let until = Instant::now() + timeout;
        let mut inner = self.shared.inner();
        inner.backlog.set_hurry(true);
        self.shared.wake.notify_one();
        while inner.backlog.messages() > 0 {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            inner = self.shared.wait(inner, left);
        }
        inner.backlog.set_hurry(false);
        inner.backlog.messages() == 0
    }

    fn count(&self, received: u64, dropped: u64) {
        if let Some(counts) = &self.shared.options.counts {
            counts.received(received);
            counts.dropped(dropped);
        }
    }

    fn report(&self, name: &str, page: &mut Page) {
        let (waiting, bytes, calls) = {
            let inner = self.shared.inner();
            (inner.backlog.messages(), inner.backlog.bytes(), inner.backlog.calls())
        };
        page.put(&metrics::KINESIS_WAITING_RECORDS, &[name], waiting);
        page.put(&metrics::KINESIS_WAITING_BYTES, &[name], bytes);
        page.put(&metrics::KINESIS_CALLS_UNDER_WAY, &[name], calls);
        self.shared.stats.report(name, page);
        self.shared.states.report(name, page);
    }
}

impl Drop for KinesisSink {
    fn drop(&mut self) {
        self.driver.abort();
        // Reported here, whatever the tasks still do.
        let slips = self.shared.inner().backlog.clear();
        drop(slips);
    }
}

impl Shared {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, inner: MutexGuard<'a, Inner>, time: Duration) -> MutexGuard<'a, Inner> {
        self.room.wait_timeout(inner, time).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Takes a message, if there is room. What can never be stored is taken and rejected.
    fn take(&self, message: &Message<'_>, slip: impl FnOnce() -> Slip) -> bool {
        if !self.has_room(0) {
            return false;
        }
        let place = match message.kind {
            Kind::Accepted | Kind::Quarantined { .. } => Place::Events,
            Kind::Dead(_) => Place::DeadLetters,
        };
        let reject = |slip: Slip, failure| {
            self.stats.rejected(1);
            slip.failed(failure);
            true
        };
        if place == Place::DeadLetters && self.options.dead_letters.is_none() {
            let why = "there is no stream for dead letters".into();
            return reject(slip(), Failure::Rejected { code: "no-dead-letters", why });
        }
        let Ok(data) = envelope::encode(message, self.options.envelope) else {
            let why = "the event is no JSON object, so nothing can be put into it".into();
            return reject(slip(), Failure::Rejected { code: "not-an-object", why });
        };
        let key = partition_key(message.partition_key);
        let size = data.len() + key.len();
        let mut inner = self.inner();
        let limit = inner.backlog.limits(place).record_bytes();
        if size > limit {
            drop(inner);
            return reject(slip(), too_large(size, limit));
        }
        if !inner.backlog.fits(size) {
            inner.wanted = Some(size);
            return false;
        }
        inner.wanted = None;
        let draft = Draft { place, key: key.into(), data, slip: slip(), latest: message.latest };
        inner.backlog.push(draft, Instant::now());
        true
    }

    fn has_room(&self, size: usize) -> bool {
        let mut inner = self.inner();
        let has_room = inner.backlog.fits(size);
        if !has_room {
            inner.wanted = Some(size);
        }
        has_room
    }

    /// Reports, without the lock: who is told may send again.
    fn report(&self, reports: Vec<Report<Slip>>) {
        if reports.is_empty() {
            return;
        }
        self.room.notify_all();
        for (slip, result) in reports {
            match result {
                Ok(()) => {
                    self.stats.stored(1);
                    slip.delivered();
                }
                Err(failure) => {
                    if matches!(failure, Failure::Rejected { .. }) {
                        self.stats.rejected(1);
                    }
                    slip.failed(failure);
                }
            }
        }
    }
}

/// Keys that are too long are cut: alike ones still go one after the other to one shard.
fn partition_key(key: &str) -> &str {
    key.char_indices().nth(MOST_KEY_CHARS).and_then(|(end, _)| key.get(..end)).unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_keys_are_cut_between_characters() {
        for (key, chars) in [("k".to_owned(), 1), ("k".repeat(256), 256), ("é".repeat(257), 256)] {
            let cut = partition_key(&key);
            assert_eq!(cut.chars().count(), chars);
            assert!(key.starts_with(cut));
        }
    }
}
