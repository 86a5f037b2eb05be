//! A place that keeps what it is sent in order, and does with it what its script says.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use tidegate_sinks::{Failure, Kind, Message, Sink, Slip, Ticket};
use tidegate_telemetry::Page;

/// A message as the place has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) number: u64,
    pub(crate) key: String,
    pub(crate) body: Vec<u8>,
    /// The code of a dead letter, and for how many it stands.
    pub(crate) dead: Option<(String, u64)>,
}

#[derive(Default)]
pub(crate) struct State {
    generation: u64,
    waiting: VecDeque<(Kept, Slip)>,
    /// What the place has, in order; dead letters apart.
    pub(crate) topic: Vec<Kept>,
    pub(crate) letters: Vec<Kept>,
}

#[derive(Default)]
pub(crate) struct Place {
    /// Messages that wait at most.
    pub(crate) room: usize,
    pub(crate) state: Mutex<State>,
    changed: Condvar,
}

/// What is done with the next message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Next {
    Deliver,
    Reject,
    RejectTooLarge,
    /// The place fails as a whole: everything that waits is errored. So many of the first are there all
    /// the same.
    Fail {
        kept: usize,
    },
}

impl Place {
    pub(crate) fn new(room: usize) -> Arc<Self> {
        Arc::new(Self { room, ..Self::default() })
    }

    pub(crate) fn is_waited_for(&self) -> bool {
        !self.state.lock().unwrap().waiting.is_empty()
    }

    /// Does something with the first message that waits; answers the number where there was one, and
    /// the numbers of those that errored although they are there.
    pub(crate) fn act(&self, next: Next) -> Option<(u64, Vec<u64>)> {
        let mut state = self.state.lock().unwrap();
        let (kept, slip) = state.waiting.pop_front()?;
        let number = kept.number;
        let is_letter = kept.dead.is_some();
        let mut there = Vec::new();
        match next {
            Next::Reject if !is_letter => {
                slip.failed(Failure::Rejected { code: "refused", why: "no".into() });
            }
            Next::RejectTooLarge if !kept.body.is_empty() => {
                slip.failed(Failure::Rejected { code: "too-large", why: "no".into() });
            }
            Next::Deliver | Next::Reject | Next::RejectTooLarge => {
                state.keep(kept);
                slip.delivered();
            }
            Next::Fail { kept: count } => {
                state.generation += 1;
                state.waiting.push_front((kept, slip));
                let all: Vec<_> = state.waiting.drain(..).collect();
                for (at, (kept, slip)) in all.into_iter().enumerate() {
                    let unknown = at < count;
                    if unknown {
                        there.push(kept.number);
                        state.keep(kept);
                    }
                    slip.failed(Failure::Errored {
                        why: "down".into(),
                        retry_after: None,
                        unknown,
                    });
                }
            }
        }
        self.changed.notify_all();
        Some((number, there))
    }
}

impl State {
    fn keep(&mut self, kept: Kept) {
        if kept.dead.is_some() { self.letters.push(kept) } else { self.topic.push(kept) }
    }
}

impl Sink for Place {
    fn send(&self, messages: &[Message<'_>], ticket: &Arc<Ticket>, first: u32) -> usize {
        let mut state = self.state.lock().unwrap();
        let taken = messages.len().min(self.room.saturating_sub(state.waiting.len()));
        for (number, message) in (first..).zip(&messages[..taken]) {
            if message.generation.is_some_and(|wanted| wanted != state.generation) {
                let (why, retry_after) = ("another time".into(), None);
                ticket.slip(number).failed(Failure::Errored { why, retry_after, unknown: false });
                continue;
            }
            let kept = Kept {
                number: message.event_id.received_at().0,
                key: message.partition_key.to_owned(),
                body: message.body.to_vec(),
                dead: match message.kind {
                    Kind::Dead(reason) => Some((reason.code.to_owned(), reason.stands_for)),
                    Kind::Accepted | Kind::Quarantined { .. } => None,
                },
            };
            state.waiting.push_back((kept, ticket.slip(number)));
        }
        taken
    }

    fn generation(&self) -> u64 {
        self.state.lock().unwrap().generation
    }

    fn wait_for_room(&self, timeout: Duration) {
        let state = self.state.lock().unwrap();
        let full = |state: &mut State| state.waiting.len() >= self.room;
        drop(self.changed.wait_timeout_while(state, timeout, full));
    }

    fn failing(&self) -> Option<String> {
        None
    }

    fn flush(&self, _: Duration) -> bool {
        !self.is_waited_for()
    }

    fn report(&self, _: &str, _: &mut Page) {}
}
