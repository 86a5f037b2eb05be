//! What is posted, and what happens meanwhile. The feed gives the events in order, some of them
//! again, and tells the stagehand, a thread of its own, when it is time to swap the revision and
//! to kill the gateway.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use tidegate_connector::InputError;

use crate::data::flights::Flights;
use crate::gateway::Gateway;
use crate::setup;

/// Events per request.
pub(crate) const BATCH: u64 = 100;
/// Events that are posted twice.
pub(crate) const AGAIN: u64 = 500;
/// While the revision is swapped, a batch is posted this often, so that posting goes on.
const PACE: Duration = Duration::from_millis(10);
/// How long the swap may take.
const SWAP_LIMIT: Duration = Duration::from_secs(60);

/// How far the play has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    Opening,
    /// Half of the events are posted: swap the revision.
    Swap,
    Swapped,
    /// The gateway has been killed: start it again.
    Killed,
    Restarted,
    /// Something failed; the stagehand's result tells what.
    Failed,
}

/// What feed, stagehand and the counting of receipts share.
pub(crate) struct Stage {
    act: Mutex<Act>,
    changed: Condvar,
    gateway: Arc<Gateway>,
}

/// What the stagehand measured.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    /// From asking for the swap to its confirmation.
    pub(crate) swap: Duration,
    /// From SIGKILL to taking events again.
    pub(crate) restart: Duration,
    /// How often it was killed and came back.
    pub(crate) kills: u64,
}

impl Stage {
    pub(crate) fn new(gateway: Arc<Gateway>) -> Arc<Self> {
        Arc::new(Self { act: Mutex::new(Act::Opening), changed: Condvar::new(), gateway })
    }

    /// Starts the stagehand: it swaps to `revision`, and starts the gateway again once it is
    /// killed.
    pub(crate) fn stagehand(self: &Arc<Self>, revision: &str) -> Result<JoinHandle<Result<Times>>> {
        let (stage, revision) = (Arc::clone(self), revision.to_owned());
        let work = move || {
            let times = stage.play(&revision);
            if times.is_err() {
                stage.enter(Act::Failed);
            }
            times
        };
        std::thread::Builder::new()
            .name("stagehand".into())
            .spawn(work)
            .context("starting a thread")
    }

    fn play(&self, revision: &str) -> Result<Times> {
        let mut times = Times::default();
        if self.wait_for(Act::Swap, None) == Act::Swap {
            let started = Instant::now();
            setup::activate(&self.gateway, setup::TENANT, revision)?;
            times.swap = started.elapsed();
            self.enter(Act::Swapped);
        }
        if self.wait_for(Act::Killed, None) == Act::Killed {
            let started = Instant::now();
            self.gateway.reap()?;
            self.gateway.restart()?;
            times.restart = started.elapsed();
            times.kills += 1;
            self.enter(Act::Restarted);
        }
        Ok(times)
    }

    /// Kills the gateway, now, with whatever it is doing.
    pub(crate) fn kill(&self) {
        let killed = self.gateway.kill();
        self.enter(if killed.is_ok() { Act::Killed } else { Act::Failed });
    }

    /// Is the revision being swapped?
    pub(crate) fn is_swapping(&self) -> bool {
        *self.act() == Act::Swap
    }

    /// Posting has ended: whatever has not happened will not.
    pub(crate) fn close(&self) {
        if *self.act() < Act::Killed {
            self.enter(Act::Failed);
        }
    }

    fn enter(&self, act: Act) {
        let mut now = self.act();
        *now = act.max(*now);
        self.changed.notify_all();
    }

    /// Waits until an act has begun, or so long; answers the one that plays.
    fn wait_for(&self, act: Act, limit: Option<Duration>) -> Act {
        let limit = limit.unwrap_or(Duration::MAX);
        let waiting = self.changed.wait_timeout_while(self.act(), limit, |now| *now < act);
        *waiting.expect("no holder of this lock panics").0
    }

