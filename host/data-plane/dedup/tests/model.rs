//! The store against a plain map with exact times: random requests that claim, release, hand over,
//! commit and vanish while time passes.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "in a test a panic is a failure told"
)]

use std::collections::HashMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use tidegate_dedup::{
    Claim, Claims, Dedup, DedupKey, DedupOptions, Fingerprint, HandedOver, Moment, Settled,
};
use tidegate_types::{EventId, UnixMillis};

const WINDOW_MS: u64 = 1000;
const LEASE_MS: u64 = 300;
const MAX_KEYS: usize = 10;
const START_MS: u64 = 1_700_000_000_000;

#[derive(Clone, Debug)]
enum Step {
    Claim { request: usize, key: u8, payload: u8 },
    ReleaseRow { request: usize, row: usize },
    HandOver { request: usize },
    CommitRow { request: usize, row: usize, settled: Settled },
    ReleaseAll { request: usize },
    Drop { request: usize },
    Wait { ms: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let request = 0..4usize;
    let row = 0..4usize;
    let settled = prop_oneof![Just(Settled::Accepted), Just(Settled::Quarantined)];
    let step = prop_oneof![
        16 => (request.clone(), 0..14u8, 0..2u8).prop_map(|(request, key, payload)| Step::Claim { request, key, payload }),
        2 => (request.clone(), row.clone()).prop_map(|(request, row)| Step::ReleaseRow { request, row }),
        4 => request.clone().prop_map(|request| Step::HandOver { request }),
        4 => (request.clone(), row, settled).prop_map(|(request, row, settled)| Step::CommitRow { request, row, settled }),
        1 => request.clone().prop_map(|request| Step::ReleaseAll { request }),
        2 => request.prop_map(|request| Step::Drop { request }),
        4 => (0..500u64).prop_map(|ms| Step::Wait { ms }),
        1 => (900..1500u64).prop_map(|ms| Step::Wait { ms }),
    ];
    prop::collection::vec(step, 1..120)
}

#[derive(Clone, Copy, Debug)]
enum State {
    Claimed { owner: u64, row: u32, end: u64 },
    HandedOver { owner: u64, row: u32 },
    Unknown { end: u64 },
    Committed { event_id: EventId, settled: Settled },
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    payload: u8,
    state: State,
}

impl Entry {
    fn expires(self) -> Option<u64> {
        match self.state {
            State::Claimed { .. } | State::HandedOver { .. } => None,
            State::Unknown { end } => Some(end),
            State::Committed { event_id, .. } => Some(event_id.received_at().0 + WINDOW_MS),
        }
    }
}

/// Rows that the real guard holds, as the model sees them: row, key, event id, not yet closed.
type Rows = Vec<(u32, u8, EventId, bool)>;

enum Phase {
    Claiming(Claims),
    HandedOver(HandedOver, u64),
}

struct Request {
    owner: u64,
    next_row: u32,
    rows: Rows,
    phase: Phase,
}

struct World {
    dedup: Dedup,
    started: Instant,
    ms: u64,
    /// Expired entries stay until their key is claimed anew.
    model: HashMap<u8, Entry>,
    requests: [Option<Request>; 4],
    owners: u64,
    minted: u64,
    /// The longest that a settling came after the start of its window.
    lateness: u64,
}

fn key(of: u8) -> DedupKey {
    let mut bytes = [0; 16];
    bytes[0] = of % 2; // two shards
    bytes[1] = of;
    DedupKey(bytes)
}

impl World {
    fn new() -> Self {
        let started = Instant::now();
        let options = DedupOptions {
            window: Duration::from_millis(WINDOW_MS),
            lease: Duration::from_millis(LEASE_MS),
            max_keys: MAX_KEYS,
        };
        let dedup = Dedup::new(options, started);
        Self {
            dedup,
            started,
            ms: START_MS,
            model: HashMap::new(),
            requests: [None, None, None, None],
            owners: 0,
            minted: 0,
            lateness: 0,
        }
    }

    fn now(&self) -> Moment {
        Moment {
            wall: UnixMillis(self.ms),
            steady: self.started + Duration::from_millis(self.ms - START_MS),
        }
    }

    fn expected(&self, owner: u64, of: u8, payload: u8) -> Claim {
        let Some(entry) = self.model.get(&of) else { return Claim::New };
        let is_same = entry.payload == payload;
        match entry.state {
            _ if entry.expires().is_some_and(|end| end <= self.ms) => Claim::New,
            State::Claimed { owner: by, row, .. } if by == owner => {
                if is_same {
                    Claim::Own { row }
                } else {
                    Claim::OwnConflict
                }
            }
            State::Claimed { end, .. } if end <= self.ms => Claim::New,
            State::Claimed { end, .. } => Claim::InFlight { retry_after_ms: end - self.ms },
            State::HandedOver { .. } => Claim::InFlight { retry_after_ms: 1000 },
            State::Unknown { end } => Claim::InFlight { retry_after_ms: (end - self.ms).min(1000) },
            State::Committed { event_id, settled } if is_same => {
                Claim::Committed { event_id, first: settled }
            }
            State::Committed { .. } => Claim::Conflict,
        }
    }

    fn held(&self, grace: u64) -> usize {
        self.model
            .values()
            .filter(|entry| entry.expires().is_none_or(|end| end + grace > self.ms))
            .count()
    }

