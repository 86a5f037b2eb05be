//! One stored event as bytes, and batches of them. What was decided about an event in quarantine is a
//! record too: see [`Disposition`].
//!
//! Encoding happens on the caller's thread, into a [`RecordBatch`]; the log's writer only copies.
//! All integers are little-endian.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | length of the whole record, this field included |
//! | 4 | 1 | flags: 1 quarantined, 2 has a key, 4 has an event time, 8 is a disposition; others are an error |
//! | 5 | 1 | length of the tenant |
//! | 6 | 1 | length of the event type |
//! | 7 | 1 | zero |
//! | 8 | 4 × 4 | lengths of original, patches, findings, context |
//! | 24 | 16 | event id |
//! | 40 | 32 | revision digest |
//! | 72 | 32 | only with flag 2: key, fingerprint |
//! | | 8 | only with flag 4: event time, milliseconds since 1970 UTC |
//! | | | tenant, event type, original, patches, findings, context |
//! | | | only with flag 8: action, who, reason and time of the disposition |

mod disposition;

use tidegate_types::{Digest, EventId, Status, UnixMillis};

pub use disposition::{Action, Disposition, Entry, MAX_REASON_BYTES};

/// Most bytes that one encoded record may have.
pub const MAX_RECORD_BYTES: usize = 16 << 20;

/// Most bytes that the encoded records of one batch may have together.
pub const MAX_BATCH_BYTES: usize = 32 << 20;

const QUARANTINED: u8 = 1;
const HAS_KEY: u8 = 2;
const HAS_EVENT_TIME: u8 = 4;
const DISPOSITION: u8 = 8;

/// Bytes of a record before its variable parts.
const FIXED_BYTES: usize = 72;

/// What became of an event that is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stored {
    /// On its way to the sinks.
    Accepted,
    /// Held by a rule.
    Quarantined,
}

impl From<Stored> for Status {
    fn from(stored: Stored) -> Self {
        match stored {
            Stored::Accepted => Self::Accepted,
            Stored::Quarantined => Self::Quarantined,
        }
    }
}

/// An idempotency key and the fingerprint of the payload that came with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyMark {
    pub key: [u8; 16],
    pub fingerprint: [u8; 16],
}

/// One stored event. Borrowed, both for encoding and when decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    pub event_id: EventId,
    pub status: Stored,
    /// At most 255 bytes.
    pub tenant: &'a str,
    /// At most 255 bytes.
    pub event_type: &'a str,
    /// The revision that judged the event.
    pub revision: Digest,
    /// `None` where the event has no key and is not deduplicated.
    pub key: Option<KeyMark>,
    /// The event's own time, where its route names one.
    pub event_time: Option<UnixMillis>,
    /// The event as the producer sent it.
    pub original: &'a [u8],
    /// Opaque to the log; may be empty.
    pub patches: &'a [u8],
    /// Opaque to the log; may be empty.
    pub findings: &'a [u8],
    /// Opaque to the log; may be empty.
    pub context: &'a [u8],
}

/// A record, or the batch that it was to join, over a limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} would have {bytes} bytes, more than {limit}")]
pub struct RecordTooLarge {
    /// Which limit: `tenant`, `event type`, `who`, `reason`, `record` or `batch`.
    pub what: &'static str,
    pub bytes: usize,
    pub limit: usize,
}

