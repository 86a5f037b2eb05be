//! How long to wait before the next attempt: exponential with full jitter (Marc Brooker,
//! "Exponential Backoff And Jitter", AWS Architecture Blog, 2015), and never shorter than the
//! gateway asked for.

use std::time::{Duration, Instant};

use rand::Rng;

use crate::options::RetryPolicy;

/// The state of one batch's attempts.
pub(crate) struct Backoff<'p> {
    policy: &'p RetryPolicy,
    /// `None` where it is tried for ever.
    deadline: Option<Instant>,
    attempts: u32,
}

/// Why there is no next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exhausted {
    Attempts(u32),
    Time(Duration),
}

impl<'p> Backoff<'p> {
    pub(crate) fn start(policy: &'p RetryPolicy, now: Instant) -> Self {
        let deadline = Some(now.checked_add(policy.max_elapsed).unwrap_or(now));
        Self { policy, deadline, attempts: 0 }
    }

    /// One that is never exhausted.
    pub(crate) fn endless(policy: &'p RetryPolicy) -> Self {
        Self { policy, deadline: None, attempts: 0 }
    }

    /// Counts an attempt and tells how long it may take at most.
    pub(crate) fn attempt(&mut self, now: Instant, request_timeout: Duration) -> Duration {
        self.attempts = self.attempts.saturating_add(1);
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(now));
        left.map_or(request_timeout, |left| left.min(request_timeout))
    }

    /// Attempts made so far.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The wait before the next attempt: what the gateway asked for, and the jitter on top, so that
    /// clients that were told the same do not come back at the same moment.
    pub(crate) fn next_delay(
        &self,
        asked: Option<Duration>,
        now: Instant,
        random: &mut impl Rng,
    ) -> Result<Duration, Exhausted> {
        let delay = jittered(self.policy, self.attempts, asked, random.random());
        let Some(deadline) = self.deadline else { return Ok(delay) };
        if self.attempts >= self.policy.max_attempts {
            return Err(Exhausted::Attempts(self.attempts));
        }
        match now.checked_add(delay) {
            Some(then) if then < deadline => Ok(delay),
            _ => Err(Exhausted::Time(self.policy.max_elapsed)),
        }
    }
}

/// `share` is random, 0 to 1.
fn jittered(policy: &RetryPolicy, attempts: u32, asked: Option<Duration>, share: f64) -> Duration {
    let doublings = attempts.saturating_sub(1).min(31);
    let ceiling = policy.first_delay.saturating_mul(1 << doublings).min(policy.max_delay);
    asked.unwrap_or_default().saturating_add(ceiling.mul_f64(share))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand::rngs::SmallRng;

    use super::*;

    proptest! {
        #[test]
        fn waits_stay_within_their_bounds(
            first in 1u64..1000, most in 1u64..60_000, limit in 1u64..600_000,
            attempts in 1u32..80, asked in proptest::option::of(0u64..100_000), seed: u64,
        ) {
            let millis = Duration::from_millis;
            let policy = RetryPolicy {
                max_attempts: 40,
                max_elapsed: millis(limit),
                first_delay: millis(first),
                max_delay: millis(most),
            };
            let now = Instant::now();
            let mut backoff = Backoff::start(&policy, now);
            for _ in 0..attempts {
                prop_assert!(backoff.attempt(now, millis(500)) <= millis(500));
            }
            let least = millis(asked.unwrap_or(0));
            let jitter = millis(first.saturating_mul(1 << (attempts - 1).min(31)).min(most));
            match backoff.next_delay(asked.map(millis), now, &mut SmallRng::seed_from_u64(seed)) {
                Ok(delay) => {
                    prop_assert!(attempts < 40);
                    prop_assert!(delay >= least && delay <= least + jitter);
                    prop_assert!(delay < millis(limit));
                }
                Err(Exhausted::Attempts(made)) => prop_assert!(made == attempts && made >= 40),
                Err(Exhausted::Time(_)) => prop_assert!(least + jitter >= millis(limit)),
            }
        }
    }

    #[test]
    fn an_attempt_ends_with_the_time_for_all() {
        let policy = RetryPolicy { max_elapsed: Duration::from_secs(2), ..RetryPolicy::default() };
        let start = Instant::now();
        let mut backoff = Backoff::start(&policy, start);
        let late = start + Duration::from_millis(1500);
        assert_eq!(backoff.attempt(late, Duration::from_secs(30)), Duration::from_millis(500));
        assert_eq!(backoff.attempts(), 1);
    }

    #[test]
    fn waits_are_those_of_the_table() {
        let rules: serde_json::Value =
            serde_json::from_str(include_str!("../../../conformance/rules.json")).unwrap();
        let millis = |value: &serde_json::Value| value.as_u64().map(Duration::from_millis);
        for row in rules["backoff"].as_array().unwrap() {
            let policy = RetryPolicy {
                first_delay: millis(&row["first_delay_ms"]).unwrap(),
                max_delay: millis(&row["max_delay_ms"]).unwrap(),
                ..RetryPolicy::default()
            };
            let attempts = u32::try_from(row["attempts"].as_u64().unwrap()).unwrap();
            let (asked, share) = (millis(&row["asked_ms"]), row["random"].as_f64().unwrap());
            let delay = jittered(&policy, attempts, asked, share);
            assert_eq!(Some(delay), millis(&row["delay_ms"]), "{row}");
        }
    }

    #[test]
    fn what_is_never_given_up_has_no_end() {
        let policy =
            RetryPolicy { max_attempts: 1, max_elapsed: Duration::ZERO, ..RetryPolicy::default() };
        let mut backoff = Backoff::endless(&policy);
        for _ in 0..100 {
            let now = Instant::now();
            assert_eq!(backoff.attempt(now, Duration::from_secs(3)), Duration::from_secs(3));
            assert!(backoff.next_delay(None, now, &mut rand::rng()).is_ok());
        }
    }
}
