//! Lanes, and how one becomes ready, waits, or ends.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::{Backlog, OVERHEAD, Place};

/// A record that is to be put into the backlog.
#[derive(Debug)]
pub(crate) struct Draft<S> {
    pub(crate) place: Place,
    pub(crate) key: Arc<str>,
    pub(crate) data: Vec<u8>,
    pub(crate) slip: S,
    pub(crate) latest: Option<Instant>,
}

/// Which lane: that of a key, or, without order, that of one record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct LaneId {
    pub(super) place: Place,
    pub(super) key: Arc<str>,
    pub(super) alone: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Lane<S> {
    /// In the order in which they came: their numbers ascend.
    pub(super) records: VecDeque<Record<S>>,
    pub(super) state: State,
}

impl<S> Default for Lane<S> {
    fn default() -> Self {
        Self { records: VecDeque::new(), state: State::UnderWay }
    }
}

/// What the first record of a lane does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Ready { due: Instant },
    Waiting { until: Instant },
    UnderWay,
}

#[derive(Debug)]
pub(super) struct Record<S> {
    pub(super) number: u64,
    pub(super) data: Arc<Vec<u8>>,
    /// When it has waited long enough for others.
    pub(super) due: Instant,
    /// None once it is reported while a call has it.
    pub(super) slip: Option<S>,
    pub(super) latest: Option<Instant>,
    pub(super) failures: u32,
    /// With how many it may be in a call, itself among them.
    pub(super) company: usize,
    /// A call that had it ended without an answer: it may be stored.
    pub(super) is_unknown: bool,
    /// Its last failure was that of a stream with too much to do.
    pub(super) is_throttled: bool,
    pub(super) why: Option<Arc<str>>,
}

impl<S> Record<S> {
    /// Data and key, as Kinesis counts.
    pub(super) fn size(&self, lane: &LaneId) -> usize {
        self.data.len() + lane.key.len()
    }
}

impl<S> Backlog<S> {
    /// The first record of a lane may be sent.
    pub(super) fn make_ready(&mut self, id: &LaneId) {
        let Some(lane) = self.lanes.get_mut(id) else { return };
        let Some(first) = lane.records.front() else { return };
        let (due, number, size) = (first.due, first.number, first.size(id));
        lane.state = State::Ready { due };
        let side = self.side_mut(id.place);
        side.ready.insert((due, number), id.clone());
        side.ready_bytes += size;
    }

    /// The first record of a lane has to wait.
    pub(super) fn make_wait(&mut self, id: &LaneId, until: Instant) {
        let Some(lane) = self.lanes.get_mut(id) else { return };
        let Some(first) = lane.records.front() else { return };
        let number = first.number;
        lane.state = State::Waiting { until };
        self.side_mut(id.place).waiting.insert((until, number), id.clone());
    }

    /// Takes the first record out of whatever its lane was in.
    pub(super) fn unlist_first(&mut self, id: &LaneId) {
        let Some(lane) = self.lanes.get_mut(id) else { return };
        let Some(first) = lane.records.front() else { return };
        let (number, size, state) = (first.number, first.size(id), lane.state);
        lane.state = State::UnderWay;
        let side = self.side_mut(id.place);
        match state {
            State::Ready { due } => {
                side.ready.remove(&(due, number));
                side.ready_bytes = side.ready_bytes.saturating_sub(size);
            }
            State::Waiting { until } => {
                side.waiting.remove(&(until, number));
            }
            State::UnderWay => {}
        }
    }

    /// Removes the first record of a lane that is listed nowhere; the next one is ready.
    pub(super) fn pop_first(&mut self, id: &LaneId) -> Option<Record<S>> {
        let lane = self.lanes.get_mut(id)?;
        let record = lane.records.pop_front()?;
        let is_empty = lane.records.is_empty();
        if is_empty {
            self.lanes.remove(id);
        } else {
            self.make_ready(id);
        }
        self.forget(id, &record);
        Some(record)
    }

    /// A record has left its lane.
    pub(super) fn forget(&mut self, id: &LaneId, record: &Record<S>) {
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(record.size(id) + OVERHEAD);
        if let Some(latest) = record.latest {
            self.deadlines.remove(&(latest, record.number));
        }
    }
}