/// Bytes that are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a record: {0}")]
pub struct InvalidRecord(pub &'static str);

/// Records that are appended together: they become durable together, with consecutive positions.
#[derive(Debug, Default)]
pub struct RecordBatch {
    bytes: Vec<u8>,
    count: u32,
}

impl RecordBatch {
    /// Encodes a record to the end of the batch.
    ///
    /// # Errors
    /// Where a limit would be exceeded; the batch is as it was.
    pub fn push(&mut self, record: &Record<'_>) -> Result<(), RecordTooLarge> {
        let length = encoded_length(record)?;
        limit("batch", self.bytes.len() + length, MAX_BATCH_BYTES)?;
        self.bytes.reserve(length);
        encode(record, length, 0, &mut self.bytes);
        self.count += 1;
        Ok(())
    }

    /// Encodes a disposition to the end of the batch.
    ///
    /// # Errors
    /// Where a limit would be exceeded; the batch is as it was.
    pub fn push_disposition(&mut self, one: &Disposition<'_>) -> Result<(), RecordTooLarge> {
        let one = one.consistent();
        limit("who", one.by.len(), usize::from(u8::MAX))?;
        limit("reason", one.reason.len(), MAX_REASON_BYTES)?;
        let length = encoded_length(&one.record)? + one.added_bytes();
        limit("record", length, MAX_RECORD_BYTES)?;
        limit("batch", self.bytes.len() + length, MAX_BATCH_BYTES)?;
        self.bytes.reserve(length);
        encode(&one.record, length, DISPOSITION, &mut self.bytes);
        one.encode(&mut self.bytes);
        self.count += 1;
        Ok(())
    }

    /// How many records it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count as usize
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The encoded records, one after the other.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn count(&self) -> u32 {
        self.count
    }
}

fn limit(what: &'static str, bytes: usize, limit: usize) -> Result<(), RecordTooLarge> {
    if bytes > limit { Err(RecordTooLarge { what, bytes, limit }) } else { Ok(()) }
}

fn encoded_length(record: &Record<'_>) -> Result<usize, RecordTooLarge> {
    limit("tenant", record.tenant.len(), usize::from(u8::MAX))?;
    limit("event type", record.event_type.len(), usize::from(u8::MAX))?;
    let optional = record.key.map_or(0, |_| 32) + record.event_time.map_or(0, |_| 8);
    let names = record.tenant.len() + record.event_type.len();
    let parts = [record.original, record.patches, record.findings, record.context];
    let length =
        parts.iter().map(|part| part.len()).sum::<usize>() + FIXED_BYTES + optional + names;
    limit("record", length, MAX_RECORD_BYTES)?;
    Ok(length)
}

/// Writes a record; `length` counts also what its kind adds.
fn encode(record: &Record<'_>, length: usize, kind: u8, out: &mut Vec<u8>) {
    let mut flags = match record.status {
        Stored::Accepted => kind,
        Stored::Quarantined => kind | QUARANTINED,
    };
    flags |= record.key.map_or(0, |_| HAS_KEY) | record.event_time.map_or(0, |_| HAS_EVENT_TIME);
    // The lengths were checked against their limits, so no cast here loses anything.
    out.extend_from_slice(&(length as u32).to_le_bytes());
    out.extend_from_slice(&[flags, record.tenant.len() as u8, record.event_type.len() as u8, 0]);
    let parts = [record.original, record.patches, record.findings, record.context];
    for part in parts {
        out.extend_from_slice(&(part.len() as u32).to_le_bytes());
    }
    out.extend_from_slice(&record.event_id.0);
    out.extend_from_slice(&record.revision.0);
    if let Some(mark) = record.key {
        out.extend_from_slice(&mark.key);
        out.extend_from_slice(&mark.fingerprint);
    }
    if let Some(at) = record.event_time {
        out.extend_from_slice(&at.0.to_le_bytes());
    }
    out.extend_from_slice(record.tenant.as_bytes());
    out.extend_from_slice(record.event_type.as_bytes());
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// Takes the first record off `bytes`.
pub(crate) fn decode<'a>(bytes: &mut &'a [u8]) -> Result<Entry<'a>, InvalidRecord> {
    let short = InvalidRecord("it ends too early");
    let length = u32::from_le_bytes(*bytes.first_chunk().ok_or(short)?) as usize;
    let (mut rest, after) = bytes.split_at_checked(length).ok_or(short)?;
    let (record, kind) = decode_one(&mut rest)?;
    let entry = match kind {
        DISPOSITION => Entry::Disposition(Disposition::decode(record, &mut rest)?),
        _ => Entry::Event(record),
    };
    if !rest.is_empty() {
        return Err(InvalidRecord("it is longer than its parts"));
    }
    *bytes = after;
    Ok(entry)
}

