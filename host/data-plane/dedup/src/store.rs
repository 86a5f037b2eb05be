//! The store as a whole: its shards behind one cheap handle.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tidegate_types::{EventId, Status, UnixMillis};

use crate::shard::{Ask, Room, Shard, Spans, Ticks};
use crate::{Claim, Claims, DedupKey, DedupStats, Fingerprint};

/// So many that a shard's table of some 40,000 keys grows in a few milliseconds, since claims of
/// its keys wait for that; so few that all can be visited before an answer `Full`.
const SHARDS: usize = 256;

/// Items that a claim looks at to forget expired keys: more than the one that it adds, so the
/// store catches up.
const EXPIRE_PER_CLAIM: usize = 2;

/// Items looked at in each shard before a claim is answered `Full`.
const EXPIRE_WHEN_FULL: usize = 64;

/// How long and how many.
#[derive(Clone, Copy, Debug)]
pub struct DedupOptions {
    /// How long an outcome is kept, from the millisecond of its event's id.
    pub window: Duration,
    /// How long a claim stands that is neither handed over nor released.
    pub lease: Duration,
    /// The most keys held at once, in any state.
    pub max_keys: usize,
}

impl Default for DedupOptions {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(60 * 60),
            lease: Duration::from_secs(30),
            max_keys: 10_000_000,
        }
    }
}

/// Now, by both clocks: windows follow the wall clock, leases the steady one.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    pub wall: UnixMillis,
    pub steady: Instant,
}

impl Moment {
    /// Reads the system's clocks.
    #[must_use]
    pub fn now() -> Self {
        Self { wall: UnixMillis::now(), steady: Instant::now() }
    }
}

/// The outcome of an event that is durable, and whose key is settled by that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Settled {
    Accepted,
    Quarantined,
}

impl From<Settled> for Status {
    fn from(settled: Settled) -> Self {
        match settled {
            Settled::Accepted => Self::Accepted,
            Settled::Quarantined => Self::Quarantined,
        }
    }
}

/// What became of a key that recovery offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restored {
    /// It is held, or an earlier event with the key is.
    Kept,
    /// Its window has ended.
    Expired,
    /// No room: `max_keys` is less than what the log holds of the window. Serving in this state
    /// could store an event twice.
    Full,
}

/// The store of keys. Clones share it.
#[derive(Clone)]
pub struct Dedup(Arc<Shared>);

struct Shared {
    shards: [Mutex<Shard>; SHARDS],
    room: Room,
    spans: Spans,
    started: Instant,
    next_owner: AtomicU64,
    full: AtomicU64,
}

impl Dedup {
    /// An empty store. `started` is any instant not after the first one used with it.
    #[must_use]
    pub fn new(options: DedupOptions, started: Instant) -> Self {
        let spans = Spans { window_ms: millis(options.window), lease_ms: millis(options.lease) };
        Self(Arc::new(Shared {
            shards: std::array::from_fn(|_| Mutex::default()),
            room: Room::new(options.max_keys),
            spans,
            started,
            next_owner: AtomicU64::new(0),
            full: AtomicU64::new(0),
        }))
    }

    /// The claims of one request, none yet.
    pub fn claims(&self) -> Claims {
        let owner = self.0.next_owner.fetch_add(1, Ordering::Relaxed);
        Claims::new(self.clone(), owner)
    }

    /// Recovery: takes a committed key from the log or from a sidecar.
    pub fn restore(
        &self,
        key: DedupKey,
        fingerprint: Fingerprint,
        event_id: EventId,
        settled: Settled,
        now: UnixMillis,
    ) -> Restored {
        let entry = (fingerprint, event_id, settled);
        let restored = self.shard(key).restore(key, entry, now, self.0.spans, &self.0.room);
        if restored == Restored::Full && self.make_room(now) {
            return self.shard(key).restore(key, entry, now, self.0.spans, &self.0.room);
        }
        restored
    }

    /// What the store holds and has answered: a sum over the shards, each at its own moment.
    #[must_use]
    pub fn stats(&self) -> DedupStats {
        let mut sum =
            DedupStats { full: self.0.full.load(Ordering::Relaxed), ..DedupStats::default() };
        for shard in &self.0.shards {
            sum.add(&locked(shard).stats());
        }
        sum
    }

    pub(crate) fn claim(&self, ask: Ask, now: Moment) -> Claim {
        let ticks = Ticks { wall: now.wall, steady_ms: self.steady_ms(now.steady) };
        let (spans, room) = (self.0.spans, &self.0.room);
        let attempt = || {
            let mut shard = self.shard(ask.key);
            shard.expire(now.wall, EXPIRE_PER_CLAIM, spans, room);
            shard.claim(ask, ticks, spans, room)
        };
        let mut claim = attempt();
        if claim == Claim::Full && self.make_room(now.wall) {
            claim = attempt();
        }
        if claim == Claim::Full {
            self.0.full.fetch_add(1, Ordering::Relaxed);
        }
        claim
    }

    /// Forgets expired keys in any shard; stops at the first shard that had some.
    fn make_room(&self, now: UnixMillis) -> bool {
        let expire =
            |shard| locked(shard).expire(now, EXPIRE_WHEN_FULL, self.0.spans, &self.0.room);
        self.0.shards.iter().any(|shard| expire(shard) > 0)
    }

    /// When a claim made at `now` runs out.
    pub(crate) fn lease_end(&self, now: Instant) -> Instant {
        let end_ms = self.steady_ms(now).saturating_add(self.0.spans.lease_ms);
        self.0.started + Duration::from_millis(end_ms)
    }

    fn steady_ms(&self, at: Instant) -> u64 {
        millis(at.saturating_duration_since(self.0.started))
    }

    pub(crate) fn spans(&self) -> Spans {
        self.0.spans
    }

    pub(crate) fn room(&self) -> &Room {
        &self.0.room
    }

    pub(crate) fn shard(&self, key: DedupKey) -> MutexGuard<'_, Shard> {
        let [first, ..] = key.0;
        let place = usize::from(first) % SHARDS;
        locked(self.0.shards.get(place).expect("a remainder is below its divisor"))
    }
}

/// A panic cannot leave a shard half changed: nothing in a critical section panics between two
/// changes that belong together.
fn locked(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
