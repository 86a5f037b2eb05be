//! One shard: the states of its keys and the order in which they expire.
//!
//! `expiries` has one item for each committed or unknown key, in the order of settling, which is
//! close to the order of expiry. An item whose key has since got another expiry is stale and is
//! dropped when it comes up. Claimed and handed-over keys need no item: their request always ends
//! them.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};

use ahash::RandomState;
use tidegate_types::{EventId, UnixMillis};

use crate::stats::DedupStats;
use crate::{DedupKey, Fingerprint, Restored, Settled};

/// The longest wait that a claim in flight asks of a client, in milliseconds: most are settled by
/// the next sync of the log, far sooner than their lease ends.
const RETRY_AFTER_MS: u64 = 1000;

/// What a claim is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claim {
    /// The key is this request's now.
    New,
    /// This request claimed the key before, in this row, with the same payload.
    Own { row: u32 },
    /// This request claimed the key before with another payload.
    OwnConflict,
    /// The same event came before; this was its outcome.
    Committed { event_id: EventId, first: Settled },
    /// The key is committed with another payload.
    Conflict,
    /// Another request has the key, whatever the payload: that request may yet release it.
    InFlight { retry_after_ms: u64 },
    /// The store holds as many keys as it may.
    Full,
}

/// Who holds a key: a row of a request. The row counts too, because a request can lose a key to
/// another one and then get it again for a later row.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) request: u64,
    pub(crate) row: u32,
}

/// Who claims what.
#[derive(Clone, Copy)]
pub(crate) struct Ask {
    pub(crate) holder: Holder,
    pub(crate) key: DedupKey,
    pub(crate) fingerprint: Fingerprint,
}

/// The wall clock, and milliseconds of the steady clock since the store was made.
#[derive(Clone, Copy)]
pub(crate) struct Ticks {
    pub(crate) wall: UnixMillis,
    pub(crate) steady_ms: u64,
}

/// Window and lease in milliseconds.
#[derive(Clone, Copy)]
pub(crate) struct Spans {
    pub(crate) window_ms: u64,
    pub(crate) lease_ms: u64,
}

/// The number of keys that the whole store may still take.
pub(crate) struct Room {
    free: AtomicUsize,
}

impl Room {
    pub(crate) fn new(max_keys: usize) -> Self {
        Self { free: AtomicUsize::new(max_keys) }
    }

    // Relaxed: the number guards memory, it orders nothing else.
    fn take(&self) -> bool {
        let less = |free: usize| free.checked_sub(1);
        self.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    fn give_back(&self) {
        self.free.fetch_add(1, Ordering::Relaxed);
    }
}

struct Entry {
    fingerprint: Fingerprint,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    Claimed { holder: Holder, lease_end_ms: u64 },
    HandedOver { holder: Holder },
    Unknown { expires: UnixMillis },
    Committed { event_id: EventId, settled: Settled },
}

impl State {
    /// When the key is forgotten; `None` while a request has it.
    fn expires(&self, spans: Spans) -> Option<UnixMillis> {
        match self {
            Self::Claimed { .. } | Self::HandedOver { .. } => None,
            Self::Unknown { expires } => Some(*expires),
            Self::Committed { event_id, .. } => Some(after(event_id.received_at(), spans)),
        }
    }
}

fn after(start: UnixMillis, spans: Spans) -> UnixMillis {
    UnixMillis(start.0.saturating_add(spans.window_ms))
}

struct Expiry {
    at: UnixMillis,
    key: DedupKey,
}

#[derive(Default)]
pub(crate) struct Shard {
    entries: HashMap<DedupKey, Entry, RandomState>,
    expiries: VecDeque<Expiry>,
    /// `keys` and `full` are kept elsewhere.
    counts: DedupStats,
}

impl Shard {
    /// Claims a key. `Full` leaves everything as it was.
    pub(crate) fn claim(&mut self, ask: Ask, now: Ticks, spans: Spans, room: &Room) -> Claim {
        let state = State::Claimed {
            holder: ask.holder,
            lease_end_ms: now.steady_ms.saturating_add(spans.lease_ms),
        };
        let fresh = Entry { fingerprint: ask.fingerprint, state };
        let claim = match self.entries.get_mut(&ask.key) {
            Some(entry) => match answer(entry, ask, now, spans) {
                Claim::New => {
                    match entry.state {
                        State::Claimed { .. } | State::HandedOver { .. } => {
                            self.counts.taken_over += 1
                        }
                        State::Unknown { .. } | State::Committed { .. } => self.counts.expired += 1,
                    }
                    *entry = fresh;
                    Claim::New
                }
                other => other,
            },
            None if room.take() => {
                self.entries.insert(ask.key, fresh);
                Claim::New
            }
            None => Claim::Full,
        };
        self.count(claim);
        claim
    }

    fn count(&mut self, claim: Claim) {
        match claim {
            Claim::New => self.counts.new += 1,
            Claim::Own { .. } | Claim::OwnConflict => self.counts.own += 1,
            Claim::Committed { .. } => self.counts.replayed += 1,
            Claim::Conflict => self.counts.conflict += 1,
            Claim::InFlight { .. } => self.counts.in_flight += 1,
            Claim::Full => {}
        }
    }

    /// Secures a claim against takeover. `false`: it is not the holder's any more.
    pub(crate) fn hand_over(&mut self, key: DedupKey, holder: Holder) -> bool {
        match self.entries.get_mut(&key) {
            Some(entry) if is_claimed_by(entry.state, holder) => {
                entry.state = State::HandedOver { holder };
                true
            }
            _ => {
                self.counts.leases_lost += 1;
                false
            }
        }
    }