/// A record and the flag of its kind; what its kind adds is left in `rest`.
fn decode_one<'a>(rest: &mut &'a [u8]) -> Result<(Record<'a>, u8), InvalidRecord> {
    let [_, _, _, _, flags, tenant, event_type, zero] = take_array::<8>(rest)?;
    if flags & !(QUARANTINED | HAS_KEY | HAS_EVENT_TIME | DISPOSITION) != 0 || zero != 0 {
        return Err(InvalidRecord("unknown flags"));
    }
    let mut length = || take_array(rest).map(|bytes| u32::from_le_bytes(bytes) as usize);
    let (original, patches, findings, context) = (length()?, length()?, length()?, length()?);
    let record = Record {
        event_id: EventId(take_array(rest)?),
        status: if flags & QUARANTINED == 0 { Stored::Accepted } else { Stored::Quarantined },
        revision: Digest(take_array(rest)?),
        key: if flags & HAS_KEY == 0 {
            None
        } else {
            Some(KeyMark { key: take_array(rest)?, fingerprint: take_array(rest)? })
        },
        event_time: if flags & HAS_EVENT_TIME == 0 {
            None
        } else {
            Some(UnixMillis(u64::from_le_bytes(take_array(rest)?)))
        },
        tenant: take_text(rest, usize::from(tenant))?,
        event_type: take_text(rest, usize::from(event_type))?,
        original: take(rest, original)?,
        patches: take(rest, patches)?,
        findings: take(rest, findings)?,
        context: take(rest, context)?,
    };
    Ok((record, flags & DISPOSITION))
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a [u8], InvalidRecord> {
    let (part, after) =
        rest.split_at_checked(count).ok_or(InvalidRecord("a part is longer than the record"))?;
    *rest = after;
    Ok(part)
}

fn take_text<'a>(rest: &mut &'a [u8], count: usize) -> Result<&'a str, InvalidRecord> {
    std::str::from_utf8(take(rest, count)?).map_err(|_| InvalidRecord("a name is not UTF-8"))
}

fn take_array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], InvalidRecord> {
    take_chunk(rest).ok_or(InvalidRecord("it is shorter than its fixed part"))
}

