//! Buckets in this process, for a node that is alone.

use std::collections::HashMap;
use std::future::ready;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tidegate_types::quota::Quota;

use crate::{Ask, BoxFuture, Bucket, Buckets, Got, State, Unavailable};

const SHARDS: usize = 64;
/// A shard with so many buckets is looked through for full ones each time that it has doubled.
const SWEEP_AT: usize = 256;

/// Buckets of this process. How many there are is bounded by how many keys and tenants there are.
#[derive(Debug)]
pub struct LocalBuckets {
    hasher: ahash::RandomState,
    shards: [Mutex<Shard>; SHARDS],
    started: Instant,
}

#[derive(Debug, Default)]
struct Shard {
    /// With the quota that it was used with last.
    buckets: HashMap<Bucket, (Quota, State), ahash::RandomState>,
    sweep_at: usize,
}

impl Default for LocalBuckets {
    fn default() -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        Self { hasher: ahash::RandomState::new(), shards, started: Instant::now() }
    }
}

impl LocalBuckets {
    fn shard(&self, bucket: &Bucket) -> MutexGuard<'_, Shard> {
        let place = usize::try_from(self.hasher.hash_one(bucket) % SHARDS as u64).unwrap_or(0);
        let shard = self.shards.get(place).expect("a remainder is below its divisor");
        // Nothing in a critical section panics between two changes that belong together.
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn take_at(&self, ask: &Ask, now: u64) -> Got {
        let mut shard = self.shard(&ask.bucket);
        let state = shard.state(&ask.bucket, ask.quota, now);
        state.take(&ask.quota, ask.want, ask.least, now)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap().buckets.len()).sum()
    }
}

impl Shard {
    fn state(&mut self, bucket: &Bucket, quota: Quota, now: u64) -> &mut State {
        if !self.buckets.contains_key(bucket) {
            self.sweep(now);
            self.buckets.insert(bucket.clone(), (quota, State::full(&quota, now)));
        }
        let (last, state) = self.buckets.get_mut(bucket).expect("it was put there");
        // What is in it stays: a quota that changes gives nobody a full bucket.
        *last = quota;
        state
    }

    fn sweep(&mut self, now: u64) {
        if self.buckets.len() >= self.sweep_at.max(SWEEP_AT) {
            self.buckets.retain(|_, (quota, state)| !state.is_full(quota, now));
            self.sweep_at = self.buckets.len() * 2;
        }
    }
}

impl Buckets for LocalBuckets {
    fn take<'a>(&'a self, asks: &'a [Ask]) -> BoxFuture<'a, Result<Vec<Got>, Unavailable>> {
        let now = self.now();
        let got = asks.iter().map(|ask| self.take_at(ask, now)).collect();
        Box::pin(ready(Ok(got)))
    }

    fn put_back<'a>(&'a self, what: &'a [(Bucket, Quota, u64)]) -> BoxFuture<'a, ()> {
        let now = self.now();
        for (bucket, quota, tokens) in what {
            self.shard(bucket).state(bucket, *quota, now).put_back(quota, *tokens, now);
        }
        Box::pin(ready(()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use tidegate_types::quota::Dimension;

    fn ask(name: &str, quota: Quota, want: u64) -> Ask {
        let tenant = tidegate_types::TenantId::new(name).unwrap();
        let bucket = Bucket { tenant, key: None, dimension: Dimension::Events };
        Ask { bucket, quota, want, least: want }
    }

    #[test]
    fn full_buckets_are_forgotten_and_others_kept() {
        let buckets = LocalBuckets::default();
        let quota = Quota::new(1000, Duration::from_secs(1), 1000).unwrap();
        let many = SHARDS * SWEEP_AT;
        for n in 0..many {
            buckets.take_at(&ask(&format!("t{n}"), quota, 1), 0);
        }
        buckets.take_at(&ask("debtor", quota, 1000), 5_000);
        assert!(buckets.len() > many / 2);
        // The first are full again after a millisecond.
        for n in 0..4 * many {
            buckets.take_at(&ask(&format!("u{n}"), quota, 1000), 10_000);
        }
        assert_eq!(buckets.take_at(&ask("debtor", quota, 1000), 10_000).granted, 0);
        assert!(buckets.len() <= 4 * many + 1 + many, "{}", buckets.len());
        let left = buckets.shards.iter().any(|shard| {
            shard.lock().unwrap().buckets.keys().any(|bucket| bucket.tenant.as_str() == "t0")
        });
        assert!(!left, "a full one is kept for nothing");
    }

    #[test]
    fn a_changed_quota_holds_at_once_and_fills_nothing() {
        let buckets = LocalBuckets::default();
        let (wide, narrow) = (
            Quota::new(1000, Duration::from_secs(1), 1000).unwrap(),
            Quota::new(10, Duration::from_secs(1), 10).unwrap(),
        );
        assert_eq!(buckets.take_at(&ask("a", wide, 900), 0).remaining, 100);
        assert_eq!(buckets.take_at(&ask("a", narrow, 10), 0).remaining, 0);
        assert_eq!(buckets.take_at(&ask("a", narrow, 1), 50_000).granted, 0);
        assert_eq!(buckets.take_at(&ask("a", wide, 1), 60_000).granted, 1);
    }
}
