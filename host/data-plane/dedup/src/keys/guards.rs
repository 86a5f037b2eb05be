//! The claims of one request as values that settle themselves, whichever store has them: dropping
//! [`HeldKeys`] releases what was not handed over, dropping [`LoggedKeys`] leaves undecided what the
//! log was not heard on.

use std::sync::Arc;
use std::time::Instant;

use tidegate_types::{EventId, UnixMillis};

use super::Wanted;
use super::shared::{AppendToken, Commit, Holder, Settling, SharedKeys};
use crate::{Claims, HandedOver, LeaseLost, Settled};

/// The keys that one request has claimed. Dropping it releases them.
#[must_use = "dropping the claims releases them"]
pub struct HeldKeys(Held);

enum Held {
    Local(Claims),
    Shared { request: Request, latest: Option<Instant> },
}

/// Claims that only the log's answer settles.
#[must_use = "the log's answer has to be told to each key"]
pub struct LoggedKeys(Logged);

enum Logged {
    Local(HandedOver),
    Shared(Appending),
}

/// Claims that what is heard from sinks settles. Dropped before that, they are as good as released: the
/// events may be there, and be there once more when they are sent again.
#[must_use = "what was heard has to be told to each key"]
pub struct SentKeys(Sent);

enum Sent {
    Local(HandedOver),
    Shared { request: Request, lease_deadline: Option<Instant> },
}

/// What a request has in a shared store. Dropping it gives that back.
pub(super) struct Request {
    store: Arc<dyn SharedKeys>,
    pub(super) holder: Holder,
    /// What it holds, by ascending rows.
    pub(super) held: Vec<Wanted>,
    /// Rows of them that will not be stored.
    refused: Vec<u32>,
}

impl Request {
    pub(super) fn new(store: Arc<dyn SharedKeys>, holder: Holder, held: Vec<Wanted>) -> Self {
        Self { store, holder, held, refused: Vec::new() }
    }

    /// The store has nothing of it any more, or that is somebody else's to see to.
    pub(super) fn forget(&mut self) {
        self.held.clear();
    }

    /// Takes out the claims of these rows, which ascend.
    fn split_off(&mut self, rows: &[u32]) -> Self {
        let (taken, left) = std::mem::take(&mut self.held)
            .into_iter()
            .partition(|one| rows.binary_search(&one.row).is_ok());
        self.held = left;
        Self::new(Arc::clone(&self.store), self.holder.clone(), taken)
    }

    /// What is to be committed and what released, out of the request's hands.
    fn take(&mut self, rows: &[(u32, EventId, Settled)]) -> (Vec<Commit>, Vec<Wanted>) {
        self.refused.sort_unstable();
        let mut rows = rows.iter().peekable();
        let (mut commits, mut releases) = (Vec::with_capacity(rows.len()), Vec::new());
        for one in std::mem::take(&mut self.held) {
            let Wanted { row, key, fingerprint } = one;
            if self.refused.binary_search(&row).is_ok() {
                releases.push(one);
                continue;
            }
            while rows.next_if(|(other, ..)| *other < row).is_some() {}
            if let Some((_, event_id, settled)) = rows.next_if(|(other, ..)| *other == row) {
                let (event_id, settled) = (*event_id, *settled);
                commits.push(Commit { key, fingerprint, event_id, settled });
            }
        }
        (commits, releases)
    }

    /// All rows but these will not be stored.
    fn refuse_all_but(&mut self, rows: &[(u32, EventId, Settled)]) {
        let stored = |row: u32| rows.binary_search_by_key(&row, |(row, ..)| *row).is_ok();
        self.refused.extend(self.held.iter().map(|one| one.row).filter(|row| !stored(*row)));
    }

    /// Gives back all that it holds. Dropped before it has ended, that is done in the background.
    async fn release(mut self) {
        if !self.held.is_empty() {
            let settling = Settling { commits: &[], releases: &self.held, lease_deadline: None };
            self.store.settle(&self.holder, settling).await;
            self.forget();
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let keys = std::mem::take(&mut self.held);
        if !keys.is_empty() {
            self.store.release_later(self.holder.clone(), keys);
        }
    }
}

impl HeldKeys {
    pub(super) fn local(claims: Claims) -> Self {
        Self(Held::Local(claims))
    }

    pub(super) fn shared(request: Request, latest: Option<Instant>) -> Self {
        Self(Held::Shared { request, latest })
    }

    /// The latest moment at which the log may begin to write these events; `None` without a claim.
    #[must_use]
    pub fn lease_deadline(&self) -> Option<Instant> {
        match &self.0 {
            Held::Local(claims) => claims.lease_deadline(),
            Held::Shared { latest, .. } => *latest,
        }
    }

    /// Releases the key of a row that will not be stored, at the latest when the rest is settled. A
    /// row without a claim is left alone.
    pub fn release_row(&mut self, row: u32) {
        match &mut self.0 {
            Held::Local(claims) => claims.release_row(row),
            Held::Shared { request, .. } => request.refused.push(row),
        }
    }

