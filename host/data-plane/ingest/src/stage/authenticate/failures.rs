//! Refusals of credentials, bounded for each client address and each key's id, so that who tries keys
//! is slowed down and floods neither callers nor logs. Good credentials are never refused for it: keys
//! have 256 random bits, so what is tried too often is no danger to them, and neighbours behind one address
//! do not lock each other out.
//!
//! The bound is a leaky bucket as one time for each place of a table (GCRA: ITU-T I.371, annex A). A
//! place is found by a hash with a secret of this process; two that share one share its bound.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tidegate_types::{Problem, ProblemType};

use super::{Counts, Refused};

const PLACES: usize = 8192;
const WINDOW: Duration = Duration::from_secs(60);

/// Refusals of the last minute.
pub(crate) struct Failures {
    addresses: Table,
    keys: Table,
    /// What one refusal takes of the window.
    cost_micros: u64,
    started: Instant,
}

struct Table {
    hasher: ahash::RandomState,
    /// When each place is empty again, in microseconds after the start.
    empty_at: Box<[AtomicU64]>,
}

impl Failures {
    /// At most `a_minute` refusals are told as what they are.
    pub(crate) fn new(a_minute: u32) -> Self {
        let (addresses, keys) = (Table::default(), Table::default());
        let cost_micros = micros(WINDOW) / u64::from(a_minute.max(1));
        Self { addresses, keys, cost_micros, started: Instant::now() }
    }

    /// What to answer: the refusal itself, or that there were too many.
    pub(crate) fn tell(&self, refused: Refused, client: IpAddr) -> Problem {
        let Counts::For(key_id) = refused.counts else { return *refused.problem };
        let now = micros(self.started.elapsed());
        let of_address = self.addresses.note(&network(client), now, self.cost_micros);
        let of_key = key_id.map(|id| self.keys.note(&id, now, self.cost_micros));
        let (whose, wait) = match (of_address, of_key.unwrap_or(Ok(()))) {
            (Ok(()), Ok(())) => return *refused.problem,
            (Err(wait), _) => ("from this address", wait),
            (Ok(()), Err(wait)) => ("with this key's id", wait),
        };
        let detail = format!(
            "too many requests {whose} had credentials that were refused; send right ones, which are taken \
             at any time"
        );
        Problem::new(ProblemType::TooManyRequests, detail).retry_after(wait.div_ceil(1000))
    }
}

impl Default for Table {
    fn default() -> Self {
        let empty_at = (0..PLACES).map(|_| AtomicU64::new(0)).collect();
        Self { hasher: ahash::RandomState::new(), empty_at }
    }
}

impl Table {
    /// Notes a refusal, where there is room for it; otherwise answers how many microseconds until there is.
    fn note<K: std::hash::Hash + ?Sized>(&self, of: &K, now: u64, cost: u64) -> Result<(), u64> {
        let place = usize::try_from(self.hasher.hash_one(of) % PLACES as u64).unwrap_or(0);
        let Some(empty_at) = self.empty_at.get(place) else { return Ok(()) };
        let latest = now.saturating_add(micros(WINDOW));
        let filled = |before: u64| before.max(now).saturating_add(cost);
        let noted = empty_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |before| {
            Some(filled(before)).filter(|after| *after <= latest)
        });
        noted.map(drop).map_err(|before| filled(before).saturating_sub(latest))
    }
}

/// What one sender of an address has: of IPv6 the first 64 bits.
fn network(address: IpAddr) -> [u8; 8] {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            [0, 0, 0, 0, a, b, c, d]
        }
        IpAddr::V6(address) => {
            let [a, b, c, d, e, f, g, h, ..] = address.octets();
            [a, b, c, d, e, f, g, h]
        }
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_allowed_and_then_one_as_time_passes() {
        let table = Table::default();
        let cost = micros(WINDOW) / 60;
        for tried in 0..60 {
            assert_eq!(table.note("a", 0, cost), Ok(()), "{tried}");
        }
        assert_eq!(table.note("a", 0, cost), Err(1_000_000));
        assert_eq!(table.note("a", 400_000, cost), Err(600_000), "trying does not make it longer");
        assert_eq!(table.note("a", 1_000_000, cost), Ok(()));
        assert_eq!(table.note("a", 1_000_000, cost), Err(1_000_000));
        // Others are not concerned; of a hundred names at least one has a place of its own.
        assert!((0..100).any(|name| table.note(&name, 0, cost).is_ok()));
        // After a window without refusals all of it is free again.
        for tried in 0..60 {
            assert_eq!(table.note("a", 200_000_000, cost), Ok(()), "{tried}");
        }
    }

    #[test]
    fn addresses_of_one_sender() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.2"), of("10.0.0.1"));
    }
}
