//! One bucket: how much is in it, and since when. Stores that keep buckets elsewhere do the same
//! arithmetic, in double precision.

use tidegate_types::quota::Quota;

/// Of a token: what rounding takes away.
const SLACK: f64 = 1e-6;

/// What is in a bucket at a moment. Less than nothing is owed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct State {
    tokens: f64,
    /// Microseconds, by the clock of the store.
    at: u64,
}

/// What was taken, and what is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Got {
    pub granted: u64,
    /// What could be taken at once after this.
    pub remaining: u64,
    /// Milliseconds until what was wanted would be granted; 0 where it was.
    pub wait_ms: u64,
    /// Milliseconds until the bucket is full.
    pub full_ms: u64,
}

#[expect(
    clippy::cast_precision_loss,
    reason = "quotas count at most 10^15, times are below 2^53 us"
)]
fn float(number: u64) -> f64 {
    number as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is cut at zero, and bounded by quotas"
)]
fn whole(number: f64) -> u64 {
    number.max(0.0) as u64
}

impl Got {
    /// What to tell who wanted so much, where this was granted and so many tokens are left.
    #[must_use]
    pub fn new(quota: &Quota, want: u64, granted: u64, tokens: f64) -> Self {
        let rest = want.saturating_sub(granted);
        let missing = if rest == 0 { 0.0 } else { float(rest.min(quota.burst())) - tokens };
        Self {
            granted,
            remaining: whole((tokens + SLACK).floor()),
            wait_ms: millis_for(quota, missing),
            full_ms: millis_for(quota, float(quota.burst()) - tokens),
        }
    }
}

impl State {
    /// A full bucket.
    #[must_use]
    pub fn full(quota: &Quota, now: u64) -> Self {
        Self { tokens: float(quota.burst()), at: now }
    }

    /// What has come in since. A clock that went back adds nothing.
    fn refill(&mut self, quota: &Quota, now: u64) {
        let gained = float(now.saturating_sub(self.at)) * per_micro(quota);
        self.tokens = (self.tokens + gained).min(float(quota.burst()));
        self.at = self.at.max(now);
    }

    /// Takes what is wanted; or as much as there is, if that is at least the part that is of use; or
    /// nothing. That part, where it is more than a whole bucket, is granted from a full one.
    pub fn take(&mut self, quota: &Quota, want: u64, least: u64, now: u64) -> Got {
        self.refill(quota, now);
        let there = self.tokens + SLACK;
        let granted = if there >= float(want) {
            want
        } else if there >= float(least.min(quota.burst())) {
            whole(there.floor()).max(least)
        } else {
            0
        };
        self.tokens -= float(granted);
        Got::new(quota, want, granted, self.tokens)
    }

    /// Puts back what was not used.
    pub fn put_back(&mut self, quota: &Quota, tokens: u64, now: u64) {
        self.refill(quota, now);
        self.tokens = (self.tokens + float(tokens)).min(float(quota.burst()));
    }

    /// Is it as good as none?
    #[must_use]
    pub fn is_full(&mut self, quota: &Quota, now: u64) -> bool {
        self.refill(quota, now);
        self.tokens + SLACK >= float(quota.burst())
    }
}

/// Tokens that come in each microsecond.
#[must_use]
pub fn per_micro(quota: &Quota) -> f64 {
    float(quota.limit()) / (quota.window().as_secs_f64() * 1e6)
}

fn millis_for(quota: &Quota, tokens: f64) -> u64 {
    if tokens <= SLACK { 0 } else { whole((tokens / per_micro(quota) / 1000.0 - SLACK).ceil()) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000;

    fn quota(limit: u64, seconds: u64, burst: u64) -> Quota {
        Quota::new(limit, Duration::from_secs(seconds), burst).unwrap()
    }

    #[test]
    fn a_bucket_by_hand() {
        let quota = quota(10, 1, 20);
        let mut state = State::full(&quota, 0);
        let mut check = |want, least, now, expected: (u64, u64, u64, u64)| {
            let got = state.take(&quota, want, least, now);
            let got = (got.granted, got.remaining, got.wait_ms, got.full_ms);
            assert_eq!(got, expected, "{want} at {now}");
        };
        check(15, 15, 0, (15, 5, 0, 1500));
        check(6, 6, 0, (0, 5, 100, 1500));
        check(6, 1, 0, (5, 0, 100, 2000));
        check(1, 1, 50_000, (0, 0, 50, 1950));
        check(1, 1, 100_000, (1, 0, 0, 2000));
        // After a long while it is full, and no more than that.
        check(20, 20, 100 * SECOND, (20, 0, 0, 2000));
        // What is larger than the bucket waits until it is full, and is paid for afterwards.
        check(30, 30, 101 * SECOND, (0, 10, 1000, 1000));
        check(30, 1, 102 * SECOND, (20, 0, 1000, 2000));
        check(30, 25, 103 * SECOND, (0, 10, 1000, 1000));
        check(30, 25, 104 * SECOND, (25, 0, 1000, 2500));
        check(1, 1, 104 * SECOND + 599_000, (0, 0, 1, 1901));
        check(1, 1, 104 * SECOND + 600_000, (1, 0, 0, 2000));
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let quota = quota(10, 1, 10);
        let mut state = State::full(&quota, SECOND);
        assert_eq!(state.take(&quota, 10, 10, SECOND).granted, 10);
        assert_eq!(state.take(&quota, 1, 1, 0).granted, 0);
        assert_eq!(state.take(&quota, 1, 1, SECOND).granted, 0);
        assert_eq!(state.take(&quota, 1, 1, SECOND + 100_000).granted, 1);
    }

    proptest! {
        /// Over any time no more is granted than the burst and what came in, and one larger ask; and
        /// who asks for single tokens often enough gets all of it.
        #[test]
        fn what_is_granted_is_what_came_in(
            limit in 1u64..5000,
            seconds in 1u64..100,
            burst in 1u64..5000,
            asks in prop::collection::vec((0u64..6000, 0u64..6000, 0u64..2 * SECOND, 0u64..50), 1..60),
        ) {
            let quota = quota(limit, seconds, burst);
            let mut state = State::full(&quota, 0);
            let (mut now, mut granted, mut largest) = (0, 0u64, 0);
            for (want, least, later, back) in asks {
                now += later;
                let least = least.min(want);
                let got = state.take(&quota, want, least, now);
                prop_assert!(got.granted <= want);
                prop_assert!(got.granted == 0 || got.granted >= least);
                prop_assert!((got.wait_ms == 0) == (got.granted == want));
                largest = largest.max(least.saturating_sub(burst));
                granted += got.granted;
                let back = back.min(got.granted);
                state.put_back(&quota, back, now);
                granted -= back;
                let came = u128::from(now) * u128::from(limit) / (u128::from(seconds) * u128::from(SECOND));
                prop_assert!(u128::from(granted) <= came + u128::from(burst + largest) + 1);
                if got.wait_ms > 0 && want <= burst {
                    let mut then = state;
                    let rest = want - got.granted;
                    let at = now + got.wait_ms * 1000;
                    prop_assert_eq!(then.take(&quota, rest, rest, at).granted, rest);
                }
            }
        }
    }
}
