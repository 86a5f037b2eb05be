//! What a store of keys that several nodes share must do.
//!
//! Such a store can be asked for nothing between its answers, so a claim is a lease that ends by
//! itself: what is handed over to the log is secured by handing it over early enough, and by the log
//! refusing what comes late. What the log has and the store was not told is told again, from the log.

use std::future::Future;
use std::pin::Pin;
use std::time::Instant;

use tidegate_telemetry::Page;
use tidegate_types::{EventId, TenantId};

use super::Wanted;
use crate::{Claim, DedupKey, Fingerprint, Settled};

/// A boxed future, the same type as `futures::future::BoxFuture`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The mark of one request's claims; no other request of any node has the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner(pub [u8; 16]);

/// Whose claims they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub tenant: TenantId,
    pub owner: Owner,
}

/// What the store has under a key that was to be claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing: the key is the asker's now.
    New,
    Committed {
        fingerprint: Fingerprint,
        event_id: EventId,
        settled: Settled,
    },
    /// Another request has it.
    InFlight {
        retry_after_ms: u64,
    },
    /// The store has no room for it.
    Full,
}

/// The store did not answer as it must.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Unavailable {
    /// What is wrong, for the sender.
    pub detail: String,
    /// The claim may have reached the store.
    pub may_hold: bool,
}

/// A key whose event is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    pub key: DedupKey,
    pub fingerprint: Fingerprint,
    pub event_id: EventId,
    pub settled: Settled,
}

/// What becomes of the keys of one request.
#[derive(Clone, Copy, Debug)]
pub struct Settling<'a> {
    pub commits: &'a [Commit],
    /// Free again.
    pub releases: &'a [Wanted],
    /// Until when the claims surely stand, as [`SharedKeys::lease_deadline`] said; nothing to commit
    /// without it.
    pub lease_deadline: Option<Instant>,
}

/// An append that is about to be made, or of which the store has not been told yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppendToken(pub u64);

/// A store of keys that several nodes share.
pub trait SharedKeys: Send + Sync + 'static {
    /// A mark for the claims of one request.
    fn mint_owner(&self) -> Owner;

    /// Until when the log may begin to write what was claimed by a call at `sent`.
    fn lease_deadline(&self, sent: Instant) -> Instant;

    /// Claims keys, which are all different; answers in their order.
    ///
    /// # Errors
    /// Where the store does not answer for all of them. The caller releases what it may hold.
    fn claim<'a>(
        &'a self,
        holder: &'a Holder,
        keys: &'a [Wanted],
    ) -> BoxFuture<'a, Result<Vec<Found>, Unavailable>>;

    /// Counts what the rows of a request were answered.
    fn answered(&self, answers: &[Claim]);

    /// Commits and releases; answers whether all is committed. Releases that the store cannot be told
    /// now it is told later, in the background, as long as their lease lasts.
    fn settle<'a>(&'a self, holder: &'a Holder, settling: Settling<'a>) -> BoxFuture<'a, bool>;

    /// Releases keys in the background.
    fn release_later(&self, holder: Holder, keys: Vec<Wanted>);

    /// To be called before an append.
    fn begin_append(&self) -> AppendToken;

    /// All of the append is committed, or nothing was appended.
    fn end_append(&self, append: AppendToken);

    /// The append is durable, and not all of it could be committed.
    fn commit_later(&self, append: AppendToken);

    /// It was never heard what became of the append. The log does not begin to write it after
    /// `latest`.
    fn abandon_append(&self, append: AppendToken, latest: Instant);

    /// Commits keys in the background whose events are delivered and in no log: from memory, so an
    /// end of the process is the end of it.
    fn commit_sent_later(&self, holder: Holder, commits: Vec<Commit>);

    /// See [`super::Keys::recovered`].
    fn recovered(&self) -> BoxFuture<'_, ()>;

    /// See [`super::Keys::close`].
    fn close(&self) -> BoxFuture<'_, ()>;

    /// See [`super::Keys::failing`].
    fn failing(&self) -> Option<String>;

    /// See [`super::Keys::report`].
    fn report(&self, page: &mut Page);
}
