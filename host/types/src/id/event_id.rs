//! Event ids: UUID version 7 (RFC 9562), minted by the host at decode.
//!
//! Layout, big-endian: 48 bits of Unix milliseconds, 4 bits version, 12 bits and 62 bits random
//! (2 bits variant between them). The 12 bits are a counter within the millisecond, so ids of one
//! minter are strictly increasing.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::UnixMillis;

/// The id of one event.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub [u8; 16]);

impl EventId {
    /// An id from its parts. `counter` uses its low 12 bits, `random` its low 62.
    #[must_use]
    pub fn from_parts(at: UnixMillis, counter: u16, random: u64) -> Self {
        let high = (at.0 << 16) | 0x7000 | u64::from(counter & 0x0fff);
        let low = (random & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000;
        Self(((u128::from(high) << 64) | u128::from(low)).to_be_bytes())
    }

    /// When the event was received: the id's millisecond.
    #[must_use]
    pub fn received_at(&self) -> UnixMillis {
        UnixMillis((u128::from_be_bytes(self.0) >> 80) as u64)
    }

    /// The 36 characters of the usual form.
    #[must_use]
    pub fn text(&self) -> [u8; 36] {
        const HEX: [u8; 16] = *b"0123456789abcdef";
        let digit = |nibble: u8| HEX.get(usize::from(nibble & 15)).copied().unwrap_or(b'0');
        let mut out = [b'-'; 36];
        let places = (0..36).filter(|place| !matches!(place, 8 | 13 | 18 | 23));
        let nibbles = self.0.iter().flat_map(|byte| [byte >> 4, *byte]);
        for (place, nibble) in places.zip(nibbles) {
            if let Some(slot) = out.get_mut(place) {
                *slot = digit(nibble);
            }
        }
        out
    }
}

/// Mints increasing ids for one worker.
#[derive(Debug)]
pub struct Minter {
    last: u64,
    counter: u16,
    state: u64,
}

impl Minter {
    /// A minter seeded by the operating system.
    ///
    /// # Errors
    /// Where the operating system has no random bytes to give.
    pub fn new() -> Result<Self, getrandom::Error> {
        Ok(Self { last: 0, counter: 0, state: getrandom::u64()? })
    }

    /// The next id. Where the clock stands still or goes back, the last millisecond is kept; where
    /// its counter is used up, the next millisecond is taken.
    pub fn mint(&mut self, now: UnixMillis) -> EventId {
        if now.0 > self.last {
            self.last = now.0;
            self.counter = 0;
        } else if self.counter == 0x0fff {
            self.last += 1;
            self.counter = 0;
        } else {
            self.counter += 1;
        }
        // splitmix64 (Steele, Lea, Flood 2014): ids need to be distinct, not secret.
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        EventId::from_parts(UnixMillis(self.last), self.counter, z ^ (z >> 31))
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.text()).unwrap_or_default())
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not a UUID in its usual form.
#[derive(Debug, thiserror::Error)]
#[error("an event id is a UUID of 36 characters")]
pub struct InvalidEventId;

impl FromStr for EventId {
    type Err = InvalidEventId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let dashes = [8usize, 13, 18, 23];
        let fits = text.len() == 36
            && text.bytes().enumerate().all(|(place, b)| {
                if dashes.contains(&place) { b == b'-' } else { b.is_ascii_hexdigit() }
            });
        if !fits {
            return Err(InvalidEventId);
        }
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        let value = u128::from_str_radix(&digits, 16).map_err(|_| InvalidEventId)?;
        Ok(Self(value.to_be_bytes()))
    }
}

impl Serialize for EventId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_increase_also_when_the_clock_does_not() {
        let mut minter = Minter::new().expect("random bytes");
        let mut last = minter.mint(UnixMillis(1_700_000_000_000));
        for step in 0..10_000u64 {
            let now = UnixMillis(1_700_000_000_000 - step % 3);
            let next = minter.mint(now);
            assert!(next > last);
            last = next;
        }
    }

    #[test]
    fn text_has_version_variant_and_time() {
        let id = EventId::from_parts(UnixMillis(0x0192_d4e5_8a7c), 0xdef, u64::MAX);
        assert_eq!(id.to_string(), "0192d4e5-8a7c-7def-bfff-ffffffffffff");
        assert_eq!(id.received_at(), UnixMillis(0x0192_d4e5_8a7c));
        assert_eq!(id.to_string().parse::<EventId>().expect("own text"), id);
        assert!("0192d4e5-8a7c-7def-bfff-fffffffffff".parse::<EventId>().is_err());
        assert!("0192d4e5+8a7c-7def-bfff-ffffffffffff".parse::<EventId>().is_err());
    }
}