    fn claim(&mut self, request: usize, of: u8, payload: u8) -> Result<(), TestCaseError> {
        let now = self.now();
        if self.requests[request].is_none() {
            self.owners += 1;
            let phase = Phase::Claiming(self.dedup.claims());
            self.requests[request] =
                Some(Request { owner: self.owners, next_row: 0, rows: Vec::new(), phase });
        }
        let owner = self.requests[request].as_ref().unwrap().owner;
        let expected = self.expected(owner, of, payload);
        let is_known = self.model.contains_key(&of);
        let (before, at_most) = (self.held(0), self.held(self.lateness));
        let asking = self.requests[request].as_mut().unwrap();
        let Phase::Claiming(claims) = &mut asking.phase else { return Ok(()) };
        let row = asking.next_row;
        asking.next_row += 1;
        let claim = claims.claim(row, key(of), Fingerprint([payload; 16]), now);
        if claim == Claim::Full {
            prop_assert_eq!(expected, Claim::New);
            prop_assert!(at_most >= MAX_KEYS, "full with room: {} of {}", at_most, MAX_KEYS);
            return Ok(());
        }
        prop_assert_eq!(claim, expected);
        if claim == Claim::New {
            prop_assert!(is_known || before < MAX_KEYS, "a key above the maximum");
            self.minted += 1;
            let id = EventId::from_parts(now.wall, 0, self.minted);
            asking.rows.push((row, of, id, true));
            let state = State::Claimed { owner, row, end: self.ms + LEASE_MS };
            self.model.insert(of, Entry { payload, state });
            prop_assert!(claims.lease_deadline().is_some());
        }
        Ok(())
    }

    fn is_owned(&self, of: u8, by: (u64, u32)) -> bool {
        self.model.get(&of).is_some_and(|entry| match entry.state {
            State::Claimed { owner, row, .. } | State::HandedOver { owner, row } => {
                (owner, row) == by
            }
            State::Unknown { .. } | State::Committed { .. } => false,
        })
    }

    fn release(&mut self, owner: u64, rows: &Rows) {
        for (row, of, _, is_open) in rows {
            if *is_open && self.is_owned(*of, (owner, *row)) {
                self.model.remove(of);
            }
        }
    }

    fn hand_over(&mut self, request: usize) -> Result<(), TestCaseError> {
        match self.requests[request].take() {
            Some(Request { owner, next_row, rows, phase: Phase::Claiming(claims) }) => {
                let lost = rows
                    .iter()
                    .find(|(row, of, _, is_open)| *is_open && !self.is_owned(*of, (owner, *row)));
                match claims.hand_over(UnixMillis(self.ms)) {
                    Err(error) => {
                        prop_assert_eq!(Some(error.row), lost.map(|row| row.0));
                        self.release(owner, &rows);
                    }
                    Ok(handed) => {
                        prop_assert!(lost.is_none(), "handed over a lost claim");
                        for (row, of, _, _) in rows.iter().filter(|row| row.3) {
                            self.model.get_mut(of).unwrap().state =
                                State::HandedOver { owner, row: *row };
                        }
                        let phase = Phase::HandedOver(handed, self.ms);
                        self.requests[request] = Some(Request { owner, next_row, rows, phase });
                    }
                }
            }
            other => self.requests[request] = other,
        }
        Ok(())
    }

    fn close_row(&mut self, request: usize, place: usize, settled: Option<Settled>) {
        let Some(mut asking) = self.requests[request].take() else { return };
        if settled.is_some() && matches!(asking.phase, Phase::Claiming(_)) {
            // Only what the log has can be committed; the types say so.
            self.requests[request] = Some(asking);
            return;
        }
        let row = asking.rows.get_mut(place).map(|row| (*row, std::mem::take(&mut row.3)).0);
        match (&mut asking.phase, row, settled) {
            (Phase::Claiming(claims), Some(row), None) => {
                claims.release_row(row.0);
                self.release(asking.owner, &vec![row]);
            }
            (Phase::HandedOver(handed, _), Some(row), None) => {
                handed.release_row(row.0);
                self.release(asking.owner, &vec![row]);
            }
            (Phase::HandedOver(handed, _), Some((row, of, event_id, is_open)), Some(settled)) => {
                handed.commit_row(row, event_id, settled);
                if is_open {
                    self.model.get_mut(&of).unwrap().state = State::Committed { event_id, settled };
                    self.lateness = self.lateness.max(self.ms - event_id.received_at().0);
                }
            }
            (Phase::Claiming(_), _, Some(_)) | (_, None, _) => {}
        }
        self.requests[request] = Some(asking);
    }

    fn end(&mut self, request: usize, is_release: bool) {
        let Some(asking) = self.requests[request].take() else { return };
        match asking.phase {
            Phase::Claiming(claims) => {
                drop(claims);
                self.release(asking.owner, &asking.rows);
            }
            Phase::HandedOver(handed, _) if is_release => {
                handed.release_all();
                self.release(asking.owner, &asking.rows);
            }
            Phase::HandedOver(handed, at) => {
                drop(handed);
                for (_, of, _, _) in asking.rows.iter().filter(|row| row.3) {
                    self.model.get_mut(of).unwrap().state = State::Unknown { end: at + WINDOW_MS };
                    self.lateness = self.lateness.max(self.ms - at);
                }
            }
        }
    }

    fn step(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Claim { request, key, payload } => self.claim(request, key, payload)?,
            Step::ReleaseRow { request, row } => self.close_row(request, row, None),
            Step::HandOver { request } => self.hand_over(request)?,
            Step::CommitRow { request, row, settled } => {
                self.close_row(request, row, Some(settled))
            }
            Step::ReleaseAll { request } => self.end(request, true),
            Step::Drop { request } => self.end(request, false),
            Step::Wait { ms } => self.ms += ms,
        }
        let keys = self.dedup.stats().keys as usize;
        prop_assert!(
            keys <= MAX_KEYS && keys >= self.held(0),
            "{} held, {} expected",
            keys,
            self.held(0)
        );
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn answers_as_the_model(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step)?;
        }
    }
}
