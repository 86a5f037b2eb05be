//! What is compared: the key of an event and the fingerprint of its payload.

use sha2::{Digest as _, Sha256};
use tidegate_types::TenantId;

/// The identity of an event: the first 16 bytes of SHA-256 over tenant, source and key.
///
/// The first two are preceded by their length in bytes (64 bits, little-endian), so no two
/// different triples have the same input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DedupKey(pub [u8; 16]);

impl DedupKey {
    /// `source` is CloudEvents' `source`, or empty where the event has none.
    #[must_use]
    pub fn of(tenant: &TenantId, source: &str, key: &str) -> Self {
        let mut hash = Sha256::new();
        for part in [tenant.as_str(), source] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.update(key);
        Self(first_half(&hash.finalize().into()))
    }
}

/// The first 16 bytes of SHA-256 over the canonical payload without its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 16]);

impl Fingerprint {
    /// `canonical` is the payload in the one form that equal payloads share.
    #[must_use]
    pub fn of(canonical: &[u8]) -> Self {
        Self(first_half(&Sha256::digest(canonical).into()))
    }
}

fn first_half(digest: &[u8; 32]) -> [u8; 16] {
    let mut out = [0; 16];
    for (to, from) in out.iter_mut().zip(digest) {
        *to = *from;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        let (ab, a) = (TenantId::new("ab").unwrap(), TenantId::new("a").unwrap());
        let keys = [
            DedupKey::of(&ab, "", "c"),
            DedupKey::of(&a, "b", "c"),
            DedupKey::of(&a, "", "bc"),
            DedupKey::of(&a, "bc", ""),
            DedupKey::of(&ab, "c", ""),
        ];
        for (place, key) in keys.iter().enumerate() {
            assert!(!keys[place + 1..].contains(key), "{place}");
        }
        assert_eq!(keys[0], DedupKey::of(&ab, "", "c"));
    }

    /// Keys are in logs on disk, so their derivation is frozen.
    #[test]
    fn derivation_is_frozen() {
        let mut input = Vec::new();
        input.extend_from_slice(&4u64.to_le_bytes());
        input.extend_from_slice(b"acme");
        input.extend_from_slice(&3u64.to_le_bytes());
        input.extend_from_slice(b"/s1k-1");
        let expected = Fingerprint::of(&input).0;
        assert_eq!(DedupKey::of(&TenantId::new("acme").unwrap(), "/s1", "k-1").0, expected);
        let sha_of_abc = [
            0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40, 0xde, 0x5d, 0xae,
            0x22, 0x23,
        ];
        assert_eq!(Fingerprint::of(b"abc").0, sha_of_abc);
    }
}
