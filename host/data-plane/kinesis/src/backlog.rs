//! What waits to be stored: a lane for each partition key, whose first record alone may be under way.
//!
//! Nothing here waits or calls: it is given the time and the answers, and says which calls are to be made
//! and what is to be reported. So tests can go through all that may happen.
//!
//! A lane is ready (its first record may be sent), waits (for the end of a pause after a failure of
//! that record), or is under way. A record leaves its lane when it is stored or refused, or when its
//! latest moment has passed and no call has it. Without order every record has a lane of its own.
//!
//! | answer | the record |
//! |---|---|
//! | stored | delivered |
//! | its entry failed | the lane waits; the pause doubles with each failure |
//! | its entry was refused | rejected |
//! | the call was refused | goes again in half the company, alone at last; alone: rejected |
//! | the call failed | ready again at once, and the whole stream pauses |

mod deadlines;
mod lane;
mod place;
mod settle;
mod take;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ahash::AHashMap;
use rand::rngs::SmallRng;
use rand::{Rng as _, SeedableRng as _};
use tidegate_sinks::Failure;

use crate::options::{KinesisOptions, Ordering};
pub(crate) use lane::Draft;
use lane::{Lane, LaneId, Record, State};
use place::Side;
pub(crate) use place::{Limits, Place};
pub(crate) use settle::{Answer, Entry, Trouble};
pub(crate) use take::too_large;

/// What a record costs beside its bytes: its place in the lane, the key, the slip.
const OVERHEAD: usize = 256;

/// What became of a message, for its slip.
pub(crate) type Report<S> = (S, Result<(), Failure>);

/// A call to be made. Whoever has it answers it by [`Backlog::settle`], whatever happens.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) place: Place,
    pub(crate) entries: Vec<CallEntry>,
}

#[derive(Debug)]
pub(crate) struct CallEntry {
    lane: LaneId,
    number: u64,
    pub(crate) data: Arc<Vec<u8>>,
}

impl CallEntry {
    pub(crate) fn key(&self) -> &str {
        &self.lane.key
    }
}

/// What is to be done now.
#[derive(Debug)]
pub(crate) struct Step<S> {
    pub(crate) calls: Vec<Call>,
    pub(crate) reports: Vec<Report<S>>,
    /// When to ask again, if nothing happens before.
    pub(crate) wake: Option<Instant>,
}

/// Everything that waits or is under way. `S` is what reports go to.
#[derive(Debug)]
pub(crate) struct Backlog<S> {
    options: KinesisOptions,
    lanes: AHashMap<LaneId, Lane<S>>,
    sides: [Side; 2],
    /// Latest moments of the records that have one.
    deadlines: BTreeMap<(Instant, u64), LaneId>,
    next_number: u64,
    messages: usize,
    bytes: usize,
    calls: usize,
    /// Nobody waits for company.
    hurry: bool,
    random: SmallRng,
}

impl<S> Backlog<S> {
    pub(crate) fn new(options: &KinesisOptions, seed: u64) -> Self {
        Self {
            options: options.clone(),
            lanes: AHashMap::new(),
            sides: [Side::default(), Side::default()],
            deadlines: BTreeMap::new(),
            next_number: 0,
            messages: 0,
            bytes: 0,
            calls: 0,
            hurry: false,
            random: SmallRng::seed_from_u64(seed),
        }
    }

    /// Is there room for a record with so many bytes? One that is larger than all the room may be alone.
    pub(crate) fn fits(&self, size: usize) -> bool {
        let bytes = self.bytes.saturating_add(size).saturating_add(OVERHEAD);
        let has_room = bytes <= self.options.queue_bytes || self.messages == 0;
        self.messages < self.options.queue_messages && has_room
    }

    pub(crate) fn messages(&self) -> usize {
        self.messages
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls
    }

    /// From here on nobody waits for company, or does again.
    pub(crate) fn set_hurry(&mut self, hurry: bool) {
        self.hurry = hurry;
    }

    pub(crate) fn limits(&self, place: Place) -> Limits {
        self.side(place).limits
    }

    pub(crate) fn set_limits(&mut self, place: Place, limits: Limits) {
        self.side_mut(place).limits = limits;
    }

    /// Puts a record behind those of its key.
    pub(crate) fn push(&mut self, draft: Draft<S>, now: Instant) {
        let number = self.next_number;
        self.next_number += 1;
        let alone = match self.options.ordering {
            Ordering::PerKey => None,
            Ordering::None => Some(number),
        };
        let id = LaneId { place: draft.place, key: draft.key, alone };
        if let Some(latest) = draft.latest {
            self.deadlines.insert((latest, number), id.clone());
        }
        self.messages += 1;
        let record = Record {
            number,
            data: Arc::new(draft.data),
            due: now + self.options.batch.linger,
            slip: Some(draft.slip),
            latest: draft.latest,
            failures: 0,
            company: self.options.batch.records,
            is_unknown: false,
            is_throttled: false,
            why: None,
        };
        self.bytes += record.size(&id) + OVERHEAD;
        let lane = self.lanes.entry(id.clone()).or_default();
        lane.records.push_back(record);
        if lane.records.len() == 1 {
            self.make_ready(&id);
        }
    }

    /// What is to be done now.
    pub(crate) fn step(&mut self, now: Instant) -> Step<S> {
        let mut reports = Vec::new();
        self.expire(now, &mut reports);
        self.end_pauses(now);
        let mut calls = Vec::new();
        for place in Place::ALL {
            while let Some(call) = self.take(place, now, &mut reports) {
                calls.push(call);
            }
        }
        Step { calls, reports, wake: self.next_wake(now) }
    }

    /// Everything that has not been reported.
    pub(crate) fn clear(&mut self) -> Vec<S> {
        self.deadlines.clear();
        (self.messages, self.bytes) = (0, 0);
        self.sides = [Side::default(), Side::default()];
        let lanes = std::mem::take(&mut self.lanes);
        lanes.into_values().flat_map(|lane| lane.records).filter_map(|record| record.slip).collect()
    }

    fn next_wake(&self, now: Instant) -> Option<Instant> {
        let latest = self.deadlines.keys().next().map(|(latest, _)| *latest);
        let sides = self.sides.iter().filter_map(|side| {
            let waiting = side.waiting.keys().next().map(|(until, _)| *until);
            let ready = side.ready.keys().next().map(|(due, _)| *due);
            // Where calls are too many already, the end of one wakes.
            let ready = ready.filter(|_| self.calls < self.options.calls);
            let ready = ready.map(|due| side.paused_until.map_or(due, |until| due.max(until)));
            waiting.into_iter().chain(ready).min()
        });
        sides.chain(latest).min().map(|wake| wake.max(now))
    }

    /// Half of it is left to chance, so that those who failed together do not come back together.
    fn pause(&mut self, failures: u32) -> Duration {
        let doubled =
            self.options.retry_first.saturating_mul(1 << failures.saturating_sub(1).min(20));
        let most = doubled.min(self.options.retry_most);
        most.mul_f64(self.random.random_range(0.5..=1.0))
    }

    fn side(&self, place: Place) -> &Side {
        let [events, dead_letters] = &self.sides;
        match place {
            Place::Events => events,
            Place::DeadLetters => dead_letters,
        }
    }

    fn side_mut(&mut self, place: Place) -> &mut Side {
        let [events, dead_letters] = &mut self.sides;
        match place {
            Place::Events => events,
            Place::DeadLetters => dead_letters,
        }
    }
}

#[cfg(test)]
mod tests;
