//! The claims of one request as values that settle themselves: dropping [`Claims`] releases what
//! was not handed over, dropping [`HandedOver`] leaves undecided what the log was not heard on.
//!
//! A request may be dropped at any moment before the hand-over. After it only the log's answer
//! may settle a key, for the event may be durable although nobody waits for it any more.

use std::time::Instant;

use tidegate_types::{EventId, UnixMillis};

use crate::shard::{Ask, Holder};
use crate::{Claim, Dedup, DedupKey, Fingerprint, Moment, Settled};

struct Held {
    row: u32,
    key: DedupKey,
    is_open: bool,
}

/// What the two guards share.
struct Request {
    dedup: Dedup,
    owner: u64,
    /// In ascending order of rows.
    held: Vec<Held>,
}

impl Request {
    fn holder(&self, row: u32) -> Holder {
        Holder { request: self.owner, row }
    }

    /// Ends the claim of a row and answers its key; `None` where the row has no open claim.
    fn close(&mut self, row: u32) -> Option<DedupKey> {
        let place = self.held.binary_search_by_key(&row, |held| held.row).ok()?;
        let held = self.held.get_mut(place)?;
        std::mem::take(&mut held.is_open).then_some(held.key)
    }

    fn release(&self, row: u32, key: DedupKey) {
        self.dedup.shard(key).release(key, self.holder(row), self.dedup.room());
    }

    fn release_open(&mut self) {
        for held in std::mem::take(&mut self.held) {
            if held.is_open {
                self.release(held.row, held.key);
            }
        }
    }
}

/// The keys that one request has claimed. Dropping it releases them.
#[must_use = "dropping the claims releases them"]
pub struct Claims {
    request: Request,
    lease_end: Option<Instant>,
}

impl Claims {
    pub(crate) fn new(dedup: Dedup, owner: u64) -> Self {
        let request = Request { dedup, owner, held: Vec::new() };
        Self { request, lease_end: None }
    }

    /// Claims the key of a row. Rows of one request are claimed in ascending order, each once.
    ///
    /// # Panics
    /// Where `row` is not greater than the last one that was answered `New`.
    pub fn claim(
        &mut self,
        row: u32,
        key: DedupKey,
        fingerprint: Fingerprint,
        now: Moment,
    ) -> Claim {
        let request = &mut self.request;
        assert!(request.held.last().is_none_or(|last| last.row < row), "rows are claimed in order");
        let ask = Ask { holder: request.holder(row), key, fingerprint };
        let claim = request.dedup.claim(ask, now);
        if claim == Claim::New {
            request.held.push(Held { row, key, is_open: true });
            self.lease_end.get_or_insert_with(|| request.dedup.lease_end(now.steady));
        }
        claim
    }

    /// When the first of these claims may be taken over by another request; `None` without any.
    /// Work that cannot end before it is better given up.
    #[must_use]
    pub fn lease_deadline(&self) -> Option<Instant> {
        self.lease_end
    }

    /// Releases the key of a row that will not be stored. A row without a claim is left alone.
    pub fn release_row(&mut self, row: u32) {
        if let Some(key) = self.request.close(row) {
            self.request.release(row, key);
        }
    }

    /// Secures every claim for the log: from here on no lease ends them. To be called right before
    /// the append, and nothing may be appended without it.
    ///
    /// # Errors
    /// Where the lease of a claim ran out and another request took the key. All claims are
    /// released; none of the rows may be appended, all may be sent again.
    pub fn hand_over(mut self, now: UnixMillis) -> Result<HandedOver, LeaseLost> {
        let request = &mut self.request;
        for held in request.held.iter().filter(|held| held.is_open) {
            if !request.dedup.shard(held.key).hand_over(held.key, request.holder(held.row)) {
                return Err(LeaseLost { row: held.row });
            }
        }
        let held = std::mem::take(&mut request.held);
        let request = Request { dedup: request.dedup.clone(), owner: request.owner, held };
        Ok(HandedOver { request, at: now })
    }
}

impl Drop for Claims {
    fn drop(&mut self) {
        self.request.release_open();
    }
}

/// The claim of a row was taken over before the hand-over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the claim of row {row} was taken over after its lease had run out")]
pub struct LeaseLost {
    pub row: u32,
}

/// Claims that only the log's answer settles. Keys not settled when it is dropped stay in flight
/// for the length of the window.
#[must_use = "the log's answer has to be told to each key"]
pub struct HandedOver {
    request: Request,
    at: UnixMillis,
}

impl HandedOver {
    /// The row is durable. The window runs from the millisecond of `event_id`. A row without an
    /// open claim is left alone.
    pub fn commit_row(&mut self, row: u32, event_id: EventId, settled: Settled) {
        if let Some(key) = self.request.close(row) {
            let dedup = &self.request.dedup;
            dedup.shard(key).commit(
                key,
                self.request.holder(row),
                event_id,
                settled,
                dedup.spans(),
            );
        }
    }

    /// The row is certainly not in the log: its key is free again.
    pub fn release_row(&mut self, row: u32) {
        if let Some(key) = self.request.close(row) {
            self.request.release(row, key);
        }
    }

    /// Takes out the claims of these rows, which ascend, to be settled apart from the others.
    pub fn split_off(&mut self, rows: &[u32]) -> Self {
        let (taken, left) = std::mem::take(&mut self.request.held)
            .into_iter()
            .partition(|held| rows.binary_search(&held.row).is_ok());
        self.request.held = left;
        let request =
            Request { dedup: self.request.dedup.clone(), owner: self.request.owner, held: taken };
        Self { request, at: self.at }
    }

    /// Nothing of this request is in the log: the append was refused.
    pub fn release_all(mut self) {
        self.request.release_open();
    }
}

impl Drop for HandedOver {
    fn drop(&mut self) {
        let spans = self.request.dedup.spans();
        let expires = UnixMillis(self.at.0.saturating_add(spans.window_ms));
        for held in std::mem::take(&mut self.request.held) {
            if held.is_open {
                let holder = self.request.holder(held.row);
                self.request.dedup.shard(held.key).abandon(held.key, holder, expires, spans);
            }
        }
    }
}
