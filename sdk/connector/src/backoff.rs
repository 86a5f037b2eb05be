//! How long to wait before the next attempt: exponential with full jitter (Marc Brooker,
//! "Exponential Backoff And Jitter", AWS Architecture Blog, 2015), and never shorter than the
//! gateway asked for.

use std::time::{Duration, Instant};

use rand::Rng;

use crate::options::RetryPolicy;

/// The state of one batch's attempts.
pub(crate) struct Backoff<'p> {
    policy: &'p RetryPolicy,
    deadline: Instant,
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
        let deadline = now.checked_add(policy.max_elapsed).unwrap_or(now);
        Self { policy, deadline, attempts: 0 }
    }

    /// Counts an attempt and tells how long it may take at most.
    pub(crate) fn attempt(&mut self, now: Instant, request_timeout: Duration) -> Duration {
        self.attempts = self.attempts.saturating_add(1);
        self.deadline.saturating_duration_since(now).min(request_timeout)
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
        if self.attempts >= self.policy.max_attempts {
            return Err(Exhausted::Attempts(self.attempts));
        }
        let doublings = self.attempts.saturating_sub(1).min(31);
        let ceiling =
            self.policy.first_delay.saturating_mul(1 << doublings).min(self.policy.max_delay);
        let delay = asked.unwrap_or_default().saturating_add(ceiling.mul_f64(random.random()));
        match now.checked_add(delay) {
            Some(then) if then < self.deadline => Ok(delay),
            _ => Err(Exhausted::Time(self.policy.max_elapsed)),
        }
    }
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
}
