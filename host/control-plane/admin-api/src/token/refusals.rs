//! How many refusals are told one by one: whoever sends wrong requests must not be able to fill the
//! audit log, which forgets nothing.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_secs(60);
/// For each token in a window.
const OF_KNOWN: u32 = 120;
/// For all that have no token, together.
const OF_UNKNOWN: u32 = 12;
/// Tokens that are counted at once; beyond, those whose window is over are forgotten.
const MAX_TOKENS: usize = 1000;

#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<HashMap<String, Count>>);

#[derive(Debug)]
struct Count {
    since: Instant,
    told: u32,
    skipped: u64,
}

impl Refusals {
    /// May this one be told? Then how many were not since the last.
    pub(crate) fn tell(&self, token: &str, now: Instant) -> Option<u64> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MAX_TOKENS {
            counts.retain(|_, count| now.duration_since(count.since) < WINDOW);
        }
        let start = || Count { since: now, told: 0, skipped: 0 };
        let count = counts.entry(token.to_owned()).or_insert_with(start);
        if now.duration_since(count.since) >= WINDOW {
            (count.since, count.told) = (now, 0);
        }
        let limit = if token == super::UNKNOWN { OF_UNKNOWN } else { OF_KNOWN };
        if count.told >= limit {
            count.skipped += 1;
            return None;
        }
        count.told += 1;
        Some(std::mem::take(&mut count.skipped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_tells_so_many_and_the_next_one_how_many_it_missed() {
        let (refusals, start) = (Refusals::default(), Instant::now());
        for token in [super::super::UNKNOWN, "k3j"] {
            let limit = if token == "k3j" { OF_KNOWN } else { OF_UNKNOWN };
            for _ in 0..limit {
                assert_eq!(refusals.tell(token, start), Some(0), "{token}");
            }
            for _ in 0..5 {
                assert_eq!(refusals.tell(token, start + WINDOW / 2), None, "{token}");
            }
            assert_eq!(refusals.tell(token, start + WINDOW), Some(5), "{token}");
            assert_eq!(refusals.tell(token, start + WINDOW), Some(0), "{token}");
        }
        let later = start + WINDOW * 3;
        for other in 0..2 * MAX_TOKENS as u32 {
            refusals.tell(&other.to_string(), later + WINDOW * other);
        }
        assert!(refusals.0.lock().unwrap().len() <= MAX_TOKENS);
    }
}
