//! Keys and values as they stand in Redis.
//!
//! Key: the prefix, the tenant, a zero byte, the 16 bytes of the [`DedupKey`]. So the keys of a tenant
//! can be found, and none is another tenant's.
//!
//! | value | bytes |
//! |---|---|
//! | claimed | `R`, fingerprint 16, owner 16 |
//! | committed | `C`, fingerprint 16, event id 16, then `a` accepted or `q` quarantined |

use tidegate_dedup::{Commit, DedupKey, Fingerprint, Owner, Settled};
use tidegate_types::{EventId, TenantId};

const CLAIMED: u8 = b'R';
const COMMITTED: u8 = b'C';

/// A value that we wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stored {
    Claimed { owner: Owner },
    Committed(First),
}

/// The outcome of the event that was committed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct First {
    pub(super) fingerprint: Fingerprint,
    pub(super) event_id: EventId,
    pub(super) settled: Settled,
}

pub(super) fn key(prefix: &str, tenant: &TenantId, key: DedupKey) -> Vec<u8> {
    [prefix.as_bytes(), tenant.as_str().as_bytes(), &[0], &key.0].concat()
}

pub(super) fn claimed(fingerprint: Fingerprint, owner: Owner) -> [u8; 33] {
    let mut out = [CLAIMED; 33];
    fill(&mut out, [&fingerprint.0[..], &owner.0]);
    out
}

impl First {
    pub(super) fn of(commit: &Commit) -> Self {
        let Commit { fingerprint, event_id, settled, .. } = *commit;
        Self { fingerprint, event_id, settled }
    }

    pub(super) fn encode(&self) -> [u8; 34] {
        let mut out = [COMMITTED; 34];
        let status: &[u8] = match self.settled {
            Settled::Accepted => b"a",
            Settled::Quarantined => b"q",
        };
        fill(&mut out, [&self.fingerprint.0[..], &self.event_id.0, status]);
        out
    }
}

/// Puts parts one behind the other, after the first byte.
fn fill<const N: usize>(out: &mut [u8], parts: [&[u8]; N]) {
    let bytes = parts.into_iter().flatten();
    out.iter_mut().skip(1).zip(bytes).for_each(|(to, from)| *to = *from);
}

/// `None` for bytes that we never write.
pub(super) fn parse(bytes: &[u8]) -> Option<Stored> {
    let (kind, rest) = bytes.split_first()?;
    let (fingerprint, rest) = rest.split_first_chunk()?;
    let (id, rest) = rest.split_first_chunk()?;
    match (*kind, rest) {
        (CLAIMED, []) => Some(Stored::Claimed { owner: Owner(*id) }),
        (COMMITTED, [status]) => {
            let settled = match status {
                b'a' => Settled::Accepted,
                b'q' => Settled::Quarantined,
                _ => return None,
            };
            let (fingerprint, event_id) = (Fingerprint(*fingerprint), EventId(*id));
            Some(Stored::Committed(First { fingerprint, event_id, settled }))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_and_others_are_refused() {
        let claim = claimed(Fingerprint([1; 16]), Owner([2; 16]));
        assert_eq!(parse(&claim), Some(Stored::Claimed { owner: Owner([2; 16]) }));
        for settled in [Settled::Accepted, Settled::Quarantined] {
            let first =
                First { fingerprint: Fingerprint([3; 16]), event_id: EventId([4; 16]), settled };
            let value = first.encode();
            assert_eq!(parse(&value), Some(Stored::Committed(first)));
            for cut in 0..value.len() {
                assert_eq!(parse(&value[..cut]), None, "{cut}");
            }
        }
        for cut in 0..claim.len() {
            assert_eq!(parse(&claim[..cut]), None, "{cut}");
        }
        assert_eq!(parse(b""), None);
        assert_eq!(parse(&[b'X'; 33]), None);
        assert_eq!(parse(&[b'C'; 34]), None, "no status");
    }

    #[test]
    fn keys_of_tenants_do_not_meet() {
        let [a, ab] = ["a", "ab"].map(|name| TenantId::new(name).unwrap());
        let one = key("p:", &a, DedupKey([b'b'; 16]));
        assert_eq!(one, [b"p:a\0".as_slice(), &[b'b'; 16]].concat());
        assert!(!key("p:", &ab, DedupKey([b'b'; 16])).starts_with(b"p:a\0"));
    }
}