    /// Releases all keys and returns when they are free, or when they are as good as that.
    pub async fn release(self) {
        match self.0 {
            Held::Local(claims) => drop(claims),
            Held::Shared { request, .. } => request.release().await,
        }
    }

    /// Secures every claim for the log. To be called right before the append, and nothing may be
    /// appended without it.
    ///
    /// # Errors
    /// Where a claim may not last, or was taken over. All claims are released; none of the rows may
    /// be appended, all may be sent again.
    pub fn hand_over(self, now: UnixMillis) -> Result<LoggedKeys, LeaseLost> {
        match self.0 {
            Held::Local(claims) => Ok(LoggedKeys(Logged::Local(claims.hand_over(now)?))),
            Held::Shared { request, latest } => {
                let late = latest.filter(|latest| Instant::now() >= *latest);
                if let (Some(_), Some(first)) = (late, request.held.first()) {
                    return Err(LeaseLost { row: first.row });
                }
                let token = latest.map(|latest| (request.store.begin_append(), latest));
                Ok(LoggedKeys(Logged::Shared(Appending { request, token })))
            }
        }
    }
}

/// A request whose append is under way. Until the token is taken out, the store is told to look
/// into the log.
struct Appending {
    request: Request,
    token: Option<(AppendToken, Instant)>,
}

impl Appending {
    async fn commit(mut self, rows: &[(u32, EventId, Settled)]) {
        let (commits, releases) = self.request.take(rows);
        if commits.is_empty() && releases.is_empty() {
            return self.end();
        }
        let lease_deadline = self.token.as_ref().map(|(_, latest)| *latest);
        let settling = Settling { commits: &commits, releases: &releases, lease_deadline };
        if self.request.store.settle(&self.request.holder, settling).await {
            self.end();
        } else if let Some((token, _)) = self.token.take() {
            self.request.store.commit_later(token);
        }
    }

    fn end(&mut self) {
        if let Some((token, _)) = self.token.take() {
            self.request.store.end_append(token);
        }
    }

    /// Nothing was appended.
    fn into_request(mut self) -> Request {
        self.end();
        let store = Arc::clone(&self.request.store);
        let empty = Request::new(store, self.request.holder.clone(), Vec::new());
        std::mem::replace(&mut self.request, empty)
    }
}

impl Drop for Appending {
    fn drop(&mut self) {
        if let Some((token, latest)) = self.token.take() {
            // What it holds may be in the log.
            self.request.forget();
            self.request.store.abandon_append(token, latest);
        }
    }
}

impl LoggedKeys {
    /// Takes out the claims of these rows, which ascend: their events do not go to the log but to
    /// where several nodes read them, and are settled by what is heard from there.
    pub fn split_off(&mut self, rows: &[u32]) -> SentKeys {
        SentKeys(match &mut self.0 {
            Logged::Local(handed) => Sent::Local(handed.split_off(rows)),
            Logged::Shared(appending) => Sent::Shared {
                request: appending.request.split_off(rows),
                lease_deadline: appending.token.as_ref().map(|(_, latest)| *latest),
            },
        })
    }

    /// The rows, which ascend, are durable. The window of each runs from the millisecond of its event
    /// id. Rows without a claim are passed over; claims without a row stay undecided.
    pub async fn commit(self, rows: &[(u32, EventId, Settled)]) {
        match self.0 {
            Logged::Local(mut handed) => {
                for (row, event_id, settled) in rows {
                    handed.commit_row(*row, *event_id, *settled);
                }
            }
            Logged::Shared(appending) => appending.commit(rows).await,
        }
    }

    /// Nothing of this request is in the log: the append was refused.
    pub async fn release(self) {
        match self.0 {
            Logged::Local(handed) => handed.release_all(),
            Logged::Shared(appending) => appending.into_request().release().await,
        }
    }
}

impl SentKeys {
    /// The rows, which ascend, are delivered; all others are not, as far as is known, and their keys
    /// are free again. Where a shared store cannot be told now it is told later, from this process's
    /// memory: there is no log that has them.
    pub async fn settle(self, rows: &[(u32, EventId, Settled)]) {
        match self.0 {
            Sent::Local(mut handed) => {
                for (row, event_id, settled) in rows {
                    handed.commit_row(*row, *event_id, *settled);
                }
                handed.release_all();
            }
            Sent::Shared { mut request, lease_deadline } => {
                request.refuse_all_but(rows);
                let (commits, releases) = request.take(rows);
                if commits.is_empty() && releases.is_empty() {
                    return;
                }
                let settling = Settling { commits: &commits, releases: &releases, lease_deadline };
                if !request.store.settle(&request.holder, settling).await {
                    request.store.commit_sent_later(request.holder.clone(), commits);
                }
            }
        }
    }
}