    /// Keeps the outcome of a handed-over key.
    pub(crate) fn commit(
        &mut self,
        key: DedupKey,
        holder: Holder,
        event_id: EventId,
        settled: Settled,
        spans: Spans,
    ) {
        let state = State::Committed { event_id, settled };
        if self.settle(key, holder, state, spans) {
            self.counts.committed += 1;
        }
    }

    /// Keeps a handed-over key until `expires`, its outcome not being known.
    pub(crate) fn abandon(
        &mut self,
        key: DedupKey,
        holder: Holder,
        expires: UnixMillis,
        spans: Spans,
    ) {
        if self.settle(key, holder, State::Unknown { expires }, spans) {
            self.counts.unknown += 1;
        }
    }

    fn settle(&mut self, key: DedupKey, holder: Holder, state: State, spans: Spans) -> bool {
        match self.entries.get_mut(&key) {
            Some(entry) if is_handed_over_by(entry.state, holder) => {
                entry.state = state;
                if let Some(at) = state.expires(spans) {
                    self.expiries.push_back(Expiry { at, key });
                }
                true
            }
            _ => false,
        }
    }

    /// Frees a key that is claimed or handed over by this holder; leaves any other alone.
    pub(crate) fn release(&mut self, key: DedupKey, holder: Holder, room: &Room) {
        let is_ours = self.entries.get(&key).is_some_and(|entry| {
            is_claimed_by(entry.state, holder) || is_handed_over_by(entry.state, holder)
        });
        if is_ours {
            self.entries.remove(&key);
            self.counts.released += 1;
            room.give_back();
        }
    }

    /// Takes a key from the log. Where the log has a key twice within the window, the earlier
    /// event is kept, in whatever order they come.
    pub(crate) fn restore(
        &mut self,
        key: DedupKey,
        entry: (Fingerprint, EventId, Settled),
        now: UnixMillis,
        spans: Spans,
        room: &Room,
    ) -> Restored {
        let (fingerprint, event_id, settled) = entry;
        let at = after(event_id.received_at(), spans);
        if at <= now {
            return Restored::Expired;
        }
        let state = State::Committed { event_id, settled };
        match self.entries.get_mut(&key) {
            Some(held) => match held.state {
                State::Committed { event_id: first, .. }
                    if first <= event_id && after(first.received_at(), spans) > now =>
                {
                    return Restored::Kept;
                }
                State::Committed { .. } => *held = Entry { fingerprint, state },
                // Recovery runs before requests; should one be there, it decides.
                State::Claimed { .. } | State::HandedOver { .. } | State::Unknown { .. } => {
                    return Restored::Kept;
                }
            },
            None if room.take() => {
                self.entries.insert(key, Entry { fingerprint, state });
            }
            None => return Restored::Full,
        }
        self.expiries.push_back(Expiry { at, key });
        Restored::Kept
    }

    /// Forgets expired keys, looking at no more than `most` items. Answers how many it forgot.
    pub(crate) fn expire(
        &mut self,
        now: UnixMillis,
        most: usize,
        spans: Spans,
        room: &Room,
    ) -> usize {
        let mut forgotten = 0;
        for _ in 0..most {
            let Some(front) = self.expiries.front() else { break };
            if front.at > now {
                // Further ahead than a window: the clock has been set back since. Others must
                // not wait behind it.
                if front.at > after(now, spans) {
                    self.expiries.rotate_left(1);
                    continue;
                }
                break;
            }
            let key = front.key;
            self.expiries.pop_front();
            let is_over = |entry: &Entry| entry.state.expires(spans).is_some_and(|at| at <= now);
            if self.entries.get(&key).is_some_and(is_over) {
                self.entries.remove(&key);
                room.give_back();
                forgotten += 1;
            }
        }
        self.counts.expired += forgotten as u64;
        forgotten
    }

    pub(crate) fn stats(&self) -> DedupStats {
        DedupStats { keys: self.entries.len() as u64, ..self.counts }
    }
}

/// What a claim on a held key is answered; `New` where it may be taken.
fn answer(entry: &Entry, ask: Ask, now: Ticks, spans: Spans) -> Claim {
    let is_same = entry.fingerprint == ask.fingerprint;
    match entry.state {
        State::Claimed { holder, .. } if holder.request == ask.holder.request => {
            if is_same {
                Claim::Own { row: holder.row }
            } else {
                Claim::OwnConflict
            }
        }
        State::Claimed { lease_end_ms, .. } => match lease_end_ms.saturating_sub(now.steady_ms) {
            0 => Claim::New,
            left => Claim::InFlight { retry_after_ms: left.min(RETRY_AFTER_MS) },
        },
        State::HandedOver { .. } => Claim::InFlight { retry_after_ms: RETRY_AFTER_MS },
        State::Unknown { expires } => match expires.0.saturating_sub(now.wall.0) {
            0 => Claim::New,
            left => Claim::InFlight { retry_after_ms: left.min(RETRY_AFTER_MS) },
        },
        State::Committed { event_id, .. } if after(event_id.received_at(), spans) <= now.wall => {
            Claim::New
        }
        State::Committed { event_id, settled } if is_same => {
            Claim::Committed { event_id, first: settled }
        }
        State::Committed { .. } => Claim::Conflict,
    }
}

fn is_claimed_by(state: State, by: Holder) -> bool {
    matches!(state, State::Claimed { holder, .. } if holder == by)
}

fn is_handed_over_by(state: State, by: Holder) -> bool {
    matches!(state, State::HandedOver { holder } if holder == by)
}
