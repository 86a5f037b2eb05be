//! Pauses that double, with jitter, so that nodes do not come back all at once.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Pause {
    first: Duration,
    most: Duration,
    failures: u32,
    chance: RandomState,
}

impl Pause {
    pub(super) fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, failures: 0, chance: RandomState::new() }
    }

    /// The next pause: between a half and the whole of what is doubled each time.
    pub(super) fn next(&mut self) -> Duration {
        let doubled = self.first.saturating_mul(2u32.saturating_pow(self.failures)).min(self.most);
        self.failures = self.failures.saturating_add(1);
        let parts = u32::try_from(self.chance.hash_one(self.failures) % 1000).unwrap_or(0);
        doubled / 2 + doubled / 2000 * parts
    }

    /// It went well; answers whether it had not.
    pub(super) fn reset(&mut self) -> bool {
        std::mem::take(&mut self.failures) > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_their_most_and_begin_anew() {
        let mut pause = Pause::new(Duration::from_millis(100), Duration::from_secs(10));
        for most in [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000] {
            let found = pause.next().as_millis();
            assert!((most / 2..=most).contains(&found), "{found} of {most}");
        }
        assert!(pause.reset() && !pause.reset());
        assert!(pause.next() <= Duration::from_millis(100));
    }
}
