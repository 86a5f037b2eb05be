//! What became of events. Each that was received is settled once: where its request ends before it has
//! receipts, as refused.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use tidegate_telemetry::Page;
use tidegate_telemetry::metrics::events as metrics;
use tidegate_types::{Status, TenantId};

/// Tenants that are told apart; those beyond, who came later, are told together.
const MOST_TENANTS: usize = 1000;

/// How many events of a request had which status, in the order of [`Status::ALL`].
pub(crate) type Tally = [u64; Status::ALL.len()];

/// Events since the start.
#[derive(Debug, Default)]
pub(crate) struct Events {
    received: AtomicU64,
    by_status: [AtomicU64; Status::ALL.len()],
    refused: AtomicU64,
    tenants: ArcSwap<HashMap<TenantId, Arc<OfTenant>>>,
    others: Arc<OfTenant>,
}

/// Events of a tenant, in the order of [`Outcome::ALL`].
#[derive(Debug, Default)]
struct OfTenant([AtomicU64; Outcome::ALL.len()]);

/// What became of an event, where little is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Accepted,
    Duplicate,
    Quarantined,
    Rejected,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Accepted, Self::Duplicate, Self::Quarantined, Self::Rejected];

    fn of(status: Status) -> Self {
        match status {
            Status::Accepted => Self::Accepted,
            Status::Duplicate => Self::Duplicate,
            Status::Quarantined => Self::Quarantined,
            Status::Rejected | Status::Conflict | Status::Retry => Self::Rejected,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Quarantined => "quarantined",
            Self::Rejected => "rejected",
        }
    }
}

fn add(counters: &[AtomicU64], at: usize, count: u64) {
    if let Some(counter) = counters.get(at).filter(|_| count > 0) {
        counter.fetch_add(count, Ordering::Relaxed);
    }
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

/// Events of a request that are not settled yet. Dropped, they are refused.
pub(crate) struct Received<'a> {
    events: &'a Events,
    tenant: Arc<OfTenant>,
    count: u64,
}

impl Events {
    pub(crate) fn receive(&self, tenant: &TenantId, count: usize) -> Received<'_> {
        self.received.fetch_add(count as u64, Ordering::Relaxed);
        Received { events: self, tenant: self.of(tenant), count: count as u64 }
    }

    fn of(&self, tenant: &TenantId) -> Arc<OfTenant> {
        let known = self.tenants.load();
        if let Some(counts) = known.get(tenant) {
            return Arc::clone(counts);
        }
        if known.len() >= MOST_TENANTS {
            return Arc::clone(&self.others);
        }
        drop(known);
        let new = Arc::new(OfTenant::default());
        self.tenants.rcu(|known| {
            let mut known = HashMap::clone(known);
            known.entry(tenant.clone()).or_insert_with(|| Arc::clone(&new));
            known
        });
        // Another request may have been first.
        self.tenants.load().get(tenant).map_or(new, Arc::clone)
    }

    pub(crate) fn get(&self, status: Status) -> u64 {
        self.by_status.get(status as usize).map_or(0, read)
    }

    pub(crate) fn report(&self, page: &mut Page) {
        // Read last: what is settled was received before.
        for status in Status::ALL {
            let labels = [Outcome::of(status).as_str(), status.as_str()];
            page.put(&metrics::EVENTS, &labels, self.get(status));
        }
        let refused = [Outcome::Rejected.as_str(), "refused"];
        page.put(&metrics::EVENTS, &refused, read(&self.refused));
        let known = self.tenants.load();
        let others = (known.len() >= MOST_TENANTS).then_some(("other", &self.others));
        let tenants = known.iter().map(|(tenant, counts)| (tenant.as_str(), counts));
        for (tenant, OfTenant(counts)) in tenants.chain(others).map(|(name, of)| (name, &**of)) {
            for (outcome, count) in Outcome::ALL.into_iter().zip(counts) {
                page.put(&metrics::TENANT_EVENTS, &[tenant, outcome.as_str()], read(count));
            }
        }
        page.put(&metrics::RECEIVED, &[], read(&self.received));
    }
}

impl Received<'_> {
    /// Each has its receipt.
    pub(crate) fn settle(mut self, tally: &Tally) {
        self.count = 0;
        for (status, count) in Status::ALL.into_iter().zip(tally) {
            add(&self.events.by_status, status as usize, *count);
            add(&self.tenant.0, Outcome::of(status) as usize, *count);
        }
    }
}

impl Drop for Received<'_> {
    fn drop(&mut self) {
        if self.count > 0 {
            self.events.refused.fetch_add(self.count, Ordering::Relaxed);
            add(&self.tenant.0, Outcome::Rejected as usize, self.count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(number: usize) -> TenantId {
        TenantId::new(&format!("t{number}")).expect("a name")
    }

    #[test]
    fn what_is_received_is_settled_or_refused() {
        let events = Events::default();
        events.receive(&tenant(1), 6).settle(&[1, 1, 1, 1, 1, 1]);
        drop(events.receive(&tenant(1), 3));
        let page = Page::of(|page| events.report(page));
        let of = |labels: [&str; 2]| page.whole(&metrics::EVENTS, &labels);
        assert_eq!(of(["rejected", "conflict"]), Some(1));
        assert_eq!(of(["rejected", "refused"]), Some(3));
        let by_tenant = |outcome| page.whole(&metrics::TENANT_EVENTS, &["t1", outcome]);
        assert_eq!(by_tenant("accepted"), Some(1));
        assert_eq!(by_tenant("rejected"), Some(6));
        assert_eq!(page.whole(&metrics::RECEIVED, &[]), Some(9));
    }

    #[test]
    fn tenants_beyond_the_bound_are_told_together() {
        let events = Events::default();
        for number in 0..MOST_TENANTS + 5 {
            events.receive(&tenant(number), 1).settle(&[1, 0, 0, 0, 0, 0]);
        }
        let page = Page::of(|page| events.report(page));
        let accepted = |tenant| page.whole(&metrics::TENANT_EVENTS, &[tenant, "accepted"]);
        assert_eq!((accepted("t0"), accepted("other")), (Some(1), Some(5)));
    }
}
