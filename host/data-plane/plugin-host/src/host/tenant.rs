//! What the calls of one tenant share: turns, a bucket of CPU time, limits of its own.

mod bucket;
mod turns;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidegate_types::{Digest, TenantId};

pub(crate) use bucket::Bucket;
pub(crate) use turns::{Busy, Turns};

use super::clock::{Clock, nanos};
use super::logs::Logs;
use crate::limits::{CallLimits, Limits, TenantLimits};

/// A tenant that has rules, or limits of its own.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub(crate) id: TenantId,
    /// Tells tenants apart where their names are too long.
    pub(crate) number: u64,
    pub(crate) turns: Turns,
    pub(crate) clock: Clock,
    cpu: Bucket,
    pub(crate) lines: Bucket,
    /// Calls that were not run, since the tenant is in debt.
    pub(crate) held_up: AtomicU64,
    pub(crate) logs: Logs,
    own: Mutex<Own>,
}

/// What differs from the host's limits.
#[derive(Debug, Default)]
struct Own {
    tenant: TenantLimits,
    plugins: HashMap<Digest, CallLimits>,
}

impl Tenant {
    fn new(id: TenantId, clock: &Clock, host: &Limits) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            id,
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            turns: Turns::new(host.max_calls_per_tenant),
            clock: clock.clone(),
            cpu: Bucket::default(),
            lines: Bucket::default(),
            held_up: AtomicU64::default(),
            logs: Logs::default(),
            own: Mutex::default(),
        }
    }

    fn own(&self) -> MutexGuard<'_, Own> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The limits of a component's calls.
    pub(crate) fn limits_of(&self, component: &Digest, host: &Limits) -> Limits {
        let own = self.own();
        let mut limits = own.tenant.apply(host);
        if let Some(plugin) = own.plugins.get(component) {
            plugin.apply_to(&mut limits);
        }
        // The engine's pool was made for so much.
        limits.memory_bytes = limits.memory_bytes.min(host.memory_bytes);
        limits
    }

    /// Puts the limits of now in force, but for those of calls.
    fn refresh(&self, host: &Limits, workers: usize) {
        let limits = self.own().tenant.apply(host);
        let share = nanos(limits.tenant_cpu_share).saturating_mul(workers.max(1) as u64);
        self.cpu.set(share, nanos(limits.tenant_cpu_burst));
        self.turns.resize(limits.max_calls_per_tenant);
        self.lines.set(limits.tenant_log_lines, limits.tenant_log_lines.saturating_mul(10));
    }

    /// Accounts for CPU time that the tenant's rules took.
    pub(crate) fn charge(&self, cpu: Duration) {
        self.cpu.take(self.clock.nanos(), nanos(cpu));
    }

    /// How long what nobody waits for must wait: until half of what can be saved up is there, which
    /// is left to the events that come.
    pub(crate) fn wait_for_spare(&self) -> Option<Duration> {
        self.cpu.wait_for_half(self.clock.nanos())
    }

    /// How long the tenant must wait, where its rules took more CPU time than its share.
    pub(crate) fn debt(&self) -> Option<Duration> {
        let debt = self.cpu.debt(self.clock.nanos());
        if debt.is_some() {
            self.held_up.fetch_add(1, Ordering::Relaxed);
        }
        debt
    }
}

/// All tenants that have rules, or limits of their own.
#[derive(Debug)]
pub(crate) struct Tenants {
    all: Mutex<HashMap<TenantId, Arc<Tenant>>>,
    clock: Clock,
    workers: usize,
    /// Pays for what is done for no tenant, and is not listed.
    nobody: Arc<Tenant>,
}

impl Tenants {
    pub(crate) fn new(clock: Clock, workers: usize, host: &Limits) -> Self {
        let id = TenantId::new("nobody").expect("the name is a tenant's");
        let nobody = Arc::new(Tenant::new(id, &clock, host));
        nobody.refresh(host, workers);
        Self { all: Mutex::default(), clock, workers, nobody }
    }

    /// Whoever pays for what is done for no tenant.
    pub(crate) fn nobody(&self) -> Arc<Tenant> {
        Arc::clone(&self.nobody)
    }

    fn all(&self) -> MutexGuard<'_, HashMap<TenantId, Arc<Tenant>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, id: &TenantId, host: &Limits) -> Arc<Tenant> {
        let mut all = self.all();
        if let Some(tenant) = all.get(id) {
            return Arc::clone(tenant);
        }
        // Those without rules and limits of their own have nothing that would be missed.
        all.retain(|_, tenant| Arc::strong_count(tenant) > 1 || !tenant.own().is_empty());
        let tenant = Arc::new(Tenant::new(id.clone(), &self.clock, host));
        tenant.refresh(host, self.workers);
        all.insert(id.clone(), Arc::clone(&tenant));
        tenant
    }

    pub(crate) fn set(&self, id: &TenantId, limits: TenantLimits, host: &Limits) {
        let tenant = self.get(id, host);
        tenant.own().tenant = limits;
        tenant.refresh(host, self.workers);
    }

    pub(crate) fn set_plugin(
        &self,
        id: &TenantId,
        component: Digest,
        limits: CallLimits,
        host: &Limits,
    ) {
        let tenant = self.get(id, host);
        if limits == CallLimits::default() {
            tenant.own().plugins.remove(&component);
        } else {
            tenant.own().plugins.insert(component, limits);
        }
    }

    /// The host's own limits have changed.
    pub(crate) fn refresh(&self, host: &Limits) {
        self.all().values().for_each(|tenant| tenant.refresh(host, self.workers));
    }

    /// Calls that were not run, by tenant.
    pub(crate) fn held_up(&self) -> Vec<(TenantId, u64)> {
        let all = self.all();
        let mut out: Vec<_> = all
            .values()
            .map(|tenant| (tenant.id.clone(), tenant.held_up.load(Ordering::Relaxed)))
            .collect();
        out.sort();
        out
    }
}

impl Own {
    fn is_empty(&self) -> bool {
        self.plugins.is_empty() && self.tenant == TenantLimits::default()
    }
}
