//! What was decided about an event in quarantine, and what can stand at a position.
//!
//! A disposition is one record, so it is in the log as a whole or not at all: who released or
//! discarded which event, when and why, and for a release the event as it was judged then. It has no
//! idempotency key: the key stays with the record of the event as it came in.
//!
//! | bytes | what a disposition adds behind the parts of its record |
//! |---|---|
//! | 1 | action: 0 released, 1 patched and released, 2 discarded |
//! | 1 | length of who |
//! | 2 | length of the reason |
//! | 8 | when, milliseconds since 1970 UTC |
//! | | who, reason |

use tidegate_types::UnixMillis;

use super::{InvalidRecord, Record, Stored, take_array, take_text};

/// Most bytes that the reason of a disposition may have.
pub const MAX_REASON_BYTES: usize = 4096;

/// Bytes before who and why.
const FIXED_BYTES: usize = 12;

/// What stands at a position of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<'a> {
    /// An event as it came in.
    Event(Record<'a>),
    /// What became of an event that was in quarantine.
    Disposition(Disposition<'a>),
}

/// What was done with an event in quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// It passed as it came in.
    Released,
    /// Somebody mended it, and then it passed.
    PatchedAndReleased,
    /// It goes nowhere.
    Discarded,
}

impl Action {
    /// All of them, each in the place of its number in the format.
    pub const ALL: [Self; 3] = [Self::Released, Self::PatchedAndReleased, Self::Discarded];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Released => "released",
            Self::PatchedAndReleased => "patched_and_released",
            Self::Discarded => "discarded",
        }
    }

    fn number(self) -> u8 {
        match self {
            Self::Released => 0,
            Self::PatchedAndReleased => 1,
            Self::Discarded => 2,
        }
    }

    /// What the event is from then on.
    fn status(self) -> Stored {
        match self {
            Self::Released | Self::PatchedAndReleased => Stored::Accepted,
            Self::Discarded => Stored::Quarantined,
        }
    }
}

/// What became of an event that was in quarantine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disposition<'a> {
    pub action: Action,
    /// Who decided. At most 255 bytes.
    pub by: &'a str,
    /// At most [`MAX_REASON_BYTES`].
    pub reason: &'a str,
    pub at: UnixMillis,
    /// The event as it is released, under the id that it has had since it came in. Of one that is
    /// discarded only id, tenant, type and the revision that held it count.
    /// Its status and key are not written: they follow.
    pub record: Record<'a>,
}

impl<'a> Disposition<'a> {
    /// The record with what follows from the action.
    pub(super) fn consistent(&self) -> Self {
        let record = Record { key: None, status: self.action.status(), ..self.record };
        let record = match self.action {
            Action::Released | Action::PatchedAndReleased => record,
            Action::Discarded => Record {
                event_time: None,
                original: b"",
                patches: b"",
                findings: b"",
                context: b"",
                ..record
            },
        };
        Self { record, ..*self }
    }

    /// Bytes that it adds to its record.
    pub(super) fn added_bytes(&self) -> usize {
        FIXED_BYTES + self.by.len() + self.reason.len()
    }

    /// Writes what it adds; the lengths are checked before.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[self.action.number(), self.by.len() as u8]);
        out.extend_from_slice(&(self.reason.len() as u16).to_le_bytes());
        out.extend_from_slice(&self.at.0.to_le_bytes());
        out.extend_from_slice(self.by.as_bytes());
        out.extend_from_slice(self.reason.as_bytes());
    }

    pub(super) fn decode(record: Record<'a>, rest: &mut &'a [u8]) -> Result<Self, InvalidRecord> {
        let [action, by] = take_array(rest)?;
        let action = Action::ALL.get(usize::from(action)).copied();
        let action = action.ok_or(InvalidRecord("an unknown action"))?;
        let reason = usize::from(u16::from_le_bytes(take_array(rest)?));
        if reason > MAX_REASON_BYTES {
            return Err(InvalidRecord("a reason is too long"));
        }
        let at = UnixMillis(u64::from_le_bytes(take_array(rest)?));
        let by = take_text(rest, usize::from(by))?;
        let reason = take_text(rest, reason)?;
        let found = Self { action, by, reason, at, record };
        if found.consistent() != found {
            return Err(InvalidRecord("a disposition and its event do not agree"));
        }
        Ok(found)
    }
}
