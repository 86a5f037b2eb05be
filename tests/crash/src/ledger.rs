//! The ledger: what was sent and what was answered, and whether what is stored agrees.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tidegate_types::{EventId, Receipt, Status};

use crate::readings;
use crate::stored::Stored;

/// What is known of one key.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// The id under which its event is stored, once a receipt has told it.
    id: Option<EventId>,
    /// A receipt said that it was stored then, and not before.
    taken: bool,
    rejected: bool,
}

/// Everything that was sent, by key. Threads share it.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: Mutex<HashMap<String, Entry>>,
}

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that events are about to be sent.
    pub fn send(&self, keys: &[String]) {
        let mut entries = self.lock();
        for key in keys {
            entries.entry(key.clone()).or_default();
        }
    }

    /// Notes a receipt, and checks it against what is known of its key. `false` where the event is
    /// to be sent again.
    pub fn hear(&self, key: &str, receipt: &Receipt) -> bool {
        let mut entries = self.lock();
        let entry = entries.get_mut(key).expect("only what was sent is answered");
        let expected = readings::expected(key);
        match receipt.status {
            Status::Accepted | Status::Quarantined => {
                assert_eq!(receipt.status, expected, "{key}: {receipt:?}");
                assert!(!entry.taken, "{key} was taken twice: {receipt:?}, before {entry:?}");
                entry.taken = true;
                same_id(key, entry, receipt);
            }
            Status::Duplicate => {
                assert_eq!(receipt.first_status, Some(expected), "{key}: {receipt:?}");
                same_id(key, entry, receipt);
            }
            Status::Rejected => {
                assert_eq!(receipt.status, expected, "{key}: {receipt:?}");
                entry.rejected = true;
            }
            Status::Retry => return false,
            Status::Conflict => panic!("{key} was never sent with another payload: {receipt:?}"),
        }
        true
    }

    /// The id under which an event is stored, as receipts have told it.
    #[must_use]
    pub fn id_of(&self, key: &str) -> Option<EventId> {
        self.lock().get(key).and_then(|entry| entry.id)
    }

    /// Keys whose outcome no receipt has told, in order.
    #[must_use]
    pub fn unsettled(&self) -> Vec<String> {
        let entries = self.lock();
        let open = entries.iter().filter(|(_, entry)| entry.id.is_none() && !entry.rejected);
        let mut keys: Vec<_> = open.map(|(key, _)| key.clone()).collect();
        keys.sort_unstable();
        keys
    }

    /// Keys of events that are stored by their receipts, in order.
    #[must_use]
    pub fn taken(&self) -> Vec<String> {
        let entries = self.lock();
        let mut keys: Vec<_> = entries
            .iter()
            .filter(|(_, entry)| entry.id.is_some())
            .map(|(key, _)| key.clone())
            .collect();
        keys.sort_unstable();
        keys
    }

    /// How many events are stored by their receipts.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().values().filter(|entry| entry.id.is_some()).count()
    }

    /// Compares with what is stored: nothing acknowledged is missing, nothing is there twice or was
    /// never sent, and each event has the id, the outcome and the form that it must have. Events
    /// without a receipt may be there or not.
    pub fn check(&self, stored: &[Stored]) {
        let entries = self.lock();
        let (mut keys, mut ids) = (HashSet::new(), HashSet::new());
        for event in stored {
            let key = event.key();
            assert!(keys.insert(key.clone()), "{key} is stored twice");
            assert!(ids.insert(event.event_id), "{} is stored twice", event.event_id);
            let entry = entries.get(&key).unwrap_or_else(|| panic!("{key} was never sent"));
            assert!(
                entry.id.is_none_or(|id| id == event.event_id),
                "{key}: {entry:?}, stored as {}",
                event.event_id
            );
            assert_eq!(event.status(), readings::expected(&key), "{key}");
            assert_eq!(event.original, readings::reading(&key), "{key}");
            assert_eq!(event.delivered, readings::delivered(&key), "{key}");
        }
        let missing: Vec<_> = entries
            .iter()
            .filter(|(key, entry)| entry.id.is_some() && !keys.contains(*key))
            .take(10)
            .collect();
        assert!(missing.is_empty(), "acknowledged, but not stored: {missing:?}");
    }
}