    fn act(&self) -> MutexGuard<'_, Act> {
        self.act.lock().expect("no holder of this lock panics")
    }
}

/// The events in their order. From three quarters on, events of the first half come again.
pub(crate) struct Feed {
    flights: Flights,
    total: u64,
    given: u64,
    again: Vec<Bytes>,
    stage: Arc<Stage>,
}

impl Feed {
    /// The feed of a file with `total` events.
    pub(crate) fn new(flights: Flights, total: u64, stage: Arc<Stage>) -> Self {
        Self { flights, total, given: 0, again: Vec::new(), stage }
    }

    /// Waits as the play demands before event number `given` is posted.
    fn keep_pace(&self) -> Result<(), InputError> {
        let half = self.total / 2;
        if self.given == half {
            self.stage.enter(Act::Swap);
        }
        if self.given > half && self.given.is_multiple_of(BATCH) && self.stage.is_swapping() {
            self.stage.wait_for(Act::Swapped, Some(PACE));
        }
        if self.given == self.total / 4 * 3 {
            let act = self.stage.wait_for(Act::Swapped, Some(SWAP_LIMIT));
            if act < Act::Swapped || act == Act::Failed {
                return Err("the second revision did not become active".into());
            }
        }
        Ok(())
    }
}

impl Iterator for Feed {
    type Item = Result<Bytes, InputError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Err(error) = self.keep_pace() {
            return Some(Err(error));
        }
        if self.given >= self.total / 4 * 3
            && let Some(event) = self.again.pop()
        {
            return Some(Ok(event));
        }
        let event = match self.flights.next()? {
            Ok(event) => event,
            Err(error) => return Some(Err(error.into())),
        };
        let every = (self.total / 2 / AGAIN).max(1);
        if self.given.is_multiple_of(every) && self.given / every < AGAIN {
            self.again.push(event.clone());
        }
        self.given += 1;
        Some(Ok(event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data;
    use std::collections::HashMap;

    fn feed() -> (Arc<Stage>, Feed) {
        let stage = Stage::new(Arc::new(Gateway::never_started()));
        let flights = Flights::open(&data::january()).unwrap();
        (Arc::clone(&stage), Feed::new(flights, data::expected::JANUARY.events, stage))
    }

    #[test]
    fn each_event_is_given_once_and_some_of_the_first_half_again() {
        let (stage, feed) = feed();
        let swaps = std::thread::scope(|scope| {
            let hand = scope.spawn(|| {
                let act = stage.wait_for(Act::Swap, None);
                stage.enter(Act::Swapped);
                act
            });
            let mut places: HashMap<Bytes, Vec<u64>> = HashMap::new();
            for (event, place) in feed.zip(0..) {
                places.entry(event.unwrap()).or_default().push(place);
            }
            assert_eq!(places.len() as u64, data::expected::JANUARY.events);
            let again: Vec<_> = places.values().filter(|places| places.len() > 1).collect();
            assert_eq!(again.len() as u64, AGAIN);
            for places in again {
                assert!(
                    places.len() == 2 && places[0] < 13_502 && places[1] >= 20_250,
                    "{places:?}"
                );
            }
            hand.join().unwrap()
        });
        assert_eq!(swaps, Act::Swap);
    }

    #[test]
    fn a_failed_swap_ends_the_feed_with_an_error() {
        let (stage, mut feed) = feed();
        stage.enter(Act::Failed);
        let given = feed.by_ref().position(|event| event.is_err());
        assert_eq!(given, Some(20_253));
    }

    #[test]
    fn a_gateway_that_cannot_be_killed_is_a_failed_play() {
        let (stage, _) = feed();
        let hand = stage.stagehand("sha256:00").unwrap();
        stage.kill();
        assert_eq!(*stage.act(), Act::Failed);
        assert_eq!(hand.join().unwrap().unwrap().kills, 0);
    }
}