/// Takes a field of fixed width off `rest`.
pub(crate) fn take_chunk<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (part, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*part)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record<'a>(parts: &'a [Vec<u8>; 4], names: (&'a str, &'a str)) -> Record<'a> {
        let [original, patches, findings, context] = parts;
        Record {
            event_id: EventId([7; 16]),
            status: Stored::Quarantined,
            tenant: names.0,
            event_type: names.1,
            revision: Digest([9; 32]),
            key: Some(KeyMark { key: [1; 16], fingerprint: [2; 16] }),
            event_time: Some(UnixMillis(1_357_016_400_000)),
            original,
            patches,
            findings,
            context,
        }
    }

    proptest! {
        #[test]
        fn any_record_comes_back(
            parts in proptest::array::uniform4(proptest::collection::vec(any::<u8>(), 0..300)),
            tenant in "[a-z]{0,63}", event_type in "\\PC{0,60}",
            (quarantined, key, time) in any::<(bool, bool, bool)>(),
        ) {
            let mut one = record(&parts, (&tenant, &event_type));
            one.status = if quarantined { Stored::Quarantined } else { Stored::Accepted };
            one.key = one.key.filter(|_| key);
            one.event_time = one.event_time.filter(|_| time);
            let mut batch = RecordBatch::default();
            batch.push(&one).unwrap();
            batch.push(&one).unwrap();
            let mut rest = batch.bytes();
            prop_assert_eq!(decode(&mut rest).unwrap(), Entry::Event(one));
            prop_assert_eq!(decode(&mut rest).unwrap(), Entry::Event(one));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn any_disposition_comes_back_and_no_cut_of_it_does(
            parts in proptest::array::uniform4(proptest::collection::vec(any::<u8>(), 0..50)),
            action in proptest::sample::select(&Action::ALL), by in "\\PC{0,20}", reason in "\\PC{0,60}",
            (time, at) in any::<(bool, u64)>(),
        ) {
            let mut record = record(&parts, ("acme", "flight"));
            record.event_time = record.event_time.filter(|_| time);
            let one = Disposition { action, by: &by, reason: &reason, at: UnixMillis(at), record };
            let mut batch = RecordBatch::default();
            batch.push_disposition(&one).unwrap();
            prop_assert_eq!(decode(&mut batch.bytes()).unwrap(), Entry::Disposition(one.consistent()));
            for cut in 0..batch.bytes().len() {
                prop_assert!(decode(&mut &batch.bytes()[..cut]).is_err(), "cut at {}", cut);
            }
        }

        #[test]
        fn garbage_is_refused_or_decoded_but_never_panics(
            bytes in proptest::collection::vec(any::<u8>(), 0..400),
        ) {
            let mut rest = &bytes[..];
            while !rest.is_empty() && decode(&mut rest).is_ok() {}
        }
    }

    #[test]
    fn every_cut_and_every_changed_length_is_refused() {
        let parts = [b"{}".to_vec(), vec![], b"[]".to_vec(), vec![1]];
        let mut batch = RecordBatch::default();
        batch.push(&record(&parts, ("acme", "flight"))).unwrap();
        for cut in 0..batch.bytes().len() {
            assert!(decode(&mut &batch.bytes()[..cut]).is_err(), "cut at {cut}");
        }
        // Every byte of the header before the ids is a length, a flag or zero.
        for at in 0..24 {
            let mut bytes = batch.bytes().to_vec();
            bytes[at] ^= 0x40;
            let mut rest = &bytes[..];
            let other = decode(&mut rest);
            assert!(other.is_err() || !rest.is_empty(), "flipped at {at}");
        }
    }

    #[test]
    fn limits_are_named_and_leave_the_batch_alone() {
        let parts = [vec![0; MAX_RECORD_BYTES - 500], vec![], vec![], vec![]];
        let mut batch = RecordBatch::default();
        let long = "x".repeat(256);
        assert_eq!(batch.push(&record(&parts, (&long, "t"))).unwrap_err().what, "tenant");
        assert_eq!(batch.push(&record(&parts, ("t", &long))).unwrap_err().what, "event type");
        batch.push(&record(&parts, ("t", "t"))).unwrap();
        batch.push(&record(&parts, ("t", "t"))).unwrap();
        assert_eq!(batch.push(&record(&parts, ("t", "t"))).unwrap_err().what, "batch");
        assert_eq!(batch.len(), 2);
        let mut refused = |by: &str, reason: &str| {
            let record = record(&parts, ("t", "t"));
            let one =
                Disposition { action: Action::Released, by, reason, at: UnixMillis(0), record };
            batch.push_disposition(&one).unwrap_err().what
        };
        assert_eq!(refused(&long, ""), "who");
        assert_eq!(refused("", &"x".repeat(MAX_REASON_BYTES + 1)), "reason");
        assert_eq!(refused("", &"x".repeat(500)), "record");
        assert_eq!(refused("", ""), "batch");
        let parts = [vec![0; MAX_RECORD_BYTES], vec![], vec![], vec![]];
        let error = RecordBatch::default().push(&record(&parts, ("t", "t"))).unwrap_err();
        assert_eq!((error.what, error.limit), ("record", MAX_RECORD_BYTES));
    }
}
