//! The reports on messages that were sent together: a [`Ticket`] has one [`Slip`] for each of them, and
//! a slip reports once.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::outlet::counters::Counters;

/// Why a message was not delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It may go well another time.
    Errored {
        why: Arc<str>,
        /// When to try again, where the sink knows.
        retry_after: Option<Duration>,
        /// It may have been written all the same.
        unknown: bool,
    },
    /// It never will: the place refuses this message.
    Rejected {
        /// A stable word.
        code: &'static str,
        why: Arc<str>,
    },
}

/// What became of the messages of a ticket: the failures by their numbers, ascending. The others are
/// delivered.
pub type Reports = Vec<(u32, Failure)>;

type Done = Box<dyn FnOnce(Reports) + Send>;

/// Collects the reports on some messages, and tells them once there is one for each.
pub struct Ticket {
    begun: Instant,
    open: AtomicU32,
    state: Mutex<State>,
    counters: Arc<Counters>,
}

struct State {
    failures: Reports,
    done: Option<Done>,
}

impl Ticket {
    /// A ticket for so many messages. `done` is called once, by the thread of the last report: it
    /// must not block. With no message it is called at once.
    pub(crate) fn new(
        count: u32,
        counters: Arc<Counters>,
        done: impl FnOnce(Reports) + Send + 'static,
    ) -> Arc<Self> {
        let state = State { failures: Vec::new(), done: Some(Box::new(done)) };
        let (open, state) = (AtomicU32::new(count), Mutex::new(state));
        let ticket = Self { begun: Instant::now(), open, state, counters };
        if count == 0 {
            ticket.finish();
        }
        Arc::new(ticket)
    }

    /// The slip of the message with this number. Each number has one.
    #[must_use]
    pub fn slip(self: &Arc<Self>, number: u32) -> Slip {
        Slip { ticket: Some(Arc::clone(self)), number }
    }

    fn report(&self, number: u32, failure: Option<Failure>) {
        self.counters.reported(failure.as_ref());
        if let Some(failure) = failure {
            self.state().failures.push((number, failure));
        }
        // What the other threads noted before theirs is seen by the last one.
        if self.open.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.finish();
        }
    }

    fn finish(&self) {
        let mut state = self.state();
        let mut failures = std::mem::take(&mut state.failures);
        let done = state.done.take();
        drop(state);
        self.counters.finished(self.begun.elapsed());
        failures.sort_unstable_by_key(|(number, _)| *number);
        if let Some(done) = done {
            done(failures);
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The one report on one message. Dropping it reports the message as errored, perhaps written.
#[derive(Debug)]
pub struct Slip {
    ticket: Option<Arc<Ticket>>,
    number: u32,
}

impl Slip {
    /// The place has acknowledged it as the sink's settings ask.
    pub fn delivered(mut self) {
        self.report(None);
    }

    /// It was not delivered.
    pub fn failed(mut self, failure: Failure) {
        self.report(Some(failure));
    }

    /// The message was not taken after all: nothing is reported.
    pub fn give_back(mut self) {
        self.ticket = None;
    }

    fn report(&mut self, failure: Option<Failure>) {
        if let Some(ticket) = self.ticket.take() {
            ticket.report(self.number, failure);
        }
    }
}

impl Drop for Slip {
    fn drop(&mut self) {
        let why = "the sink went away".into();
        self.report(Some(Failure::Errored { why, retry_after: None, unknown: true }));
    }
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ticket({} open)", self.open.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn ticket(count: u32) -> (Arc<Ticket>, mpsc::Receiver<Reports>) {
        let (tell, told) = mpsc::sync_channel(1);
        let counters = Arc::new(Counters::default());
        (Ticket::new(count, counters, move |reports| tell.send(reports).expect("heard")), told)
    }

    fn failure() -> Failure {
        Failure::Rejected { code: "too-large", why: "x".into() }
    }

    #[test]
    fn it_tells_once_after_the_last_report_and_in_order() {
        let (ticket, told) = ticket(4);
        let [a, b, c, d] = [0, 1, 2, 3].map(|number| ticket.slip(number));
        d.failed(failure());
        b.delivered();
        drop(a);
        assert!(told.try_recv().is_err());
        c.delivered();
        let reports = told.try_recv().expect("told");
        assert_eq!(reports.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [0, 3]);
        assert!(matches!(reports[0].1, Failure::Errored { unknown: true, .. }));
        assert_eq!(reports[1].1, failure());
        drop(ticket);
        assert!(told.recv().is_err(), "it is told once");
    }

    #[test]
    fn nothing_is_done_at_once() {
        assert_eq!(ticket(0).1.try_recv(), Ok(Vec::new()));
    }
}
