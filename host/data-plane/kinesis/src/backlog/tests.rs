//! The backlog against a stream that a test plays: what it stores, what it says, and when.

mod model;
mod patterns;
mod single;

use std::collections::BTreeMap;

use super::*;

/// What the stream does with an entry, and what the caller hears of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Store,
    Fail,
    Throttle,
}

/// A backlog, the time, and a stream.
struct World {
    backlog: Backlog<usize>,
    now: Instant,
    /// Calls that have not been answered.
    open: Vec<Call>,
    /// Messages that the stream has stored, in its order.
    stored: Vec<usize>,
    /// Messages that were in a call without an answer.
    doubtful: Vec<usize>,
    keys: Vec<&'static str>,
    reports: BTreeMap<usize, Result<(), Failure>>,
}

impl World {
    fn new(change: impl FnOnce(&mut KinesisOptions)) -> Self {
        let mut options = KinesisOptions::new("events");
        change(&mut options);
        options.check().unwrap();
        let backlog = Backlog::new(&options, 7);
        let mut world = Self {
            backlog,
            now: Instant::now(),
            open: Vec::new(),
            stored: Vec::new(),
            doubtful: Vec::new(),
            keys: Vec::new(),
            reports: BTreeMap::new(),
        };
        for place in Place::ALL {
            world.backlog.set_limits(place, Limits::Told { record_bytes: 1 << 20 });
        }
        world
    }

    fn push(&mut self, key: &'static str, latest: Option<Duration>) -> usize {
        self.push_size(key, latest, 0)
    }

    /// A message whose data is its number, filled up to a size.
    fn push_size(&mut self, key: &'static str, latest: Option<Duration>, size: usize) -> usize {
        let number = self.keys.len();
        self.keys.push(key);
        let mut data = number.to_string().into_bytes();
        data.resize(data.len().max(size.saturating_sub(key.len())), b' ');
        let latest = latest.map(|after| self.now + after);
        let place = Place::Events;
        let draft = Draft { place, key: key.into(), data, slip: number, latest };
        self.backlog.push(draft, self.now);
        number
    }

    /// Takes the calls that are due; answers how many.
    fn step(&mut self) -> usize {
        let step = self.backlog.step(self.now);
        self.report(step.reports);
        let count = step.calls.len();
        for call in &step.calls {
            assert!((1..=500).contains(&call.entries.len()));
        }
        self.open.extend(step.calls);
        self.assert_one_under_way_for_each_key();
        count
    }

    fn assert_one_under_way_for_each_key(&self) {
        if self.backlog.options.ordering == Ordering::None {
            return;
        }
        let mut keys: Vec<&str> =
            self.open.iter().flat_map(|call| &call.entries).map(CallEntry::key).collect();
        keys.sort_unstable();
        let count = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), count, "a key is under way twice");
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    /// To the next moment at which there is something to do.
    fn pass_to_wake(&mut self) {
        let step = self.backlog.step(self.now);
        let wake = step.wake;
        self.report(step.reports);
        self.open.extend(step.calls);
        if let Some(wake) = wake {
            self.now = self.now.max(wake);
        }
    }

    fn messages(call: &Call) -> Vec<usize> {
        let number = |entry: &CallEntry| {
            let text = String::from_utf8(entry.data.to_vec()).unwrap();
            text.trim().parse().unwrap()
        };
        call.entries.iter().map(number).collect()
    }

    /// Answers the oldest call, entry by entry.
    fn answer(&mut self, mut fate: impl FnMut(usize) -> Fate) {
        let call = self.open.remove(0);
        let messages = Self::messages(&call);
        let mut results = Vec::new();
        for (at, message) in messages.into_iter().enumerate() {
            let (why, is_throttled) = ("as the test says".into(), false);
            results.push(match fate(at) {
                Fate::Store => {
                    self.stored.push(message);
                    Entry::Stored
                }
                Fate::Fail => Entry::Failed { why, is_throttled },
                Fate::Throttle => Entry::Failed { why, is_throttled: true },
            });
        }
        let reports = self.backlog.settle(call, Answer::Entries(results), self.now);
        self.report(reports);
    }

    /// The oldest call fails as a whole; the stream may have stored it all the same.
    fn fail(&mut self, is_unknown: bool, is_throttled: bool, stores: bool) {
        let call = self.open.remove(0);
        let messages = Self::messages(&call);
        if is_unknown {
            self.doubtful.extend(&messages);
        }
        if stores {
            self.stored.extend(&messages);
        }
        let trouble = Trouble { why: "as the test says".into(), is_unknown, is_throttled };
        let reports = self.backlog.settle(call, Answer::Failed(trouble), self.now);
        self.report(reports);
    }

    fn refuse(&mut self) {
        let call = self.open.remove(0);
        let reports = self.backlog.settle(call, Answer::Refused("bad".into()), self.now);
        self.report(reports);
    }

    fn report(&mut self, reports: Vec<Report<usize>>) {
        for (message, result) in reports {
            if let Err(Failure::Errored { unknown, .. }) = &result {
                let mut under_way = self.open.iter().flat_map(Self::messages);
                let is_doubtful =
                    self.doubtful.contains(&message) || under_way.any(|other| other == message);
                assert_eq!(*unknown, is_doubtful, "{message}");
            }
            assert!(self.reports.insert(message, result).is_none(), "{message} is reported twice");
        }
    }

    fn delivered(&self) -> Vec<usize> {
        let delivered = self.reports.iter().filter(|(_, result)| result.is_ok());
        delivered.map(|(message, _)| *message).collect()
    }

    /// Everything that is left is stored.
    fn finish(&mut self) {
        for _ in 0..100_000 {
            while !self.open.is_empty() {
                self.answer(|_| Fate::Store);
            }
            if self.backlog.messages() == 0 && self.reports.len() == self.keys.len() {
                assert_eq!((self.backlog.bytes(), self.backlog.calls()), (0, 0));
                let maps = (&self.backlog.lanes, &self.backlog.deadlines);
                assert!(maps.0.is_empty() && maps.1.is_empty());
                for side in &self.backlog.sides {
                    assert_eq!((side.ready.len(), side.waiting.len(), side.ready_bytes), (0, 0, 0));
                }
                return;
            }
            self.pass_to_wake();
        }
        panic!("it never ends: {:?}", self.backlog);
    }

    /// What the stream has of each key: in order, and twice only what was in doubt.
    fn check_stored(&self) {
        let mut last: BTreeMap<&str, usize> = BTreeMap::new();
        for message in &self.stored {
            let before = last.insert(self.keys[*message], *message);
            match before {
                Some(before) if before > *message => {
                    panic!("{message} of {} after {before}", self.keys[*message])
                }
                Some(before) if before == *message => {
                    assert!(self.doubtful.contains(message), "{message} is stored twice");
                }
                Some(_) | None => {}
            }
        }
    }

    /// Reports tell what the stream did.
    fn check_reports(&self) {
        for (message, result) in &self.reports {
            let times = self.stored.iter().filter(|stored| *stored == message).count();
            match result {
                Ok(()) => assert!(times >= 1, "{message} is told delivered and is not stored"),
                Err(Failure::Errored { unknown: false, .. }) => {
                    assert_eq!(times, 0, "{message} is told failed and is stored");
                }
                Err(Failure::Rejected { .. }) => {
                    assert!(times == 0 || self.doubtful.contains(message), "{message} is stored");
                }
                Err(Failure::Errored { unknown: true, .. }) => {}
            }
        }
    }
}
