//! The circuit breaker of a rule: one that faults too often is not called for a while, so that it
//! costs its tenant a fall-back and not a store and a time limit for each batch.
//!
//! **Closed**: calls run. It opens at so many faulted batches in the last 60 seconds, or when more
//! than so many percent of at least 100 batches in the last 60 seconds faulted. A batch that
//! faults counts once, however many tries it takes to find the event that is to blame.
//! **Open**: no call runs until the backoff is over: 1 s, doubled each time up to 5 min.
//! **Trial**: one call runs. If it goes well the breaker closes and begins to count anew, else it
//! opens again. A breaker that then stays closed for 5 min begins with 1 s again.
//!
//! Times are milliseconds of the host's clock. The window moves in steps of 5 seconds.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

const SLOT_MS: u64 = 5_000;
const SLOTS: usize = 12;
const FIRST_BACKOFF_MS: u64 = 1_000;
const LAST_BACKOFF_MS: u64 = 300_000;
/// Closed for so long, a breaker has forgotten that it was open.
const SETTLED_MS: u64 = 300_000;
/// Fewer batches than this have no rate.
const RATE_BATCHES: u64 = 100;

/// When a breaker opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Thresholds {
    /// Faulted batches in 60 seconds.
    pub(crate) faults: u32,
    /// More than so many percent of the batches in 60 seconds.
    pub(crate) percent: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Breaker {
    /// Good batches that the window does not yet know, all of one slot.
    good: AtomicU64,
    /// When that slot ends.
    slot_ends: AtomicU64,
    /// Any state but closed.
    open: AtomicBool,
    core: Mutex<Core>,
}

/// May a batch run?
#[derive(Debug)]
pub(crate) enum Entry<'b> {
    /// Yes: tell `good` or `faulted` how it went.
    Closed,
    /// One call may.
    Trial(Trial<'b>),
    /// No, for so many milliseconds; 0 where a trial is under way.
    Open { for_ms: u64 },
}

/// The one call that decides. Dropped without a word, the next one decides.
#[derive(Debug)]
pub(crate) struct Trial<'b> {
    breaker: &'b Breaker,
    told: bool,
}

impl Breaker {
    pub(crate) fn enter(&self, now: u64) -> Entry<'_> {
        if !self.open.load(Ordering::Relaxed) {
            return Entry::Closed;
        }
        let mut core = self.core();
        match core.state {
            State::Closed => Entry::Closed,
            State::Open { until } if now < until => Entry::Open { for_ms: until - now },
            State::Open { .. } => {
                core.state = State::Trial;
                Entry::Trial(Trial { breaker: self, told: false })
            }
            State::Trial => Entry::Open { for_ms: 0 },
        }
    }

    /// A batch went well.
    pub(crate) fn good(&self, now: u64) {
        if now >= self.slot_ends.load(Ordering::Relaxed) {
            self.flush(&mut self.core(), now);
        }
        self.good.fetch_add(1, Ordering::Relaxed);
    }

    /// A batch faulted. Answers whether that opened the breaker.
    pub(crate) fn faulted(&self, now: u64, thresholds: Thresholds) -> bool {
        let mut core = self.core();
        self.flush(&mut core, now);
        let opens = core.faulted(now, thresholds);
        if opens {
            self.open.store(true, Ordering::Relaxed);
        }
        opens
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn flush(&self, core: &mut Core, now: u64) {
        let good = self.good.swap(0, Ordering::Relaxed);
        let ends = self.slot_ends.load(Ordering::Relaxed);
        if let Some(of) = ends.checked_sub(1) {
            core.window.add(of / SLOT_MS, good, 0);
        }
        self.slot_ends.store((now / SLOT_MS + 1) * SLOT_MS, Ordering::Relaxed);
    }
}

