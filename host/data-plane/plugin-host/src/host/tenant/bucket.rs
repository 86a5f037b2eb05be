//! A bucket of something that is earned by time: CPU time, lines. What is taken is never refused;
//! who has taken more than there was is in debt and must wait until it is earned.
//!
//! Kept as one number: when everything that was taken will have been earned.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const SECOND: u128 = 1_000_000_000;

#[derive(Debug, Default)]
pub(crate) struct Bucket {
    /// In nanoseconds of the host's clock.
    earned_at: AtomicU64,
    per_second: AtomicU64,
    burst: AtomicU64,
}

impl Bucket {
    /// So many are earned each second, and so many can be saved.
    pub(crate) fn set(&self, per_second: u64, burst: u64) {
        self.per_second.store(per_second.max(1), Ordering::Relaxed);
        self.burst.store(burst, Ordering::Relaxed);
    }

    /// Nanoseconds that it takes to earn so many.
    fn time_of(&self, count: u64) -> u64 {
        let per_second = u128::from(self.per_second.load(Ordering::Relaxed).max(1));
        u64::try_from(u128::from(count) * SECOND / per_second).unwrap_or(u64::MAX)
    }

    pub(crate) fn take(&self, now: u64, count: u64) {
        let (time, saved) = (self.time_of(count), self.time_of(self.burst.load(Ordering::Relaxed)));
        let later = |at: u64| at.max(now.saturating_sub(saved)).saturating_add(time);
        let mut at = self.earned_at.load(Ordering::Relaxed);
        while let Err(changed) = self.earned_at.compare_exchange_weak(
            at,
            later(at),
            Ordering::Relaxed,
            Ordering::Relaxed,
        ) {
            at = changed;
        }
    }

    /// How long it takes until nothing is owed; `None` where nothing is.
    pub(crate) fn debt(&self, now: u64) -> Option<Duration> {
        let owed = self.earned_at.load(Ordering::Relaxed).checked_sub(now).filter(|owed| *owed > 0);
        owed.map(Duration::from_nanos)
    }

    /// How long it takes until half of what can be saved is there; `None` where it is.
    pub(crate) fn wait_for_half(&self, now: u64) -> Option<Duration> {
        let half = self.time_of(self.burst.load(Ordering::Relaxed) / 2);
        let owed = self.earned_at.load(Ordering::Relaxed).saturating_add(half).checked_sub(now);
        owed.filter(|owed| *owed > 0).map(Duration::from_nanos)
    }

    /// Takes as many of `count` as there are. Answers how many.
    pub(crate) fn take_some(&self, now: u64, count: u64) -> u64 {
        (0..count).take_while(|_| self.debt(now).is_none()).inspect(|_| self.take(now, 1)).count()
            as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a balance that is written out: earned by time, capped, lowered by what is taken.
        #[test]
        fn it_is_a_balance(
            per_second in 1u64..1000,
            burst in 0u64..1000,
            steps in proptest::collection::vec((0u64..3000, 0u64..500), 1..50),
        ) {
            let bucket = Bucket::default();
            bucket.set(per_second, burst);
            let mut now = 10_000 * 1_000_000_000_u64;
            let mut balance = burst as f64;
            for (millis, count) in steps {
                now += millis * 1_000_000;
                balance = (balance + per_second as f64 * millis as f64 / 1000.0).min(burst as f64);
                bucket.take(now, count);
                balance -= count as f64;
                let owed = bucket.debt(now).map_or(0.0, |debt| debt.as_secs_f64()) * per_second as f64;
                prop_assert!((owed - (-balance).max(0.0)).abs() < 1e-3, "{} for {}", owed, balance);
            }
        }
    }

    #[test]
    fn a_new_rate_holds_from_the_next_taking() {
        let (bucket, now) = (Bucket::default(), 1 << 50);
        bucket.set(10, 0);
        bucket.take(now, 10);
        assert_eq!(bucket.debt(now), Some(Duration::from_secs(1)));
        bucket.set(100, 0);
        bucket.take(now, 10);
        assert_eq!(bucket.debt(now), Some(Duration::from_millis(1100)));
        assert_eq!(bucket.debt(now + 1_100_000_000), None);
    }

    #[test]
    fn half_is_left_to_others() {
        let (bucket, now) = (Bucket::default(), 1 << 50);
        bucket.set(10, 20);
        assert_eq!(bucket.wait_for_half(now), None);
        bucket.take(now, 15);
        assert_eq!(bucket.debt(now), None);
        assert_eq!(bucket.wait_for_half(now), Some(Duration::from_millis(500)));
        assert_eq!(bucket.wait_for_half(now + 500_000_000), None);
    }

    #[test]
    fn lines_are_taken_while_there_are_any() {
        let (bucket, now) = (Bucket::default(), 1 << 50);
        bucket.set(10, 5);
        assert_eq!([bucket.take_some(now, 3), bucket.take_some(now, 9)], [3, 3]);
        assert_eq!(bucket.take_some(now, 1), 0);
        assert_eq!(bucket.take_some(now + 200_000_000, 9), 2);
    }
}
