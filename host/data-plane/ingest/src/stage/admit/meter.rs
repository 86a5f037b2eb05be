//! How much may the sender send? Every request is counted once, whatever becomes of it, when it is known how
//! many events it has; of a batch that is larger than what is left the part that fits goes on, or
//! nothing, as the tenant's quotas say.

mod standing;

use std::sync::{Arc, OnceLock};

use tidegate_quota::{Ask, Bucket, Buckets, Got, Unavailable};
use tidegate_types::quota::{Dimension, Over, Quota, Quotas};
use tidegate_types::{Problem, ProblemType, TenantId, UnixMillis};
use tokio::sync::OwnedSemaphorePermit;

use crate::event::{Event, Outcome, State};
use crate::force::keys::WriteScope;
use crate::force::rollout::InForce;
use crate::rejudge::shadow::Before;
use crate::stage::decode::{Decoded, Form};
pub(crate) use standing::Standing;

/// The quotas of a sender.
#[derive(Clone, Debug)]
pub(crate) struct Allowance {
    pub(crate) tenant: TenantId,
    /// The key's id and quotas.
    pub(crate) key: Option<(Arc<str>, Quotas)>,
    pub(crate) of_tenant: Quotas,
}

/// Events that may be sent; those that may not are settled.
#[derive(Debug)]
pub struct Metered {
    pub(in crate::stage) tenant: TenantId,
    pub(in crate::stage) write: WriteScope,
    pub(in crate::stage) in_force: Arc<InForce>,
    pub(in crate::stage) place: OwnedSemaphorePermit,
    pub(in crate::stage) form: Form,
    pub(in crate::stage) received_at: UnixMillis,
    pub(in crate::stage) events: Vec<Event>,
}

impl Metered {
    /// Its events, where a shadow is to see them as well.
    pub(crate) fn copy_for_shadow(&self) -> Option<Before> {
        Before::of(&self.in_force, &self.events)
    }
}

/// Counts a request whose body was read. What is left to the sender is noted for the answer.
///
/// # Errors
/// What was wrong with the body; 429 `quota-exceeded` where nothing of it may be sent, 503 where it is not
/// known how much may be.
pub(crate) async fn meter(
    allowance: &Allowance,
    decoded: Result<Decoded, Problem>,
    buckets: &dyn Buckets,
    noted: &OnceLock<Standing>,
) -> Result<Metered, Problem> {
    let sizes: Vec<u64> = decoded.iter().flat_map(|decoded| &decoded.events).map(size).collect();
    let (taken, standing) = allowance.take(&sizes, buckets).await.map_err(unavailable)?;
    // Nobody else notes it for this request.
    drop(noted.set(standing));
    let decoded = decoded?;
    let Decoded { tenant, write, in_force, place, form, received_at, mut events } = decoded;
    if let Some(short) = taken.short {
        if taken.events == 0 {
            return Err(short.problem());
        }
        for event in events.iter_mut().skip(taken.events) {
            if event.open().is_some() {
                event.state = State::Settled(Outcome::Retry { after_ms: short.wait_ms });
            }
        }
    }
    Ok(Metered { tenant, write, in_force, place, form, received_at, events })
}

/// Counts a request without events.
///
/// # Errors
/// As for one with events.
pub(crate) async fn meter_request(
    allowance: &Allowance,
    buckets: &dyn Buckets,
    noted: &OnceLock<Standing>,
) -> Result<(), Problem> {
    let (taken, standing) = allowance.take(&[], buckets).await.map_err(unavailable)?;
    drop(noted.set(standing));
    taken.short.map_or(Ok(()), |short| Err(short.problem()))
}

fn size(event: &Event) -> u64 {
    event.open().map_or(0, |open| open.node().lexeme().len() as u64)
}

fn unavailable(error: Unavailable) -> Problem {
    let detail = format!(
        "it cannot be told how much may be sent: {}; nothing was stored, try again later",
        error.reason
    );
    let millis = u64::try_from(error.retry_after.as_millis()).unwrap_or(u64::MAX);
    Problem::new(ProblemType::Unavailable, detail).retry_after(millis)
}

/// What a request got.
struct Taken {
    /// So many of its events, from the first.
    events: usize,
    short: Option<Short>,
}

/// Quotas that did not give what was wanted.
struct Short {
    violated: Vec<(String, Quota)>,
    /// Milliseconds until all of it would have been granted.
    wait_ms: u64,
}

