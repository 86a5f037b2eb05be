//! Bounds of what a component may use. All of them can be changed while the host runs: a call
//! reads them when it begins.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Bounds of one call, and of what lies around it.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How often the epoch advances. Fixed when the host starts.
    pub epoch_tick: Duration,
    /// A guest that runs longer than this yields to other work.
    pub slice: Duration,
    /// CPU time of one call, the host functions that it calls included.
    pub call_budget: Duration,
    /// Wall time of one call. A guest cannot wait for anything, so a call that takes this long
    /// has been kept waiting: the host is overloaded, and answers that it has no room.
    pub call_wall: Duration,
    /// Linear memory of one instance, in bytes. While the host runs it can be lowered, not raised
    /// above what it was when the host started.
    pub memory_bytes: usize,
    /// Elements of one instance's tables; changes as memory does.
    pub table_elements: usize,
    /// Bytes that one call may pass to the host.
    pub hostcall_bytes: usize,
    /// Component handles that one instance may hold.
    pub max_handles: usize,
    /// Bytes of events that one call is given; a larger batch is split.
    pub call_input_bytes: usize,
    /// Bytes of findings, and of patches, that one call may return: their texts and values, with
    /// codes and pointers written out.
    pub max_output_bytes: usize,
    pub max_findings_per_row: usize,
    /// Bytes of one finding's detail.
    pub max_detail_bytes: usize,
    pub log_lines_per_call: usize,
    pub log_bytes_per_call: usize,
    /// A store is replaced after about so many calls (a quarter more or less).
    pub retire_after_calls: u32,
    /// Instances that exist at once, of all tenants. Fixed when the host starts.
    pub max_instances: u32,
    /// Calls of one tenant that run at once; more wait.
    pub max_calls_per_tenant: usize,
    /// Calls of one tenant that wait at once; more are told that the tenant is busy.
    pub max_waiting_per_tenant: usize,
    /// CPU time that one tenant's rules may take in each second of each worker.
    pub tenant_cpu_share: Duration,
    /// CPU time that a tenant can save up.
    pub tenant_cpu_burst: Duration,
    /// Log lines of one tenant's rules in a second; ten seconds' worth can be saved up.
    pub tenant_log_lines: u64,
    /// Linear memory of all instances together, in bytes: idle ones go where it is more.
    pub warm_memory_bytes: usize,
    /// A rule that faulted in so many batches in 60 s is not called for a while.
    pub breaker_faults: u32,
    /// So is one that faulted in more than so many percent of them, of 100 at least.
    pub breaker_percent: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            epoch_tick: Duration::from_millis(1),
            slice: Duration::from_millis(2),
            call_budget: Duration::from_millis(50),
            call_wall: Duration::from_secs(5),
            memory_bytes: 16 << 20,
            table_elements: 20_000,
            hostcall_bytes: 8 << 20,
            max_handles: 1024,
            call_input_bytes: 1 << 20,
            max_output_bytes: 4 << 20,
            max_findings_per_row: 64,
            max_detail_bytes: 1024,
            log_lines_per_call: 32,
            log_bytes_per_call: 4096,
            retire_after_calls: 1024,
            max_instances: 2048,
            max_calls_per_tenant: 16,
            max_waiting_per_tenant: 256,
            tenant_cpu_share: Duration::from_millis(500),
            tenant_cpu_burst: Duration::from_secs(2),
            tenant_log_lines: 100,
            warm_memory_bytes: 1 << 30,
            breaker_faults: 5,
            breaker_percent: 1,
        }
    }
}

impl Limits {
    pub(crate) fn slice_ticks(&self) -> u64 {
        let tick = self.epoch_tick.as_micros().max(1);
        u64::try_from(self.slice.as_micros() / tick).unwrap_or(u64::MAX).max(1)
    }
}

impl Limits {
    /// The bounds of one call that a component can break, by the names under which a tenant may
    /// have its own.
    pub(crate) fn of_call(&self) -> [(&'static str, u64); 6] {
        let millis = u64::try_from(self.call_budget.as_millis()).unwrap_or(u64::MAX);
        [
            ("call_budget_ms", millis),
            ("memory_bytes", self.memory_bytes as u64),
            ("hostcall_bytes", self.hostcall_bytes as u64),
            ("call_input_bytes", self.call_input_bytes as u64),
            ("max_output_bytes", self.max_output_bytes as u64),
            ("max_findings_per_row", self.max_findings_per_row as u64),
        ]
    }
}

/// Limits of the calls of a tenant, or of one component of a tenant, that differ from the host's.
/// What is `None` is as it is for others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CallLimits {
    pub call_budget_ms: Option<u64>,
    /// No more than the host's own.
    pub memory_bytes: Option<usize>,
    pub hostcall_bytes: Option<usize>,
    pub call_input_bytes: Option<usize>,
    pub max_output_bytes: Option<usize>,
    pub max_findings_per_row: Option<usize>,
    pub log_lines_per_call: Option<usize>,
    pub log_bytes_per_call: Option<usize>,
    pub breaker_faults: Option<u32>,
    pub breaker_percent: Option<u32>,
}

impl CallLimits {
    pub(crate) fn apply_to(&self, limits: &mut Limits) {
        fn set<T: Copy>(slot: &mut T, own: Option<T>) {
            *slot = own.unwrap_or(*slot);
        }
        set(&mut limits.call_budget, self.call_budget_ms.map(Duration::from_millis));
        set(&mut limits.memory_bytes, self.memory_bytes);
        set(&mut limits.hostcall_bytes, self.hostcall_bytes);
        set(&mut limits.call_input_bytes, self.call_input_bytes);
        set(&mut limits.max_output_bytes, self.max_output_bytes);
        set(&mut limits.max_findings_per_row, self.max_findings_per_row);
        set(&mut limits.log_lines_per_call, self.log_lines_per_call);
        set(&mut limits.log_bytes_per_call, self.log_bytes_per_call);
        set(&mut limits.breaker_faults, self.breaker_faults);
        set(&mut limits.breaker_percent, self.breaker_percent);
    }
}

/// Limits of a tenant that differ from the host's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TenantLimits {
    pub calls: CallLimits,
    /// Calls that run at once.
    pub max_calls: Option<usize>,
    /// Calls that wait at once.
    pub max_waiting: Option<usize>,
    /// CPU time in each second of each worker.
    pub cpu_share_ms: Option<u64>,
    /// CPU time that can be saved up.
    pub cpu_burst_ms: Option<u64>,
    /// Log lines in a second.
    pub log_lines: Option<u64>,
}

impl TenantLimits {
    pub(crate) fn apply(&self, host: &Limits) -> Limits {
        let mut limits = host.clone();
        self.calls.apply_to(&mut limits);
        let millis = |own: Option<u64>, host| own.map_or(host, Duration::from_millis);
        limits.max_calls_per_tenant = self.max_calls.unwrap_or(host.max_calls_per_tenant);
        limits.max_waiting_per_tenant = self.max_waiting.unwrap_or(host.max_waiting_per_tenant);
        limits.tenant_cpu_share = millis(self.cpu_share_ms, host.tenant_cpu_share);
        limits.tenant_cpu_burst = millis(self.cpu_burst_ms, host.tenant_cpu_burst);
        limits.tenant_log_lines = self.log_lines.unwrap_or(host.tenant_log_lines);
        limits
    }
}
