//! The keys of a node, wherever they are kept: the one interface that the stages know.
//!
//! A node keeps its keys in this process ([`Dedup`]), or in a store that several nodes share
//! ([`SharedKeys`]). A request claims all its keys in one call. In this process that answers at once,
//! without a change of task; a shared store is asked once for each key that is different, and what is
//! repeated within the request is answered here.

mod guards;
mod shared;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use ahash::RandomState;
use tidegate_telemetry::Page;
use tidegate_telemetry::metrics::dedup as metrics;
use tidegate_types::TenantId;

pub use guards::{HeldKeys, LoggedKeys, SentKeys};
pub use shared::{
    AppendToken, BoxFuture, Commit, Found, Holder, Owner, Settling, SharedKeys, Unavailable,
};

use crate::{Claim, Dedup, DedupKey, Fingerprint, Moment};
use guards::Request;

/// The key of a row of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub row: u32,
    pub key: DedupKey,
    pub fingerprint: Fingerprint,
}

/// Where a node keeps its keys. Clones are the same place.
#[derive(Clone)]
pub struct Keys(Place);

#[derive(Clone)]
enum Place {
    Local(Dedup),
    Shared(Arc<dyn SharedKeys>),
}

impl Keys {
    /// Keys that this process keeps.
    #[must_use]
    pub fn local(dedup: Dedup) -> Self {
        Self(Place::Local(dedup))
    }

    /// Keys in a store that other nodes have too.
    #[must_use]
    pub fn shared(store: Arc<dyn SharedKeys>) -> Self {
        Self(Place::Shared(store))
    }

    /// Claims the keys of a request, whose rows ascend. The answers are in their order; where one is
    /// `Full`, the rest may not have been asked for, and the answers end with it.
    ///
    /// # Errors
    /// Where the store does not answer as it must. No key is held then, or will be for long.
    pub async fn claim(
        &self,
        tenant: &TenantId,
        wanted: &[Wanted],
        now: Moment,
    ) -> Result<(HeldKeys, Vec<Claim>), Unavailable> {
        match &self.0 {
            Place::Local(dedup) => Ok(claim_local(dedup, wanted, now)),
            Place::Shared(store) => claim_shared(store, tenant, wanted).await,
        }
    }

    /// Waits until every key is settled that the log has and the store may not have: what a process
    /// before this one did not come to.
    pub async fn recovered(&self) {
        match &self.0 {
            Place::Local(_) => {}
            Place::Shared(store) => store.recovered().await,
        }
    }

    /// Ends what runs in the background, within bounds. To be called after the last request.
    pub async fn close(&self) {
        match &self.0 {
            Place::Local(_) => {}
            Place::Shared(store) => store.close().await,
        }
    }

    /// Why no key can be claimed right now, where that is so.
    #[must_use]
    pub fn failing(&self) -> Option<String> {
        match &self.0 {
            Place::Local(_) => None,
            Place::Shared(store) => store.failing(),
        }
    }

    /// Tells its counters.
    pub fn report(&self, page: &mut Page) {
        page.put(&metrics::FAILING, &[], self.failing().is_some());
        match &self.0 {
            Place::Local(dedup) => {
                let stats = dedup.stats();
                stats.report(page);
                page.put(&metrics::KEYS, &[], stats.keys);
            }
            Place::Shared(store) => store.report(page),
        }
    }
}

fn claim_local(dedup: &Dedup, wanted: &[Wanted], now: Moment) -> (HeldKeys, Vec<Claim>) {
    let mut claims = dedup.claims();
    let mut answers = Vec::with_capacity(wanted.len());
    for one in wanted {
        let claim = claims.claim(one.row, one.key, one.fingerprint, now);
        answers.push(claim);
        if claim == Claim::Full {
            break;
        }
    }
    (HeldKeys::local(claims), answers)
}

async fn claim_shared(
    store: &Arc<dyn SharedKeys>,
    tenant: &TenantId,
    wanted: &[Wanted],
) -> Result<(HeldKeys, Vec<Claim>), Unavailable> {
    let (firsts, places) = collapse(wanted);
    let latest = store.lease_deadline(Instant::now());
    let holder = Holder { tenant: tenant.clone(), owner: store.mint_owner() };
    // Whatever happens from here on, what the store may have given us is given back.
    let mut request = Request::new(Arc::clone(store), holder, firsts);
    if request.held.is_empty() {
        return Ok((HeldKeys::shared(request, None), Vec::new()));
    }
    let found = match store.claim(&request.holder, &request.held).await {
        Ok(found) => found,
        Err(error) => {
            if !error.may_hold {
                request.forget();
            }
            return Err(error);
        }
    };
    let firsts = std::mem::take(&mut request.held);
    let mut answers = Vec::with_capacity(wanted.len());
    for (one, place) in wanted.iter().zip(places) {
        if let (Some(first), Some(found)) = (firsts.get(place), found.get(place)) {
            answers.push(answer(one, first, *found));
        }
    }
    store.answered(&answers);
    let new = firsts.into_iter().zip(&found).filter(|(_, found)| **found == Found::New);
    request.held = new.map(|(first, _)| first).collect();
    let latest = (!request.held.is_empty()).then_some(latest);
    Ok((HeldKeys::shared(request, latest), answers))
}

/// The first row of each key, and for each row which of them has its key.
fn collapse(wanted: &[Wanted]) -> (Vec<Wanted>, Vec<usize>) {
    let mut firsts: Vec<Wanted> = Vec::with_capacity(wanted.len());
    let mut known: HashMap<DedupKey, usize, RandomState> =
        HashMap::with_capacity_and_hasher(wanted.len(), RandomState::default());
    let places = wanted.iter().map(|one| {
        *known.entry(one.key).or_insert_with(|| {
            firsts.push(*one);
            firsts.len() - 1
        })
    });
    let places = places.collect();
    (firsts, places)
}

/// What a row is answered, by what the store has under its key.
fn answer(one: &Wanted, first: &Wanted, found: Found) -> Claim {
    match found {
        Found::New if one.row == first.row => Claim::New,
        Found::New if one.fingerprint == first.fingerprint => Claim::Own { row: first.row },
        Found::New => Claim::OwnConflict,
        Found::Committed { fingerprint, event_id, settled } if fingerprint == one.fingerprint => {
            Claim::Committed { event_id, first: settled }
        }
        Found::Committed { .. } => Claim::Conflict,
        Found::InFlight { retry_after_ms } => Claim::InFlight { retry_after_ms },
        Found::Full => Claim::Full,
    }
}
