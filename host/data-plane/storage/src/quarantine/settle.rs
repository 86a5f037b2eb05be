//! Settling: one record in the log for each event, many of them in one append.

use tidegate_types::{Digest, Lsn, UnixMillis};
use tidegate_wal::{Action, AppendError, Disposition, Record, RecordBatch, RecordTooLarge, Stored};

use super::settled::{Claim, Claimed};
use super::settlement::{self, Settlement};
use super::{Held, Quarantine};
use crate::read::ReadError;

/// Bytes of records from which on an append is begun.
const APPEND_BYTES: usize = 1 << 20;

/// An event as a revision has judged it anew.
#[derive(Clone, Copy, Debug)]
pub struct Release<'a> {
    /// The revision that judged it.
    pub revision: Digest,
    pub event_time: Option<UnixMillis>,
    /// What was judged: the event as it came in, or as somebody mended it.
    pub original: &'a [u8],
    /// In the encoding of `tidegate_event::patch`; empty for none.
    pub patches: &'a [u8],
    /// A JSON array; empty for none.
    pub findings: &'a [u8],
    /// A JSON object; empty for none.
    pub context: &'a [u8],
}

/// What is to become of an event.
#[derive(Clone, Copy, Debug)]
pub enum Decision<'a> {
    Release(Release<'a>),
    Discard,
}

/// One event to be settled.
#[derive(Clone, Copy, Debug)]
pub struct Act<'a> {
    pub held: &'a Held,
    pub decision: Decision<'a>,
    /// Who decides. At most 255 bytes.
    pub by: &'a str,
    /// At most 4096 bytes. Without one nothing is discarded.
    pub reason: &'a str,
}

/// An event that was settled just now, and durably.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    pub action: Action,
    pub at: UnixMillis,
    /// Where the decision stands in the log.
    pub lsn: Lsn,
}

/// Why an event was not settled. Nothing was written for it, except perhaps after `InDoubt`.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    #[error("the event is already settled{}", told(.settlement.as_deref()))]
    AlreadySettled {
        /// `None` where the file that told it was removed.
        settlement: Option<Box<Settlement>>,
    },
    #[error("an event is discarded for a reason: give one")]
    NoReason,
    #[error("{max} events are settled, and no more can be remembered: raise the maximum")]
    Full { max: usize },
    #[error(transparent)]
    TooLarge(#[from] RecordTooLarge),
    #[error("nothing was stored: {0}")]
    Append(AppendError),
    /// The disk failed while the decision was written.
    #[error("whether the event was settled will be known after a restart")]
    InDoubt,
    #[error("the event is already settled, but how cannot be read: {0}")]
    Read(#[from] ReadError),
}

fn told(settlement: Option<&Settlement>) -> String {
    settlement.map_or_else(String::new, |one| {
        let (action, by, at) = (one.action.as_str(), &one.by, one.at.to_rfc3339());
        format!(": {action} by {by} at {at}")
    })
}

impl Act<'_> {
    fn action(&self) -> Action {
        match self.decision {
            Decision::Discard => Action::Discarded,
            Decision::Release(release) if release.original == self.held.0.original => {
                Action::Released
            }
            Decision::Release(_) => Action::PatchedAndReleased,
        }
    }

    fn disposition(&self, at: UnixMillis) -> Disposition<'_> {
        let event = &self.held.0;
        let nothing = Release {
            revision: event.revision,
            event_time: None,
            original: b"",
            patches: b"",
            findings: b"",
            context: b"",
        };
        let judged = match self.decision {
            Decision::Release(release) => release,
            Decision::Discard => nothing,
        };
        let record = Record {
            event_id: event.event_id,
            status: Stored::Quarantined,
            tenant: &event.tenant,
            event_type: &event.event_type,
            revision: judged.revision,
            key: None,
            event_time: judged.event_time,
            original: judged.original,
            patches: judged.patches,
            findings: judged.findings,
            context: judged.context,
        };
        Disposition { action: self.action(), by: self.by, reason: self.reason, at, record }
    }
}

type Outcome = Result<Done, SettleError>;