impl Trial<'_> {
    pub(crate) fn good(mut self, now: u64) {
        self.told = true;
        let mut core = self.breaker.core();
        core.close(now);
        self.breaker.good.store(0, Ordering::Relaxed);
        // Under the lock, so that a fault that opens it again is not overwritten.
        self.breaker.open.store(false, Ordering::Relaxed);
    }

    /// Answers for how many milliseconds no call runs.
    pub(crate) fn faulted(mut self, now: u64) -> u64 {
        self.told = true;
        let mut core = self.breaker.core();
        core.open(now, true);
        core.backoff_ms
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        if !self.told {
            self.breaker.core().state = State::Open { until: 0 };
        }
    }
}

#[derive(Debug, Default)]
struct Core {
    state: State,
    window: Window,
    /// How long it was open the last time.
    backoff_ms: u64,
    /// When a trial closed it; 0 where none did.
    closed_at: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Closed,
    Open {
        until: u64,
    },
    Trial,
}

impl Core {
    fn faulted(&mut self, now: u64, thresholds: Thresholds) -> bool {
        if self.state != State::Closed {
            // It began before the breaker opened.
            return false;
        }
        self.window.add(now / SLOT_MS, 0, 1);
        let (good, faults) = self.window.sums(now / SLOT_MS);
        let batches = good + faults;
        let opens = faults >= u64::from(thresholds.faults)
            || batches >= RATE_BATCHES && faults * 100 > batches * u64::from(thresholds.percent);
        if opens {
            let again = self.backoff_ms > 0 && now < self.closed_at + SETTLED_MS;
            self.open(now, again);
        }
        opens
    }

    fn open(&mut self, now: u64, again: bool) {
        self.backoff_ms =
            if again { (self.backoff_ms * 2).min(LAST_BACKOFF_MS) } else { FIRST_BACKOFF_MS };
        self.state = State::Open { until: now + self.backoff_ms };
    }

    fn close(&mut self, now: u64) {
        (self.state, self.closed_at, self.window) = (State::Closed, now, Window::default());
    }
}

/// Batches by slot of time.
#[derive(Debug, Default)]
struct Window([Slot; SLOTS]);

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    number: u64,
    good: u64,
    faults: u64,
}

impl Window {
    fn add(&mut self, number: u64, good: u64, faults: u64) {
        let Some(slot) = self.0.get_mut((number % SLOTS as u64) as usize) else { return };
        if slot.number < number {
            *slot = Slot { number, ..Slot::default() };
        }
        if slot.number == number {
            slot.good += good;
            slot.faults += faults;
        }
    }

