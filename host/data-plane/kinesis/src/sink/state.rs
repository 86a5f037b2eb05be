//! How the streams are, as far as it is known, and what the log is told of it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tidegate_telemetry::Page;
use tidegate_telemetry::metrics::sinks as metrics;

use crate::backlog::Place;
use crate::options::KinesisOptions;

/// What a stream says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Looks {
    pub(super) shards: i32,
    pub(super) retention_hours: i32,
    pub(super) record_bytes: usize,
    pub(super) status: String,
}

#[derive(Debug, Default)]
struct State {
    stream: String,
    looks: Option<Looks>,
    /// Why it could not be looked at last.
    unseen: Option<String>,
    /// Why the last call stored nothing.
    trouble: Option<String>,
    /// A call has stored something.
    has_stored: bool,
}

/// The streams.
#[derive(Debug)]
pub(super) struct States([Mutex<State>; 2]);

impl States {
    pub(super) fn new(options: &KinesisOptions) -> Self {
        let state =
            |stream: &str| Mutex::new(State { stream: stream.to_owned(), ..State::default() });
        Self([state(&options.stream), state(options.dead_letters.as_deref().unwrap_or_default())])
    }

    fn state(&self, place: Place) -> MutexGuard<'_, State> {
        let [events, dead_letters] = &self.0;
        let state = match place {
            Place::Events => events,
            Place::DeadLetters => dead_letters,
        };
        state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers what it looked like before.
    pub(super) fn looked(&self, place: Place, looks: Looks) -> Option<Looks> {
        let mut state = self.state(place);
        if state.unseen.take().is_some() {
            tracing::info!(stream = state.stream, "the stream can be looked at again");
        }
        state.looks.replace(looks)
    }

    /// Told once, and again when the reason changes.
    pub(super) fn looked_in_vain(&self, place: Place, why: String) {
        let mut state = self.state(place);
        if state.unseen.as_ref() != Some(&why) {
            tracing::warn!(stream = state.stream, why, "the stream cannot be looked at");
            state.unseen = Some(why);
        }
    }

    /// A call has ended; with what trouble, if it stored nothing.
    pub(super) fn called(&self, place: Place, trouble: Option<String>) {
        let mut state = self.state(place);
        match (&state.trouble, &trouble) {
            (Some(_), None) => {
                tracing::info!(stream = state.stream, "the stream stores records again")
            }
            (None, Some(why)) => {
                tracing::warn!(stream = state.stream, why, "the stream stores nothing")
            }
            (None, None) | (Some(_), Some(_)) => {}
        }
        state.has_stored |= trouble.is_none();
        state.trouble = trouble;
    }

    /// Is it a stream that takes records, as far as it itself goes?
    pub(super) fn is_known(&self, place: Place) -> bool {
        let state = self.state(place);
        state.looks.is_some() || state.has_stored
    }

    /// Why the stream for events cannot be written to, otherwise why that for dead letters cannot.
    pub(super) fn failing(&self) -> Option<String> {
        Place::ALL.into_iter().find_map(|place| {
            let state = self.state(place);
            // Where it can be written to, it does not matter that it may not be looked at.
            let is_known = state.looks.is_some() || state.has_stored;
            let unseen = state.unseen.as_ref().filter(|_| !is_known);
            let why = state.trouble.as_ref().or(unseen)?;
            Some(format!("stream {}: {why}", state.stream))
        })
    }

    pub(super) fn report(&self, sink: &str, page: &mut Page) {
        for place in Place::ALL {
            let state = self.state(place);
            let Some(looks) = &state.looks else { continue };
            let labels = [sink, state.stream.as_str()];
            let shards = u64::try_from(looks.shards).unwrap_or(0);
            let retention = u64::try_from(looks.retention_hours).unwrap_or(0) * 3600;
            page.put(&metrics::KINESIS_SHARDS, &labels, shards);
            page.put(&metrics::KINESIS_RETENTION, &labels, retention);
            page.put(&metrics::KINESIS_RECORD_LIMIT, &labels, looks.record_bytes);
        }
    }
}