/// Decisions that are about to be appended together.
#[derive(Default)]
struct Pending<'a> {
    batch: RecordBatch,
    /// The places of their acts.
    claimed: Vec<(usize, Claimed<'a>, Action)>,
}

impl Quarantine {
    /// Settles events, each on its own: one outcome for each act, in order. Of several acts on one
    /// event, here or elsewhere, one settles it and the others are told. Blocks until what was
    /// written is on the disk; not for threads of an async runtime. What has begun runs to its end.
    pub fn settle(&self, acts: &[Act<'_>]) -> Vec<Outcome> {
        let at = UnixMillis::now();
        let mut outcomes: Vec<Option<Outcome>> = acts.iter().map(|_| None).collect();
        let mut left: Vec<usize> = (0..acts.len()).collect();
        while let Some(first) = left.first() {
            if let Some(act) = acts.get(*first) {
                // Nothing of this call is in flight here, so nobody waits for himself.
                self.settled.wait(act.held.0.event_id);
            }
            left = self.settle_free(acts, at, &left, &mut outcomes);
        }
        let outcomes = outcomes.into_iter();
        outcomes.map(|outcome| outcome.expect("only acts with an outcome are not left")).collect()
    }

    /// Settles what nobody else has in flight; answers what is left.
    fn settle_free(
        &self,
        acts: &[Act<'_>],
        at: UnixMillis,
        places: &[usize],
        outcomes: &mut [Option<Outcome>],
    ) -> Vec<usize> {
        let (mut pending, mut left) = (Pending::default(), Vec::new());
        for place in places {
            let (Some(act), Some(outcome)) = (acts.get(*place), outcomes.get_mut(*place)) else {
                continue;
            };
            match self.begin(act, at, *place, &mut pending) {
                Ok(true) => {}
                Ok(false) => left.push(*place),
                Err(error) => *outcome = Some(Err(error)),
            }
            if pending.batch.bytes().len() >= APPEND_BYTES {
                self.append(std::mem::take(&mut pending), at, outcomes);
            }
        }
        self.append(pending, at, outcomes);
        left
    }

    /// Claims an event and encodes its decision. `false` where it is in flight.
    fn begin<'s>(
        &'s self,
        act: &Act<'_>,
        at: UnixMillis,
        place: usize,
        pending: &mut Pending<'s>,
    ) -> Result<bool, SettleError> {
        let event = &act.held.0;
        if matches!(act.decision, Decision::Discard) && act.reason.trim().is_empty() {
            return Err(SettleError::NoReason);
        }
        match self.settled.claim(event.event_id) {
            Claim::InFlight => Ok(false),
            Claim::InDoubt => Err(SettleError::InDoubt),
            Claim::Full => Err(SettleError::Full { max: self.settled.count().1 }),
            Claim::Settled(lsn) => {
                let read = settlement::read(&self.stored, &event.tenant, event.event_id, lsn)?;
                Err(SettleError::AlreadySettled { settlement: read.map(Box::new) })
            }
            Claim::Taken => {
                let claimed = Claimed::new(&self.settled, event.event_id);
                match pending.batch.push_disposition(&act.disposition(at)) {
                    Ok(()) => {
                        pending.claimed.push((place, claimed, act.action()));
                        Ok(true)
                    }
                    Err(error) => {
                        claimed.release();
                        Err(error.into())
                    }
                }
            }
        }
    }

    fn append(&self, pending: Pending<'_>, at: UnixMillis, outcomes: &mut [Option<Outcome>]) {
        let Pending { batch, claimed } = pending;
        if claimed.is_empty() {
            return;
        }
        let appended = self.wal.append_blocking(batch);
        for (lsn, (place, claimed, action)) in (0..).zip(claimed) {
            let outcome = match appended {
                Ok(range) => {
                    let lsn = Lsn(range.first.0 + lsn);
                    claimed.settle(lsn);
                    Ok(Done { action, at, lsn })
                }
                Err(AppendError::Failed) => {
                    drop(claimed);
                    Err(SettleError::InDoubt)
                }
                Err(error) => {
                    claimed.release();
                    Err(SettleError::Append(error))
                }
            };
            if let Some(slot) = outcomes.get_mut(place) {
                *slot = Some(outcome);
            }
        }
    }
}
