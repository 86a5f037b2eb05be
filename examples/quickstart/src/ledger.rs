//! The poster's own book: every event that was posted, and what its receipts said.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use tidegate_connector::{Outcome, Settled};
use tidegate_types::{EventId, Receipt, Status};

use crate::data::expected::Flight;
use crate::feed::BATCH;

/// Complaints that are kept; the rest is counted.
const MOST_COMPLAINTS: usize = 10;

/// What is known of one posted event.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entry {
    /// The id that its receipts gave it.
    pub(crate) event_id: Option<EventId>,
    /// Receipts that say `accepted` or `quarantined`: 0 or 1.
    pub(crate) fresh: u32,
    /// Receipts that say `duplicate`.
    pub(crate) duplicates: u32,
    /// Which request carried it, where its first request was answered.
    pub(crate) request: Option<u64>,
}

/// All posted events by their key.
pub(crate) struct Ledger {
    pub(crate) entries: HashMap<String, Entry>,
    pub(crate) receipts: u64,
    pub(crate) duplicate: u64,
    pub(crate) rejected: u64,
    pub(crate) complaints: Vec<String>,
    pub(crate) more_complaints: u64,
    /// Receipts that came while the revision was being swapped.
    pub(crate) during_swap: u64,
    started: Instant,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self {
            entries: HashMap::new(),
            receipts: 0,
            duplicate: 0,
            rejected: 0,
            complaints: Vec::new(),
            more_complaints: 0,
            during_swap: 0,
            started: Instant::now(),
        }
    }

    /// Since posting began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Enters what became of one event.
    ///
    /// # Errors
    /// Where the event is not one of ours.
    pub(crate) fn enter(&mut self, settled: &Settled) -> Result<()> {
        let flight: Flight<'_> = serde_json::from_slice(&settled.event)?;
        let key = flight.id.into_owned();
        self.receipts += 1;
        match &settled.outcome {
            Outcome::Receipt(receipt) => self.enter_receipt(key, settled, receipt),
            Outcome::Refused(problem) => {
                self.entries.entry(key.clone()).or_default();
                self.complain(format!("{key} was refused: {problem}"));
            }
            Outcome::Unsettled(why) => {
                self.entries.entry(key.clone()).or_default();
                self.complain(format!("{key} has no receipt: {why:?}"));
            }
        }
        Ok(())
    }

    fn enter_receipt(&mut self, key: String, settled: &Settled, receipt: &Receipt) {
        let entry = self.entries.entry(key.clone()).or_default();
        let mut complaint = None;
        match receipt.status {
            Status::Accepted | Status::Quarantined => {
                entry.fresh += 1;
                entry.request = (settled.attempts == 1).then_some(settled.index / BATCH);
            }
            Status::Duplicate => {
                entry.duplicates += 1;
                self.duplicate += 1;
                let first = receipt.first_status;
                if !matches!(first, Some(Status::Accepted | Status::Quarantined)) {
                    complaint = Some(format!("{key} is a duplicate of something {first:?}"));
                }
            }
            Status::Rejected | Status::Conflict | Status::Retry => {
                self.rejected += 1;
                let (status, findings) = (receipt.status.as_str(), &receipt.findings);
                complaint = Some(format!("{key} was answered `{status}`: {findings:?}"));
            }
        }
        if entry.fresh > 1 {
            complaint = Some(format!("{key} was taken as new {} times", entry.fresh));
        }
        let id = *entry.event_id.get_or_insert(receipt.event_id);
        if receipt.status.is_taken() && id != receipt.event_id {
            complaint =
                Some(format!("{key} has receipts with two ids, {id} and {}", receipt.event_id));
        }
        if let Some(complaint) = complaint {
            self.complain(complaint);
        }
    }

    fn complain(&mut self, complaint: String) {
        if self.complaints.len() < MOST_COMPLAINTS {
            self.complaints.push(complaint);
        } else {
            self.more_complaints += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(key: &str, index: u64, status: Status, id: u64) -> Settled {
        let event = format!(
            r#"{{"id":"{key}","dep_time":null,"dep_delay":null,"arr_delay":null,"tailnum":null,"dest":"X"}}"#
        );
        let receipt = Receipt {
            event_id: EventId::from_parts(tidegate_types::UnixMillis(id), 0, 0),
            received_at: String::new(),
            status,
            first_status: (status == Status::Duplicate).then_some(Status::Accepted),
            findings: Vec::new(),
            retry_after_ms: None,
        };
        let outcome = Outcome::Receipt(receipt);
        let zero = Duration::ZERO;
        Settled { index, event: event.into(), outcome, attempts: 1, ack: zero, waited: zero }
    }

    fn complaints(receipts: &[(Status, u64)]) -> usize {
        let mut ledger = Ledger::new();
        for (status, id) in receipts {
            ledger.enter(&settled("a", 0, *status, *id)).unwrap();
        }
        ledger.complaints.len()
    }

    #[test]
    fn an_event_is_taken_once_and_keeps_its_id() {
        use Status::{Accepted, Conflict, Duplicate, Quarantined, Rejected};
        for (receipts, count) in [
            (&[(Accepted, 1)][..], 0),
            (&[(Quarantined, 1), (Duplicate, 1)], 0),
            // Durable before the kill, unanswered.
            (&[(Duplicate, 1), (Duplicate, 1)], 0),
            (&[(Accepted, 1), (Duplicate, 2)], 1),
            (&[(Accepted, 1), (Accepted, 1)], 1),
            (&[(Rejected, 1)], 1),
            (&[(Accepted, 1), (Conflict, 2)], 1),
        ] {
            assert_eq!(complaints(receipts), count, "{receipts:?}");
        }
    }

    #[test]
    fn refusals_are_entered_and_the_text_is_bounded() {
        let mut ledger = Ledger::new();
        for key in 0..50 {
            let mut settled = settled(&key.to_string(), key, Status::Accepted, 1);
            settled.outcome = Outcome::Unsettled(tidegate_connector::Unsettled::Stopped);
            ledger.enter(&settled).unwrap();
        }
        assert_eq!(ledger.entries.len(), 50);
        assert_eq!((ledger.complaints.len() as u64, ledger.more_complaints), (10, 40));
        let mut strange = settled("x", 0, Status::Accepted, 1);
        strange.event = "{}".into();
        assert!(ledger.enter(&strange).is_err());
    }
}