fn same_id(key: &str, entry: &mut Entry, receipt: &Receipt) {
    let id = *entry.id.get_or_insert(receipt.event_id);
    assert_eq!(id, receipt.event_id, "{key} has one event id: {receipt:?}");
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use tidegate_types::UnixMillis;

    use super::*;

    fn id(number: u64) -> EventId {
        EventId::from_parts(UnixMillis(1), 0, number)
    }

    fn receipt(status: Status, number: u64, first_status: Option<Status>) -> Receipt {
        let received_at = String::new();
        Receipt {
            event_id: id(number),
            received_at,
            status,
            first_status,
            findings: Vec::new(),
            retry_after_ms: None,
        }
    }

    fn stored(key: &str, number: u64) -> Stored {
        Stored {
            tenant: "weather".into(),
            quarantined: readings::expected(key) == Status::Quarantined,
            event_id: id(number),
            lsn: 0,
            revision: String::new(),
            original: readings::reading(key),
            delivered_text: String::new(),
            delivered: readings::delivered(key),
            patches: None,
            findings: Vec::new(),
            context: serde_json::Value::Null,
        }
    }

    fn fails(step: impl FnOnce()) -> bool {
        catch_unwind(AssertUnwindSafe(step)).is_err()
    }

    /// One event was taken as number 1, one was quarantined as 2, one was never answered.
    fn ledger() -> Ledger {
        let ledger = Ledger::default();
        ledger.send(&["a-3", "a-11", "a-4"].map(str::to_owned));
        assert!(ledger.hear("a-3", &receipt(Status::Accepted, 1, None)));
        assert!(ledger.hear("a-3", &receipt(Status::Duplicate, 1, Some(Status::Accepted))));
        assert!(ledger.hear("a-11", &receipt(Status::Quarantined, 2, None)));
        assert!(!ledger.hear("a-4", &receipt(Status::Retry, 3, None)));
        ledger
    }

    #[test]
    fn receipts_that_contradict_others_fail() {
        for (key, wrong) in [
            ("a-3", receipt(Status::Accepted, 1, None)),
            ("a-3", receipt(Status::Duplicate, 9, Some(Status::Accepted))),
            ("a-3", receipt(Status::Duplicate, 1, Some(Status::Quarantined))),
            ("a-3", receipt(Status::Conflict, 9, None)),
            ("a-4", receipt(Status::Rejected, 9, None)),
            ("a-4", receipt(Status::Quarantined, 9, None)),
            ("b-1", receipt(Status::Quarantined, 9, None)),
        ] {
            let failed = fails(|| assert!(ledger().hear(key, &wrong)));
            assert!(failed, "{key} {wrong:?}");
        }
        assert_eq!(ledger().unsettled(), ["a-4"]);
        assert_eq!(ledger().taken(), ["a-11", "a-3"]);
    }

    #[test]
    fn what_is_stored_must_agree() {
        let good = [stored("a-3", 1), stored("a-11", 2)];
        ledger().check(&good);
        ledger().check(&[good.as_slice(), &[stored("a-4", 3)]].concat());
        let changed = |change: fn(&mut Stored)| {
            let mut changed = good.to_vec();
            changed.iter_mut().take(1).for_each(change);
            changed
        };
        for wrong in [
            vec![stored("a-3", 1)],
            [good.as_slice(), &[stored("a-3", 9)]].concat(),
            [good.as_slice(), &[stored("a-4", 1)]].concat(),
            [good.as_slice(), &[stored("b-1", 9)]].concat(),
            changed(|event| event.event_id = id(9)),
            changed(|event| event.quarantined = true),
            changed(|event| event.delivered = event.original.clone()),
            changed(|event| event.original = readings::reading("a-5")),
        ] {
            assert!(fails(|| ledger().check(&wrong)), "{wrong:?}");
        }
    }
}