impl Short {
    fn problem(&self) -> Problem {
        let quotas = self.violated.iter().map(|(name, quota)| {
            format!("{name} ({} in {} s)", quota.limit(), quota.window().as_secs())
        });
        let quotas: Vec<String> = quotas.collect();
        let detail = format!(
            "nothing was stored; used up: {}. Send it again when Retry-After has passed",
            quotas.join(", ")
        );
        let names = self.violated.iter().map(|(name, _)| name.clone()).collect();
        Problem::new(ProblemType::QuotaExceeded, detail)
            .violating(names)
            .retry_after(self.wait_ms.max(1))
    }
}

impl Allowance {
    /// Takes what a request with events of these sizes needs, or, where the tenant has it so, what its
    /// first events need.
    async fn take(
        &self,
        sizes: &[u64],
        buckets: &dyn Buckets,
    ) -> Result<(Taken, Standing), Unavailable> {
        let asks = self.asks(sizes);
        if asks.is_empty() {
            return Ok((Taken { events: sizes.len(), short: None }, Standing::default()));
        }
        let got = buckets.take(&asks).await?;
        let (events, short) = fitting(&asks, &got, sizes);
        let mut standing = Standing::of(&asks, &got);
        if short.is_some() {
            let unused = unused(&asks, &got, sizes, events);
            standing.put_back(&unused);
            let unused: Vec<_> = unused
                .into_iter()
                .filter(|(_, tokens)| *tokens > 0)
                .filter_map(|(at, tokens)| {
                    asks.get(at).map(|ask| (ask.bucket.clone(), ask.quota, tokens))
                })
                .collect();
            buckets.put_back(&unused).await;
        }
        Ok((Taken { events, short }, standing))
    }

    fn asks(&self, sizes: &[u64]) -> Vec<Ask> {
        let part = self.of_tenant.over == Over::Part && sizes.len() > 1;
        let of_key = self.key.iter().flat_map(|(id, quotas)| {
            quotas.each().map(move |(dimension, quota)| (Some(Arc::clone(id)), dimension, quota))
        });
        let of_tenant = self.of_tenant.each().map(|(dimension, quota)| (None, dimension, quota));
        let ask = |(key, dimension, quota)| {
            let bucket = Bucket { tenant: self.tenant.clone(), key, dimension };
            let (want, of_first) = match dimension {
                Dimension::Requests => (1, 1),
                Dimension::Events => (sizes.len() as u64, 1),
                Dimension::Bytes => (sizes.iter().sum(), sizes.first().copied().unwrap_or(0)),
            };
            Ask { bucket, quota, want, least: if part { of_first } else { want } }
        };
        of_key.chain(of_tenant).map(ask).collect()
    }
}

/// How many of the first events all quotas allow, and which ones do not allow all of them.
fn fitting(asks: &[Ask], got: &[Got], sizes: &[u64]) -> (usize, Option<Short>) {
    let mut events = sizes.len();
    let mut short = Short { violated: Vec::new(), wait_ms: 0 };
    for (ask, got) in asks.iter().zip(got).filter(|(ask, got)| got.granted < ask.want) {
        short.violated.push((standing::name(&ask.bucket), ask.quota));
        short.wait_ms = short.wait_ms.max(got.wait_ms);
        events = events.min(match ask.bucket.dimension {
            Dimension::Requests => 0,
            Dimension::Events => usize::try_from(got.granted).unwrap_or(usize::MAX),
            Dimension::Bytes => within(sizes, got.granted),
        });
    }
    (events, Some(short).filter(|short| !short.violated.is_empty()))
}

/// How many of the first have this size at most, together.
fn within(sizes: &[u64], bytes: u64) -> usize {
    let sums = sizes.iter().scan(0u64, |sum, size| {
        *sum = sum.saturating_add(*size);
        Some(*sum)
    });
    sums.take_while(|sum| *sum <= bytes).count()
}

/// What was taken for events that are not sent now: by the place of what was asked.
fn unused(asks: &[Ask], got: &[Got], sizes: &[u64], events: usize) -> Vec<(usize, u64)> {
    let sent: u64 = sizes.iter().take(events).sum();
    let each = asks.iter().zip(got).enumerate().map(|(at, (ask, got))| {
        let used = match ask.bucket.dimension {
            Dimension::Requests => u64::from(events > 0),
            Dimension::Events => events as u64,
            Dimension::Bytes => sent,
        };
        (at, got.granted.saturating_sub(used))
    });
    each.collect()
}

#[cfg(test)]
mod tests;