    /// Good and faulted batches of the window that ends with this slot.
    fn sums(&self, number: u64) -> (u64, u64) {
        let recent = self.0.iter().filter(|slot| slot.number + SLOTS as u64 > number);
        recent.fold((0, 0), |(good, faults), slot| (good + slot.good, faults + slot.faults))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const USUAL: Thresholds = Thresholds { faults: 5, percent: 1 };

    /// The breaker as its documentation tells it, with every batch remembered.
    #[derive(Default)]
    struct Model {
        batches: Vec<(u64, bool)>,
        open_until: Option<u64>,
        backoff: u64,
        closed_at: Option<u64>,
    }

    impl Model {
        fn opens(&mut self, now: u64) -> bool {
            let recent = |(at, _): &&(u64, bool)| at / 5000 + 12 > now / 5000;
            let all = self.batches.iter().filter(recent).count();
            let faults = self.batches.iter().filter(recent).filter(|(_, good)| !good).count();
            faults >= 5 || all >= 100 && faults * 100 > all
        }

        fn open(&mut self, now: u64, again: bool) {
            self.backoff = if again { (2 * self.backoff).min(300_000) } else { 1000 };
            self.open_until = Some(now + self.backoff);
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        /// Time passes.
        Wait(u64),
        /// So many batches, good or not.
        Batches(u64, bool),
        /// A trial, where one is let in, ends without a word.
        Cancelled,
        /// A batch that began earlier ends only now.
        Late(bool),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => prop_oneof![1u64..2_000, 1_000u64..70_000, Just(300_000u64)].prop_map(Step::Wait),
            3 => prop_oneof![1u64..5, 90u64..400].prop_map(|count| Step::Batches(count, true)),
            5 => (1u64..3).prop_map(|count| Step::Batches(count, false)),
            1 => Just(Step::Cancelled),
            1 => any::<bool>().prop_map(Step::Late),
        ]
    }

    proptest! {
        /// P4: against the model, at any times and with any outcomes.
        #[test]
        fn it_does_as_documented(steps in proptest::collection::vec(step(), 1..80)) {
            let (breaker, mut model, mut now) = (Breaker::default(), Model::default(), 1_000_000u64);
            for step in steps {
                let (count, good, told) = match step {
                    Step::Wait(time) => {
                        now += time;
                        continue;
                    }
                    Step::Late(true) => {
                        breaker.good(now);
                        if model.open_until.is_none() {
                            model.batches.push((now, true));
                        }
                        continue;
                    }
                    Step::Late(false) => {
                        let opened = breaker.faulted(now, USUAL);
                        if model.open_until.is_none() {
                            model.batches.push((now, false));
                            let opens = model.opens(now);
                            prop_assert_eq!(opened, opens);
                            if opens {
                                let again = model.closed_at.is_some_and(|at| now < at + 300_000);
                                model.open(now, again);
                            }
                        }
                        continue;
                    }
                    Step::Batches(count, good) => (count, good, true),
                    Step::Cancelled => (1, true, false),
                };
                for _ in 0..count {
                    match breaker.enter(now) {
                        Entry::Closed => {
                            prop_assert_eq!(model.open_until, None);
                            model.batches.push((now, good));
                            if good {
                                breaker.good(now);
                            } else {
                                let opens = model.opens(now);
                                prop_assert_eq!(breaker.faulted(now, USUAL), opens);
                                if opens {
                                    let again = model.closed_at.is_some_and(|at| now < at + 300_000);
                                    model.open(now, again);
                                }
                            }
                        }
                        Entry::Open { for_ms } => {
                            prop_assert_eq!(model.open_until, Some(now + for_ms));
                            prop_assert!(for_ms > 0);
                        }
                        Entry::Trial(trial) => {
                            prop_assert!(model.open_until.is_some_and(|until| now >= until));
                            let second = matches!(breaker.enter(now), Entry::Open { for_ms: 0 });
                            prop_assert!(second, "one call at a time");
                            match (told, good) {
                                (false, _) => drop(trial),
                                (true, true) => {
                                    trial.good(now);
                                    model.open_until = None;
                                    model.closed_at = Some(now);
                                    model.batches.clear();
                                }
                                (true, false) => {
                                    trial.faulted(now);
                                    model.open(now, true);
                                }
                            }
                        }
                    }
                    prop_assert_eq!(breaker.is_open(), model.open_until.is_some());
                }
            }
        }
    }

    #[test]
    fn the_backoff_doubles_from_one_second_to_five_minutes() {
        let breaker = Breaker::default();
        let mut now = 50_000;
        for _ in 0..5 {
            breaker.faulted(now, USUAL);
        }
        let mut backoffs = Vec::new();
        for _ in 0..11 {
            let Entry::Open { for_ms } = breaker.enter(now) else { panic!("open") };
            backoffs.push(for_ms / 1000);
            now += for_ms;
            let Entry::Trial(trial) = breaker.enter(now) else { panic!("a trial") };
            trial.faulted(now);
        }
        assert_eq!(backoffs, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    }

    #[test]
    fn two_faults_open_it_only_where_they_are_more_than_one_percent() {
        for (good, opens) in [(0, false), (97, false), (98, true), (197, true), (198, false)] {
            let breaker = Breaker::default();
            (0..good).for_each(|_| breaker.good(7_000));
            assert!(!breaker.faulted(7_000, USUAL), "{good}");
            assert_eq!(breaker.faulted(7_000, USUAL), opens, "{good}");
        }
    }
}
